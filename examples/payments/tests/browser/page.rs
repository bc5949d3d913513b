//! The page as somebody uses it.

use std::path::PathBuf;

use idem_testbed::{Browser, skip_or_fail};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use thirtyfour::{By, Key, TypingData, WebElement};

use crate::service::{Service, until};

/// One line of the timeline, once it is known how it went.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) kind: String,
    pub(crate) came_back: String,
}

impl Row {
    pub(crate) fn summary(&self) -> (&str, &str) {
        (&self.kind, &self.came_back)
    }
}

pub(crate) struct Page {
    browser: Browser,
    _service: Service,
}

impl Page {
    /// Opens it in a browser of its own; none, said aloud, where there is no browser.
    pub(crate) async fn open() -> Option<Self> {
        let browser = skip_or_fail(Browser::start().await)?;
        let service = Service::start(&[]).await;
        browser.driver().goto(service.url("/")).await.unwrap();
        Some(Self {
            browser,
            _service: service,
        })
    }

    pub(crate) async fn close(self) {
        self.browser.quit().await.unwrap();
    }

    async fn find(&self, id: &str) -> WebElement {
        self.browser.driver().find(By::Id(id)).await.unwrap()
    }

    pub(crate) async fn click(&self, id: &str) {
        self.find(id).await.click().await.unwrap();
    }

    pub(crate) async fn double_click_pay(&self) {
        let pay = self.find("pay").await;
        let hand = self.browser.driver().action_chain();
        hand.double_click_element(&pay).perform().await.unwrap();
    }

    pub(crate) async fn keys(&self, keys: impl Into<TypingData>) {
        let hand = self.browser.driver().action_chain();
        hand.send_keys(keys).perform().await.unwrap();
    }

    /// Shift and Tab.
    pub(crate) async fn back_tab(&self) {
        let hand = self.browser.driver().action_chain();
        hand.key_down(Key::Shift)
            .send_keys(Key::Tab)
            .key_up(Key::Shift)
            .perform()
            .await
            .unwrap();
    }

    pub(crate) async fn focused(&self) -> String {
        self.run("return document.activeElement.id").await
    }

    pub(crate) async fn text(&self, id: &str) -> String {
        self.find(id).await.text().await.unwrap()
    }

    /// Waits until the sentence on what happened has this in it.
    pub(crate) async fn says(&self, words: &str) {
        until(async || self.text("words").await.contains(words).then_some(())).await;
    }

    /// Waits until the page shows so many charges.
    pub(crate) async fn charges(&self, count: u64) {
        until(async || (self.text("charges").await == count.to_string()).then_some(())).await;
    }

    /// Waits until so many requests were answered.
    pub(crate) async fn settled_rows(&self, count: usize) -> Vec<Row> {
        const SCRIPT: &str = "
            return [...document.querySelectorAll('li[data-kind]')].map((row) => ({
                key: row.querySelector('.key').textContent,
                kind: row.dataset.kind,
                came_back: row.querySelector('.came-back').textContent,
            }));";
        until(async || Some(self.run(SCRIPT).await).filter(|rows: &Vec<Row>| rows.len() >= count))
            .await
    }

    async fn run<T: DeserializeOwned>(&self, script: &str) -> T {
        let returned = self.browser.driver().execute(script, Vec::new()).await;
        serde_json::from_value(returned.unwrap().json().clone()).unwrap()
    }

    /// A screen of 375 points, and so many downwards.
    pub(crate) async fn on_a_phone(&self, height: u32) {
        let screen =
            json!({"width": 375, "height": height, "deviceScaleFactor": 2, "mobile": true});
        self.browser
            .tell("Emulation.setDeviceMetricsOverride", screen)
            .await
            .unwrap();
    }

    pub(crate) async fn in_the_dark(&self) {
        let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
        let told = self.browser.tell("Emulation.setEmulatedMedia", dark).await;
        told.unwrap();
    }

    /// How bright the page's ground is, from 0 to 255.
    pub(crate) async fn brightness(&self) -> u32 {
        let colour: String = self
            .run("return getComputedStyle(document.body).backgroundColor")
            .await;
        let channels: Vec<u32> = colour
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect();
        channels[..3].iter().sum::<u32>() / 3
    }

    /// Notes what moves from now on.
    pub(crate) async fn watch_layout(&self) {
        const SCRIPT: &str = "
            window.moved = [];
            const describe = ({ node, previousRect: from, currentRect: to }) =>
                `${node?.id || node?.className || node?.nodeName}: ${JSON.stringify([from, to])}`;
            const observer = new PerformanceObserver((list) => {
                for (const { sources } of list.getEntries())
                    window.moved.push(...sources.map(describe));
            });
            // What a resize moves is drawn with the next frame, which a busy machine makes late.
            return new Promise((watching) => requestAnimationFrame(() => requestAnimationFrame(() => {
                observer.observe({ type: 'layout-shift' });
                watching(null);
            })));";
        self.run::<Option<()>>(SCRIPT).await;
    }

    /// What moved since then, and from where to where.
    pub(crate) async fn moved(&self) -> Vec<String> {
        self.run("return window.moved").await
    }

    /// By how much the page is wider than its screen.
    pub(crate) async fn overflow(&self) -> i64 {
        self.run("return document.documentElement.scrollWidth - window.innerWidth")
            .await
    }

    /// What the browser's console has to say.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.browser.driver().browser_log().await.unwrap();
        log.into_iter().map(|entry| entry.message).collect()
    }

    /// Keeps a picture of what is on the screen, where somebody asked for pictures.
    pub(crate) async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("IDEM_SCREENSHOTS").map(PathBuf::from) else {
            return;
        };
        self.run::<Option<()>>(
            "return Promise.all(document.getAnimations().map((it) => it.finished)).then(() => null)",
        )
        .await;
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        self.browser.driver().screenshot(&path).await.unwrap();
    }
}
