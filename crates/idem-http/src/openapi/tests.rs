//! What a document says of a route.

use utoipa::openapi::{HttpMethod, OpenApiBuilder, PathsBuilder};

use super::*;

fn api(profile: &Profile, operation: Operation) -> Value {
    let mut item = PathItem::new(HttpMethod::Post, operation);
    item.get = Some(Operation::new());
    let paths = PathsBuilder::new().path("/payments", item);
    let mut api = OpenApiBuilder::new().paths(paths).build();
    profile.openapi().modify(&mut api);
    serde_json::to_value(api).unwrap()["paths"]["/payments"].take()
}

#[test]
fn a_protected_operation_has_the_header_and_the_errors_of_its_profile() {
    let route = api(&Profile::ietf(), Operation::new());
    let key = &route["post"]["parameters"][0];
    assert_eq!(key["name"], "Idempotency-Key");
    assert_eq!(
        (&key["in"], &key["required"]),
        (&"header".into(), &true.into())
    );
    assert_eq!(key["example"], "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");
    for (status, code) in [
        ("400", "key-missing"),
        ("400", "key-malformed"),
        ("409", "in-flight"),
        ("413", "body-too-large"),
        ("422", "fingerprint-mismatch"),
        ("500", "handler-failed"),
        ("503", "store-unavailable"),
    ] {
        let response = &route["post"]["responses"][status];
        let content = &response["content"]["application/problem+json"];
        let example = &content["examples"][code]["value"];
        assert_eq!(example["code"], code);
        assert_eq!(example["status"].to_string(), status);
        assert!(response["description"].as_str().unwrap().contains(code));
    }
    for status in ["409", "503"] {
        let headers = &route["post"]["responses"][status]["headers"];
        assert_eq!(headers["Retry-After"]["schema"]["type"], "integer");
    }
    // Other methods have no key.
    assert_eq!(route["get"], serde_json::json!({"responses": {}}));
}

#[test]
fn the_profile_decides() {
    let name = HeaderName::from_static("x-idempotency-key");
    let profile = Profile::stripe().header(name).methods([Method::GET]);
    let route = api(&profile, Operation::new());
    let key = &route["get"]["parameters"][0];
    assert_eq!(
        (&key["name"], &key["required"]),
        (&"X-Idempotency-Key".into(), &false.into())
    );
    assert!(route["post"].get("parameters").is_none());
    let mismatch = &route["get"]["responses"]["400"]["content"]["application/json"];
    assert!(mismatch["examples"]["fingerprint-mismatch"]["value"]["error"].is_object());
}

#[test]
fn what_an_operation_says_itself_stays() {
    let mut own = Operation::new();
    let taken = Response::new("already paid");
    own.responses = [("409", taken)].into_iter().collect();
    let key = ParameterBuilder::new().name("idempotency-key");
    let key = key.parameter_in(ParameterIn::Header).build();
    own.parameters = Some(vec![RefOr::T(key)]);
    let route = api(&Profile::seed(), own);
    assert_eq!(route["post"]["parameters"].as_array().unwrap().len(), 1);
    let conflict = &route["post"]["responses"]["409"];
    assert_eq!(conflict["description"], "already paid");
    assert!(conflict["content"]["application/problem+json"].is_object());
}

/// A parameter is one by its name and its place (OpenAPI 3.1, 4.8.12).
#[test]
fn a_parameter_of_the_same_name_elsewhere_is_another() {
    let mut own = Operation::new();
    let query = ParameterBuilder::new().name("Idempotency-Key");
    let query = query.parameter_in(ParameterIn::Query).build();
    own.parameters = Some(vec![RefOr::T(query)]);
    let route = api(&Profile::seed(), own);
    let places = route["post"]["parameters"].as_array().unwrap();
    let places: Vec<_> = places.iter().map(|parameter| &parameter["in"]).collect();
    assert_eq!(places, ["query", "header"]);
}
