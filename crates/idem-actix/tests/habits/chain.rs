//! Scopes, errors of other middlewares, and an application's own words.

use actix_web::{
    Error, HttpMessage, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::{ErrorImATeapot, ErrorPaymentRequired, ErrorUnauthorized},
    http::{StatusCode, Uri},
    middleware::{Next, from_fn},
    web,
};
use http::Method;
use idem_actix::{Code, IdempotencyMiddleware, Problem, Target};
use idem_core::{IdempotencyKey, Scope};

use crate::support::{App, call, global_layer, layer, memory, pay, shop::Runs};

/// A handler that counts.
fn pays(runs: &Runs) -> actix_web::Route {
    let runs = runs.clone();
    web::to(move || {
        let run = runs.count();
        async move { HttpResponse::Created().body(format!("run {run}")) }
    })
}

/// The URI is what the client sent, wherever the middleware is.
#[tokio::test]
async fn g4_scopes_with_the_same_inner_path_do_not_take_each_others_requests_for_repeats() {
    let (a, b) = (Runs::default(), Runs::default());
    let idem = memory();
    let (a_side, b_side) = (a.clone(), b.clone());
    let app = App::start(1, move |config| {
        let a = web::scope("/a").wrap(global_layer(idem.clone()));
        let b = web::resource("/pay").wrap(global_layer(idem.clone()));
        config
            .service(a.route("/pay", pays(&a_side)))
            .service(web::scope("/b").service(b.route(pays(&b_side))));
    });
    let send = |path| call(Method::POST, path).header("idempotency-key", "k");
    let first = send("/a/pay").send(&app).await;
    assert_eq!(first.status, 201);
    let other = send("/b/pay").send(&app).await;
    assert_eq!(other.code(), "fingerprint-mismatch");
    send("/a/pay").send(&app).await.assert_replays(&first);
    assert_eq!((a.get(), b.get()), (1, 0));
}

/// Sends all requests to one path, and notes the one that the client asked for.
async fn rewrite<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let target = Target(request.uri().to_string().parse().unwrap());
    request.extensions_mut().insert(target);
    request.head_mut().uri = Uri::from_static("/one");
    next.call(request).await
}

#[tokio::test]
async fn g4_whoever_rewrites_a_uri_can_leave_the_original_behind() {
    let runs = Runs::default();
    let counting = runs.clone();
    let layer = layer(&memory());
    let app = App::start(1, move |config| {
        let scope = web::scope("").wrap(layer.clone()).wrap(from_fn(rewrite));
        config.service(scope.default_service(pays(&counting)));
    });
    let send = |path| call(Method::POST, path).header("idempotency-key", "k");
    let first = send("/a").send(&app).await;
    let other = send("/b").send(&app).await;
    assert_eq!(other.code(), "fingerprint-mismatch");
    send("/a").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

/// Charges, and then a middleware inside of idem's says no.
fn refusing(error: fn() -> Error) -> (App, Runs) {
    let runs = Runs::default();
    let counting = runs.clone();
    let layer = global_layer(memory());
    let app = App::start(1, move |config| {
        let refuse = from_fn(move |request: ServiceRequest, next: Next<_>| async move {
            next.call(request).await?;
            Err::<ServiceResponse, _>(error())
        });
        let scope = web::scope("").wrap(refuse).wrap(layer.clone());
        config.service(scope.default_service(pays(&counting)));
    });
    (app, runs)
}

#[tokio::test]
async fn g1_an_error_of_a_middleware_further_in_is_an_answer_and_is_stored_by_its_status() {
    let (app, runs) = refusing(|| ErrorPaymentRequired("no funds"));
    let first = pay("k").send(&app).await;
    assert_eq!(
        (first.status.as_u16(), &first.body[..]),
        (402, &b"no funds"[..])
    );
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);

    let (app, runs) = refusing(|| ErrorUnauthorized("sign in"));
    for _ in 0..2 {
        let refused = pay("k").send(&app).await;
        assert_eq!((refused.status.as_u16(), refused.replayed()), (401, false));
    }
    assert_eq!(runs.get(), 2);
}

