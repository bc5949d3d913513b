//! The router by itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    response::Response,
};
use http::{Request, StatusCode, header};
use idem_conformance::{CallFault, FaultStore, Op, async_trait};
use idem_console::Console;
use idem_core::{
    IdempotencyKey, Scope,
    store::{Browse, Cursor, Filter, Page, State, Store, StoreError},
};
use idem_memory::MemoryStore;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::timeout};
use tower::ServiceExt as _;

use crate::planted::{self, key};

const HOST: &str = "console.example";
/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A console that trusts the header `x-staff-user`, below a path of the application's.
fn app(store: &Arc<MemoryStore>) -> Router {
    mounted(console(Arc::clone(store) as _, Arc::clone(store) as _))
}

fn console(store: Arc<dyn Store>, browse: Arc<dyn Browse>) -> Console {
    Console::of(store, browse).host(HOST).authorise(|request| {
        let user = request.headers.get("x-staff-user")?;
        Some(user.to_str().ok()?.to_owned())
    })
}

fn mounted(console: Console) -> Router {
    Router::new().nest("/ops/idem", console.into_router())
}

struct Call(http::request::Builder, Body);

fn get(path: &str) -> Call {
    let uri = format!("/ops/idem{path}");
    let request = Request::get(uri).header(header::HOST, HOST);
    Call(request, Body::empty())
}

fn post(path: &str, body: &Value) -> Call {
    let uri = format!("/ops/idem{path}");
    let request = Request::post(uri)
        .header(header::HOST, HOST)
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-staff-user", "ada");
    Call(request, Body::from(body.to_string()))
}

impl Call {
    fn with(mut self, name: &str, value: &str) -> Self {
        let headers = self.0.headers_mut().unwrap();
        let name: http::HeaderName = name.parse().unwrap();
        headers.insert(name, value.parse().unwrap());
        self
    }

    async fn to(self, app: &Router) -> Response {
        let request = self.0.body(self.1).unwrap();
        app.clone().oneshot(request).await.unwrap()
    }

