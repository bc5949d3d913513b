// Makes the calls that it is told of with the official Node client of Stripe. Input and output are
// those of stripe_client.py, with the timeout in seconds as there.

const { readFileSync } = require("node:fs");
const Stripe = require("stripe");

async function call(base, { api_key, path, params, key, retries, timeout }) {
  const { hostname, port } = new URL(base);
  const client = new Stripe(api_key, {
    protocol: "http",
    host: hostname,
    port,
    maxNetworkRetries: retries,
    timeout: Math.round(timeout * 1000),
  });
  const options = key ? { idempotencyKey: key } : {};
  try {
    const transfer = await client.rawRequest("POST", path, params, options);
    const { headers } = transfer.lastResponse;
    return {
      id: transfer.id,
      replayed: headers["idempotent-replayed"] === "true",
      request: headers["request-id"],
      original: headers["original-request"],
    };
  } catch (error) {
    return {
      error: error.type,
      status: error.statusCode ?? null,
      code: error.raw?.code ?? null,
      param: error.raw?.param ?? null,
    };
  }
}

async function main() {
  const told = JSON.parse(readFileSync(0, "utf8"));
  for (const one of told.calls) {
    console.log(JSON.stringify(await call(told.base, one)));
  }
}

main();
