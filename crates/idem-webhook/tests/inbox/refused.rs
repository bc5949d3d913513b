//! What is refused on axum, with its status: no call of the store, no run.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, Request},
    routing::post,
};
use idem_webhook::{Delivery, Inbox, Receipt};
use tower::ServiceExt as _;

use crate::support::{NOW, World, signed};

#[derive(Clone)]
struct App {
    inbox: Inbox,
    world: World,
}

impl axum::extract::FromRef<App> for Inbox {
    fn from_ref(app: &App) -> Self {
        app.inbox.clone()
    }
}

async fn hook(State(app): State<App>, delivery: Delivery) -> Receipt {
    delivery.run(app.world.work()).await
}

/// The status and the body of an answer.
async fn deliver(world: &World, headers: HeaderMap, body: Body) -> (u16, String) {
    let inbox = world.standard().body_limit(64);
    let app = App {
        inbox,
        world: world.clone(),
    };
    let router = Router::new().route("/", post(hook)).with_state(app);
    let mut request = Request::post("/").body(body).unwrap();
    *request.headers_mut() = headers;
    let answer = router.oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn in_pieces(pieces: &[&'static str]) -> Body {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok::<_, String>(*piece)).collect();
    Body::from_stream(futures_util::stream::iter(pieces))
}

#[tokio::test]
async fn a_bad_delivery_never_touches_the_store() {
    let world = World::new();
    let large = "x".repeat(65);
    let mut not_ascii = signed("e", NOW, b"{}");
    not_ascii.insert("webhook-id", "é".parse().unwrap());
    let broken = futures_util::stream::iter([Ok("{"), Err("gone".to_owned())]);
    for (status, code, headers, body) in [
        (
            401,
            "signature-wrong",
            signed("e", NOW, b"{}"),
            Body::from("{ }"),
        ),
        (
            401,
            "timestamp-refused",
            signed("e", NOW - 4000, b"{}"),
            Body::from("{}"),
        ),
        (400, "header-missing", HeaderMap::new(), Body::from("{}")),
        (400, "header-malformed", not_ascii, Body::from("{}")),
        (
            400,
            "id-refused",
            signed(&"i".repeat(300), NOW, b"{}"),
            Body::from("{}"),
        ),
        (
            413,
            "body-too-large",
            signed("e", NOW, large.as_bytes()),
            Body::from(large.clone()),
        ),
        (
            413,
            "body-too-large",
            signed("e", NOW, b"{}"),
            in_pieces(&["0123456789"; 7]),
        ),
        (
            400,
            "body-unreadable",
            signed("e", NOW, b"{}"),
            Body::from_stream(broken),
        ),
    ] {
        let (answered, problem) = deliver(&world, headers, body).await;
        assert_eq!(answered, status, "{problem}");
        assert!(
            problem.contains(&format!(r#""code":"{code}""#)),
            "{problem}"
        );
    }
    assert_eq!((world.store.calls(), world.runs()), (0, 0));

    let (status, _) = deliver(&world, signed("e", NOW, b"{}"), in_pieces(&["{", "}"])).await;
    assert_eq!((status, world.runs()), (200, 1));
}