    async fn answers(self, app: &Router, status: StatusCode) -> Value {
        let response = self.to(app).await;
        let (got, body) = (response.status(), text(response).await);
        assert_eq!(got, status, "{body}");
        serde_json::from_str(&body).unwrap_or_default()
    }
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A change of the record as it is now.
async fn asked(app: &Router, name: &str, more: &Value) -> Value {
    let shown = post("/api/record", &json!({ "key": name }));
    let shown = shown.answers(app, StatusCode::OK).await;
    let mut asked = json!({ "key": name, "version": shown["version"], "reason": "charge ch_17" });
    for (name, value) in more.as_object().unwrap() {
        asked[name] = value.clone();
    }
    asked
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_files() {
    let app = app(&Arc::new(MemoryStore::new()));
    let page = get("").to(&app).await;
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap()
        .to_owned();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = text(page).await;
    assert!(page.contains("<base href=\"/ops/idem/\">"), "{page}");
    let style_in_the_page = page.contains(" style=") || page.contains("<style");
    assert!(!style_in_the_page && !page.contains(" onclick"), "{page}");
    for (path, media) in [("/app.js", "text/javascript"), ("/app.css", "text/css")] {
        let file = get(path).to(&app).await;
        let kind = file.headers()[header::CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with(media), "{kind}");
        assert_eq!(file.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    // A key, or anything else that a client chose, becomes text and never HTML.
    let script = include_str!("../../src/page/app.js");
    for danger in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
    ] {
        assert!(!script.contains(danger), "{danger}");
    }
}

#[tokio::test]
async fn a_record_is_shown_without_its_answer() {
    let app = app(&planted::every_state().await);
    let shown = post("/api/record", &json!({ "key": "shop:completed" }));
    let shown = shown.answers(&app, StatusCode::OK).await;
    assert_eq!(shown["state"], "completed");
    assert_eq!(shown["payload"]["kind"], "json");
    assert!(!shown.to_string().contains("of a client"), "{shown}");
    assert!(
        shown["resolve_refused"]
            .as_str()
            .unwrap()
            .contains("first ending wins")
    );
    for (asked, status) in [
        ("shop:nothing", StatusCode::NOT_FOUND),
        ("no-scope", StatusCode::BAD_REQUEST),
        (&*"s:x".repeat(600), StatusCode::BAD_REQUEST),
    ] {
        let shown = post("/api/record", &json!({ "key": asked }));
        shown.answers(&app, status).await;
    }
}

async fn first_event(app: &Router) -> String {
    let body = get("/api/events").to(app).await.into_body();
    let mut events = body.into_data_stream();
    let first = futures_util::StreamExt::next(&mut events).await;
    String::from_utf8(first.unwrap().unwrap().to_vec()).unwrap()
}

fn overview(event: &str) -> Value {
    serde_json::from_str(event.split_once("data: ").unwrap().1.trim()).unwrap()
}

#[tokio::test]
async fn the_overview_says_what_is_stuck_and_why() {
    let app = app(&planted::every_state().await);
    let event = first_event(&app).await;
    let data = overview(&event);
    assert_eq!(data["read"], 8);
    assert_eq!(data["states"]["halted"], 2);
    assert_eq!(data["stuck"].as_array().unwrap().len(), 3);
    assert_eq!(data["stuck"][2]["key"], "shop:abandoned");
    let why = data["stuck"][0]["why"].as_str().unwrap();
    assert!(why.contains("waits for somebody to settle it"), "{why}");
    assert_eq!(data["running"][0]["lease_s"], 3600.0);
    assert_eq!(data["minute"]["claimed"], 8);
    let stuck = data["stuck"].as_array().unwrap().iter();
    let shown: String = stuck.map(|row| row["shown"].as_str().unwrap()).collect();
    assert!(
        shown.contains("\\u{202e}") && !shown.contains('\u{202e}'),
        "{shown}"
    );
    assert!(!event.contains("of a client"), "no answer is told: {event}");
}

#[tokio::test]
async fn a_stuck_key_is_settled_and_the_audit_says_by_whom() {
    let store = planted::every_state().await;
    let app = app(&store);
    let how = json!({ "how": "completed", "value": "{\"id\":17}", "status": 201 });
    let asked = asked(&app, "shop:halted", &how).await;
    post("/api/resolve", &asked)
        .answers(&app, StatusCode::OK)
        .await;
    let stored = store.get(&key("shop:halted")).await.unwrap().unwrap();
    assert!(matches!(stored.record.state, State::Completed { .. }));
    assert!(stored.remaining.unwrap() <= Duration::from_secs(24 * 3600));
    let shown = post("/api/record", &json!({ "key": "shop:halted" }));
    let shown = shown.answers(&app, StatusCode::OK).await;
    assert_eq!(shown["payload"]["status"], 201);
    let entry = &shown["history"][0];
    assert_eq!(
        (&entry["by"], &entry["reason"], &entry["outcome"]),
        (&json!("ada"), &json!("charge ch_17"), &json!("done"))
    );
    // Somebody else was faster.
    let again = post("/api/resolve", &asked)
        .answers(&app, StatusCode::CONFLICT)
        .await;
    assert_eq!(again["error"], "changed");
}

#[tokio::test]
async fn a_key_is_released_unless_its_effect_would_happen_again() {
    let store = planted::every_state().await;
    let app = app(&store);
    for (name, status) in [
        ("shop:abandoned", StatusCode::OK),
        ("shop:failed", StatusCode::OK),
        ("shop:running", StatusCode::CONFLICT),
        ("shop:completed", StatusCode::CONFLICT),
        ("shop:released", StatusCode::CONFLICT),
    ] {
        let asked = asked(&app, name, &json!({})).await;
        post("/api/release", &asked).answers(&app, status).await;
    }
    let stored = store.get(&key("shop:completed")).await.unwrap().unwrap();
    assert!(matches!(stored.record.state, State::Completed { .. }));
}

#[tokio::test]
async fn nothing_changes_without_a_reason_a_valid_answer_or_the_right() {
    let store = planted::every_state().await;
    let app = app(&store);
    let run_again = asked(&app, "shop:halted", &json!({ "how": "run-again" })).await;
    let refused = |change: Value| {
        let mut asked = run_again.clone();
        for (name, value) in change.as_object().unwrap() {
            asked[name] = value.clone();
        }
        post("/api/resolve", &asked)
    };
    for (call, status) in [
        (refused(json!({ "reason": " " })), StatusCode::BAD_REQUEST),
        (
            refused(json!({ "version": "07.1" })),
            StatusCode::BAD_REQUEST,
        ),
        (
            refused(json!({ "how": "completed", "value": "not JSON" })),
            StatusCode::BAD_REQUEST,
        ),
        (
            refused(json!({ "how": "completed", "value": "x", "status": 1000 })),
            StatusCode::BAD_REQUEST,
        ),
        (
            refused(json!({ "key": "shop:nothing" })),
            StatusCode::NOT_FOUND,
        ),
        (
            refused(json!({})).with("x-staff-user", ""),
            StatusCode::FORBIDDEN,
        ),
        // A page of another site's, with the cookies of whoever looks at it.
        (
            refused(json!({})).with("origin", "https://evil.example"),
            StatusCode::FORBIDDEN,
        ),
        (
            refused(json!({})).with("sec-fetch-site", "cross-site"),
            StatusCode::FORBIDDEN,
        ),
        (
            refused(json!({})).with("origin", "null"),
            StatusCode::FORBIDDEN,
        ),
        (
            refused(json!({})).with("content-type", "text/plain"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
    ] {
        call.answers(&app, status).await;
    }
    let stored = store.get(&key("shop:halted")).await.unwrap().unwrap();
    assert!(matches!(stored.record.state, State::InFlight { .. }));
    let own = refused(json!({})).with("origin", &format!("https://{HOST}"));
    own.answers(&app, StatusCode::OK).await;
}

#[tokio::test]
async fn a_token_is_asked_for_wherever_data_is_told() {
    let store = planted::every_state().await;
    let console = Console::new(store).token("0123456789abcdef");
    let app = mounted(console);
    assert_eq!(get("").to(&app).await.status(), StatusCode::OK);
    let tries = [
        None,
        Some("Bearer x"),
        Some("Bearer "),
        Some("0123456789abcdef"),
    ];
    for path in ["/api/session", "/api/events"] {
        for given in tries {
            let call = given
                .iter()
                .fold(get(path), |call, given| call.with("authorization", given));
            call.answers(&app, StatusCode::UNAUTHORIZED).await;
        }
    }
    let call = get("/api/session").with("authorization", "Bearer 0123456789abcdef");
    let session = call.answers(&app, StatusCode::OK).await;
    assert_eq!(session["actor"], Value::Null);
    let act = post(
        "/api/resolve",
        &json!({ "key": "shop:halted", "version": "", "reason": "", "how": "run-again" }),
    );
    let act = act.with("authorization", "Bearer 0123456789abcdef");
    act.answers(&app, StatusCode::FORBIDDEN).await;
}

/// A listing that is read one permit at a time.
struct Gated {
    store: Arc<MemoryStore>,
    pages: Semaphore,
    listed: AtomicUsize,
    asked: Semaphore,
}

impl Gated {
    fn new(store: &Arc<MemoryStore>, pages: usize) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::clone(store),
            pages: Semaphore::new(pages),
            listed: AtomicUsize::new(0),
            asked: Semaphore::new(0),
        })
    }
}

#[async_trait]
impl Browse for Gated {
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.asked.add_permits(1);
        self.pages.acquire().await.unwrap().forget();
        let page = self.store.browse(filter, after, limit).await?;
        self.listed.fetch_add(page.records.len(), Ordering::Relaxed);
        Ok(page)
    }
}

#[tokio::test]
async fn an_overview_reads_no_more_records_than_it_may_of_the_audit_either() {
    let store = Arc::new(MemoryStore::new());
    for n in 0..40 {
        let name = IdempotencyKey::new(n.to_string()).unwrap();
        let state = State::Completed {
            payload: "{}".into(),
        };
        let key = Scope::audit().key(&name);
        planted::put(&store, &key, state, Duration::from_secs(3600)).await;
    }
    let browse = Gated::new(&store, 1000);
    let app = mounted(console(store, Arc::clone(&browse) as _).most_records(10));
    let event = first_event(&app).await;
    assert_eq!(browse.listed.load(Ordering::Relaxed), 10);
    assert_eq!(overview(&event)["whole"], false);
}

#[tokio::test]
async fn a_change_does_not_wait_for_an_overview_that_is_read_and_the_next_one_has_it() {
    let store = planted::every_state().await;
    let browse = Gated::new(&store, 0);
    let app = mounted(console(store, Arc::clone(&browse) as _));
    let looking = tokio::spawn({
        let app = app.clone();
        async move { first_event(&app).await }
    });
    browse.asked.acquire().await.unwrap().forget();
    let asked = asked(&app, "shop:abandoned", &json!({})).await;
    let release = post("/api/release", &asked);
    let released = timeout(PATIENCE, release.answers(&app, StatusCode::OK)).await;
    released.expect("the answer came while the overview was being read");
    browse.pages.add_permits(1000);
    looking.await.unwrap();
    // What was read before the change is not shown as if it were after it.
    first_event(&app).await;
    assert_eq!(browse.asked.available_permits(), 1);
}

#[tokio::test]
async fn a_change_that_was_begun_ends_although_its_page_is_closed() {
    let inner = planted::every_state().await;
    let store = FaultStore::over(Arc::clone(&inner));
    let app = mounted(console(Arc::new(store.clone()), inner as _));
    let asked = asked(&app, "shop:abandoned", &json!({})).await;
    store.on_next(Op::Update, CallFault::Hang);
    let acting = tokio::spawn({
        let (app, call) = (app.clone(), post("/api/release", &asked));
        async move { call.to(&app).await }
    });
    let until = async |is_so: &dyn Fn() -> bool| {
        let seen = async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, seen).await.expect("it came to that");
    };
    until(&|| store.struck().contains_key("hang")).await;
    acting.abort();
    let closed = acting.await.unwrap_err();
    assert!(closed.is_cancelled());
    store.heal();
    let ended = async {
        loop {
            let shown = post("/api/record", &json!({ "key": "shop:abandoned" }));
            let shown = shown.answers(&app, StatusCode::OK).await;
            if shown["history"][0]["outcome"] == "done" {
                break shown;
            }
            tokio::task::yield_now().await;
        }
    };
    let shown = timeout(PATIENCE, ended).await.expect("the change ended");
    assert_eq!(shown["state"], "released");
}

/// Another site's name that points at this server: to a browser its page is the console's own.
#[tokio::test]
async fn nothing_is_told_or_changed_under_a_name_that_is_not_the_consoles() {
    let app = app(&planted::every_state().await);
    let show = || post("/api/record", &json!({ "key": "shop:halted" }));
    let own_name = |host| {
        show()
            .with("host", host)
            .with("origin", &format!("http://{host}"))
    };
    for host in ["evil.example", "127.0.0.1.evil.example:80", "?", ""] {
        let refused = own_name(host).answers(&app, StatusCode::FORBIDDEN).await;
        assert_eq!(refused["error"], "unknown-host", "{host}");
        let events = get("/api/events").with("host", host);
        events.answers(&app, StatusCode::FORBIDDEN).await;
    }
    for host in [
        "Console.example:8443",
        "localhost:1",
        "127.0.0.1",
        "[::1]:80",
    ] {
        own_name(host).answers(&app, StatusCode::OK).await;
    }
}
