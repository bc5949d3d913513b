//! The page in Chromium without a window, under its driver.
//!
//! `IDEM_SCREENSHOTS=FOLDER` keeps pictures of it.

use std::{env, fs, path::Path, time::Duration};

use idem_console::Console;
use idem_testbed::{Browser, skip_or_fail};
use serde_json::json;
use thirtyfour::{By, Key, TypingData, prelude::ElementQueryable as _};
use tokio::net::TcpListener;

use crate::planted;

const TOKEN: &str = "0123456789abcdef";

struct Page {
    browser: Browser,
}

impl Page {
    /// A console over records in every state, in a browser; none, said aloud, where there is none.
    async fn open() -> Option<Self> {
        let browser = skip_or_fail(Browser::start().await)?;
        let console = Console::new(planted::every_state().await)
            .title("shop, production")
            .token(TOKEN)
            .authorise(|_| Some("ada".to_owned()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, console.into_router()).await });
        let page = Self { browser };
        page.size(1280, 900).await;
        let url = format!("http://{address}/#token={TOKEN}");
        page.browser.driver().goto(url).await.unwrap();
        Some(page)
    }

    async fn tell(&self, command: &str, parameters: serde_json::Value) {
        self.browser.tell(command, parameters).await.unwrap();
    }

    async fn size(&self, width: u32, height: u32) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.tell("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    async fn theme(&self, theme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.tell("Emulation.setEmulatedMedia", features).await;
    }

    /// Waits until there is such an element with this text in it.
    async fn says(&self, css: &str, text: &str) {
        let found = self
            .browser
            .driver()
            .query(By::Css(css))
            .with_text(thirtyfour::stringmatch::StringMatch::new(text).partial());
        found
            .wait(Duration::from_secs(20), Duration::from_millis(50))
            .first()
            .await
            .unwrap_or_else(|error| panic!("«{text}» is not in {css}: {error}"));
    }

    async fn click(&self, css: &str) {
        let element = self.browser.driver().find(By::Css(css)).await.unwrap();
        element.scroll_into_view().await.unwrap();
        element.click().await.unwrap();
    }

    async fn fill(&self, css: &str, text: &str) {
        let element = self.browser.driver().find(By::Css(css)).await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    async fn press(&self, key: impl Into<TypingData>) {
        let keys = self.browser.driver().action_chain().send_keys(key);
        keys.perform().await.unwrap();
    }

    async fn number(&self, script: &str) -> f64 {
        let script = format!("return Number({script})");
        let number = self
            .browser
            .driver()
            .execute(script, Vec::new())
            .await
            .unwrap();
        number.json().as_f64().unwrap()
    }

    /// A picture in each theme, where somebody wants to look.
    async fn picture(&self, name: &str) {
        let Some(folder) = env::var_os("IDEM_SCREENSHOTS") else {
            return;
        };
        fs::create_dir_all(&folder).unwrap();
        for theme in ["light", "dark"] {
            self.theme(theme).await;
            let file = Path::new(&folder).join(format!("{name}-{theme}.png"));
            self.browser.driver().screenshot(&file).await.unwrap();
        }
    }
}

/// One browser for all that a person does: starting it takes longer than the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_key_is_seen_and_settled() {
    let Some(page) = Page::open().await else {
        return;
    };
    page.says("#link", "live").await;
    page.says("#stuck", "waits for somebody to settle it").await;
    page.says("#running", "its lease is over in").await;
    page.says("#title", "shop, production").await;
    page.picture("overview-1280").await;

    // A hostile key is text: it ran nothing, turns nothing around, and is no wider than a phone.
    assert_eq!(
        page.browser.driver().title().await.unwrap(),
        "shop, production"
    );
    page.says("#stuck", "<script>document.title='taken'</script>\\u{202e}")
        .await;
    page.size(360, 740).await;
    page.picture("overview-360").await;
    let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert!(page.number(overflow).await <= 0.0);

    // By keyboard: look a key up, open it, close it; walk through the rows.
    page.press("/").await;
    page.fill("#key", "shop:halted").await;
    page.press(Key::Enter).await;
    page.says("#record-key", "shop:halted").await;
    page.picture("record-360").await;
    assert!(page.number("record.scrollWidth - record.clientWidth").await <= 0.0);
    page.press(Key::Escape).await;
    assert!(
        page.number("document.querySelectorAll('dialog[open]').length")
            .await
            < 1.0
    );
    page.browser
        .driver()
        .execute("document.activeElement.blur()", Vec::new())
        .await
        .unwrap();
    page.press("j").await;
    assert!(page.number("stuck.contains(document.activeElement)").await > 0.0);

    // Settle it.
    page.size(1280, 900).await;
    page.press("/").await;
    page.press(Key::Enter).await;
    page.says("#record-key", "shop:halted").await;
    page.click("#settle > summary").await;
    page.click("input[value=completed]").await;
    page.fill("#status", "201").await;
    page.fill("#value", "{\"id\":17}").await;
    page.fill("#reason", "charge ch_17 <b>at the bank</b>")
        .await;
    page.picture("settle-1280").await;
    page.click("#resolve button").await;
    page.says("#said", "Settled.").await;
    page.says("#facts", "HTTP 201").await;
    page.says("#history", "charge ch_17 <b>at the bank</b>")
        .await;
    page.picture("settled-1280").await;
    page.click("#close").await;
    page.says("#changes", "resolve: halted → completed, done")
        .await;

    // The content security policy blocked nothing of the page's own, and no script failed.
    let log = page.browser.driver().browser_log().await.unwrap();
    assert!(log.is_empty(), "{log:?}");
    page.browser.driver().clone().quit().await.unwrap();
}
