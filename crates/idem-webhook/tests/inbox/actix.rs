//! The extractor of actix-web.

use actix_web::{
    App,
    http::header::{HeaderName, HeaderValue},
    test::{TestRequest, call_service, init_service, read_body},
    web::{self, Data},
};
use http::HeaderMap;
use idem_webhook::{Delivery, Receipt};

use crate::support::{NOW, World, signed};

async fn hook(world: Data<World>, delivery: Delivery) -> Receipt {
    delivery.run(world.work()).await
}

#[actix_web::test]
async fn actix_verifies_before_the_store_is_asked() {
    let world = World::new();
    let inbox = world.standard().body_limit(64);
    let stripe = web::resource("/hook").app_data(Data::new(inbox));
    let app = App::new()
        .app_data(Data::new(world.clone()))
        .service(stripe.route(web::post().to(hook)))
        .route("/none", web::post().to(hook));
    let app = init_service(app).await;
    let deliver = async |path: &str, headers: HeaderMap, body: &str| {
        let mut request = TestRequest::post().uri(path).set_payload(body.to_owned());
        for (name, value) in &headers {
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).unwrap();
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request = request.append_header((name, value));
        }
        let answer = call_service(&app, request.to_request()).await;
        let status = answer.status().as_u16();
        let body = read_body(answer).await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    for (path, headers, body, status, code) in [
        (
            "/hook",
            signed("e", NOW, b"{}"),
            "[]",
            401,
            "signature-wrong",
        ),
        (
            "/hook",
            signed("e", NOW, b"{}"),
            &"x".repeat(65),
            413,
            "body-too-large",
        ),
        ("/none", signed("e", NOW, b"{}"), "{}", 500, "misconfigured"),
    ] {
        let (answered, problem) = deliver(path, headers, body).await;
        assert_eq!(answered, status, "{problem}");
        assert!(problem.contains(code), "{problem}");
    }
    assert_eq!((world.store.calls(), world.runs()), (0, 0));
    for _ in 0..2 {
        assert_eq!(deliver("/hook", signed("e", NOW, b"{}"), "{}").await.0, 200);
    }
    assert_eq!(world.runs(), 1);
}
