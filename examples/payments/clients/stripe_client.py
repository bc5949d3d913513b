"""Makes the calls that it is told of with the official Python client of Stripe.

Takes a JSON object on standard input, and writes one line of JSON for each call:

    {"base": "http://127.0.0.1:4242", "calls": [
        {"api_key": "acme", "path": "/v1/payments", "params": {"amount": 500, "currency": "usd"},
         "key": "order-4711", "retries": 2, "timeout": 80}]}

Without a "key" the client draws one for each call, as it does for its users.
"""

import json
import sys

import stripe


def call(base, api_key, path, params, key, retries, timeout):
    client = stripe.StripeClient(
        api_key,
        base_addresses={"api": base},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout),
    )
    options = {"idempotency_key": key} if key else {}
    try:
        response = client.raw_request("post", path, **params, **options)
    except stripe.StripeError as error:
        body = (error.json_body or {}).get("error", {})
        return {
            "error": type(error).__name__,
            "status": error.http_status,
            "code": body.get("code"),
            "param": body.get("param"),
        }
    return {
        "id": response.data["id"],
        "replayed": response.headers.get("idempotent-replayed") == "true",
        "request": response.headers.get("request-id"),
        "original": response.headers.get("original-request"),
    }


told = json.load(sys.stdin)
for one in told["calls"]:
    print(json.dumps(call(told["base"], **one)), flush=True)
