//! The page in a real browser: Chromium without a window.
//!
//! `IDEM_SCREENSHOTS=FOLDER` keeps a picture of each state that the tests go through.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod page;
#[path = "../http/service.rs"]
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
mod service;

use page::Page;
use thirtyfour::Key;

/// Two clicks as quick as a browser makes them: one charge.
#[tokio::test]
async fn double_click_charges_once() {
    let Some(page) = Page::open().await else {
        return;
    };
    page.double_click_pay().await;
    let rows = page.settled_rows(2).await;
    page.charges(1).await;
    assert_eq!(rows.iter().filter(|row| row.kind == "charged").count(), 1);
    assert_eq!(rows[0].key, rows[1].key);
    page.says("carried the same key").await;
    page.says("charged once").await;
    page.picture("double-click").await;
    page.close().await;
}

/// A click after the first was answered: the same answer again, marked as a replay.
#[tokio::test]
async fn second_click_is_replayed() {
    let Some(page) = Page::open().await else {
        return;
    };
    page.picture("start").await;
    page.click("pay").await;
    page.says("Paid: you were charged $5.00.").await;
    page.click("pay").await;
    page.says("The second click carried the same key, so you were charged once.")
        .await;
    let rows = page.settled_rows(2).await;
    assert_eq!(rows[0].summary(), ("charged", "201 first answer"));
    assert_eq!(rows[1].summary(), ("replayed", "201 replayed"));
    page.charges(1).await;
    page.picture("second-click").await;
    page.close().await;
}

/// The answer is lost on the way back, and the page asks again by itself: one charge.
#[tokio::test]
async fn lost_answer_charges_once() {
    let Some(page) = Page::open().await else {
        return;
    };
    page.click("lose").await;
    page.click("pay").await;
    page.says("The answer was lost on the way back").await;
    page.picture("lost").await;
    page.says("The retry carried the same key").await;
    let rows = page.settled_rows(2).await;
    assert_eq!(rows[0].summary(), ("lost", "answer lost"));
    assert_eq!(rows[1].summary(), ("replayed", "201 replayed"));
    assert_eq!(rows[0].key, rows[1].key);
    page.charges(1).await;
    page.picture("lost-and-retried").await;
    page.close().await;
}

/// An old key on a new amount: refused, explained in words, and nothing charged.
#[tokio::test]
async fn another_amount_under_the_same_key_is_refused() {
    let Some(page) = Page::open().await else {
        return;
    };
    page.click("change").await;
    page.says("Pay first.").await;
    page.click("pay").await;
    page.says("Paid").await;
    page.click("change").await;
    page.says("This key already stands for $5.00, and now it came with $7.00.")
        .await;
    let rows = page.settled_rows(2).await;
    assert_eq!(
        rows[1].summary(),
        ("fingerprint-mismatch", "409 other request")
    );
    page.charges(1).await;
    page.picture("mismatch").await;
    page.close().await;
}

/// A new order draws a new key and is a charge of its own; five at once are one.
#[tokio::test]
async fn a_race_is_charged_once_and_a_new_order_once_more() {
    let Some(page) = Page::open().await else {
        return;
    };
    page.click("race").await;
    page.says("5 requests raced with one key: one was charged")
        .await;
    page.charges(1).await;
    page.picture("race").await;
    page.click("fresh").await;
    page.says("A new order draws a new key.").await;
    page.click("pay").await;
    page.says("Paid").await;
    page.charges(2).await;
    let rows = page.settled_rows(6).await;
    assert_ne!(rows[0].key, rows[5].key);
    assert_eq!(page.text("keys").await, "2");
    assert_eq!(page.text("requests").await, "6");
    page.picture("new-order").await;
    page.close().await;
}

/// All of it by keyboard, and what has the focus keeps it.
#[tokio::test]
async fn it_works_by_keyboard() {
    let Some(page) = Page::open().await else {
        return;
    };
    page.keys(Key::Tab).await;
    assert_eq!(page.focused().await, "pay");
    page.picture("focus").await;
    page.keys(Key::Enter).await;
    page.says("Paid").await;
    assert_eq!(page.focused().await, "pay");
    page.keys(Key::Tab).await;
    assert_eq!(page.focused().await, "lose");
    page.keys(Key::Space).await;
    page.back_tab().await;
    assert_eq!(page.focused().await, "pay");
    page.keys(Key::Enter).await;
    page.says("The retry carried the same key").await;
    page.charges(1).await;
    page.close().await;
}

/// Nothing moves under a finger that is about to press: no layout shift in a whole visit on a
/// phone. And nothing is wider than its screen.
#[tokio::test]
async fn nothing_moves_on_a_phone() {
    let Some(page) = Page::open().await else {
        return;
    };
    page.on_a_phone(812).await;
    page.picture("phone-start").await;
    page.watch_layout().await;
    page.click("pay").await;
    page.says("Paid").await;
    page.click("lose").await;
    page.click("pay").await;
    page.says("The retry carried the same key").await;
    page.click("change").await;
    page.says("This key already stands for").await;
    page.click("race").await;
    page.says("raced with a key that was paid already").await;
    page.settled_rows(9).await;
    assert_eq!(page.moved().await, Vec::<String>::new());
    assert_eq!(page.overflow().await, 0);
    page.picture("phone").await;
    page.on_a_phone(2000).await;
    page.picture("phone-whole").await;
    page.close().await;
}

/// In the dark the page is dark, and says the same.
#[tokio::test]
async fn it_follows_the_dark() {
    let Some(page) = Page::open().await else {
        return;
    };
    let light = page.brightness().await;
    page.in_the_dark().await;
    let dark = page.brightness().await;
    assert!(light > 200 && dark < 50, "light {light}, dark {dark}");
    page.click("pay").await;
    page.says("Paid").await;
    page.click("pay").await;
    page.says("charged once").await;
    page.click("change").await;
    page.says("This key already stands for").await;
    page.picture("dark").await;
    page.on_a_phone(2000).await;
    page.picture("dark-phone").await;
    page.close().await;
}

/// The browser itself reports nothing: no blocked file, no script that threw.
#[tokio::test]
async fn the_browser_has_nothing_to_complain_about() {
    let Some(page) = Page::open().await else {
        return;
    };
    page.click("pay").await;
    page.says("Paid").await;
    page.settled_rows(1).await;
    assert_eq!(page.complaints().await, Vec::<String>::new());
    page.close().await;
}