/// The error of the application's own function reaches the middlewares outside as it is.
#[tokio::test]
async fn an_error_of_the_scope_is_the_answer_and_nothing_runs() {
    let runs = Runs::default();
    let counting = runs.clone();
    let idem = memory();
    let app = App::start(1, move |config| {
        let refusing = IdempotencyMiddleware::new(idem.clone(), |request| {
            match request.headers().contains_key("merchant") {
                true => Err(StatusCode::FORBIDDEN.into()),
                false => Err(ErrorImATeapot("who is it?").into()),
            }
        });
        let outside = from_fn(async |request: ServiceRequest, next: Next<_>| {
            let answer: Result<ServiceResponse<_>, Error> = next.call(request).await;
            let error = answer.as_ref().err().map(ToString::to_string);
            assert!(error.is_some_and(|error| !error.is_empty()));
            answer
        });
        let scope = web::scope("").wrap(refusing).wrap(outside);
        config.service(scope.default_service(pays(&counting)));
    });
    let refused = pay("k").send(&app).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body[..]),
        (418, &b"who is it?"[..])
    );
    let refused = pay("k").header("merchant", "a").send(&app).await;
    assert_eq!((refused.status.as_u16(), runs.get()), (403, 0));
}

#[tokio::test]
async fn a_key_can_come_from_the_path_and_problems_be_told_in_other_words() {
    let runs = Runs::default();
    let counting = runs.clone();
    let idem = memory();
    let app = App::start(1, move |config| {
        let middleware = IdempotencyMiddleware::new(idem.clone(), |_| Ok(Scope::new("shop")?))
            .key_from(|request| match request.path().strip_prefix("/pay/") {
                Some(key) => match IdempotencyKey::new(key) {
                    Ok(key) => Ok(Some(key)),
                    Err(_) => Err(Problem::new(Code::KeyMalformed).into()),
                },
                None => Ok(None),
            })
            .on_error(|problem, mut answer| {
                answer.content_type("text/plain");
                answer.body(problem.code.as_str())
            });
        let scope = web::scope("").wrap(middleware);
        config.service(scope.default_service(pays(&counting)));
    });
    let send = |path: String| call(Method::POST, &path).send(&app);
    let first = send("/pay/k".to_owned()).await;
    send("/pay/k".to_owned()).await.assert_replays(&first);
    for (path, code) in [
        ("/other".to_owned(), "key-missing"),
        (format!("/pay/{}", "k".repeat(256)), "key-malformed"),
    ] {
        let refused = send(path).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.header("content-type"), Some("text/plain"));
        assert_eq!(refused.body, code);
        assert_eq!(refused.header("idempotency-disposition"), Some("retryable"));
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_middleware_that_meets_its_own_claim_passes_through() {
    let runs = Runs::default();
    let counting = runs.clone();
    let layer = global_layer(memory());
    let app = App::start(1, move |config| {
        let scope = web::scope("").wrap(layer.clone()).wrap(layer.clone());
        config.service(scope.default_service(pays(&counting)));
    });
    let first = pay("k").send(&app).await;
    assert_eq!(first.status, 201);
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

/// Routing goes on inside of the middleware, and a method that is not there is 405.
#[tokio::test]
async fn a_route_of_its_own_is_asked_for_a_key_and_the_others_are_not() {
    let runs = Runs::default();
    let counting = runs.clone();
    let layer = global_layer(memory());
    let app = App::start(1, move |config| {
        let post = pays(&counting).method(actix_web::http::Method::POST);
        let resource = web::resource("/payments")
            .route(post.wrap(layer.clone()))
            .route(web::get().to(async || "all payments"));
        config.service(resource);
    });
    assert_eq!(
        call(Method::GET, "/payments").send(&app).await.body,
        "all payments"
    );
    assert_eq!(
        call(Method::PATCH, "/payments").send(&app).await.status,
        405
    );
    assert_eq!(
        call(Method::POST, "/payments").send(&app).await.code(),
        "key-missing"
    );
    let first = pay("k").send(&app).await;
    pay("k").send(&app).await.assert_replays(&first);
}
