//! S8: distinct keys never collide, and no key is anything but a key.

use idem_core::{
    RecordKey, Scope,
    store::{Created, Store},
};

use crate::{
    Harness, Verdict,
    call::{expect_record, look, ok, put, remove, replace},
    sample::{self, Keys, LONG, key_in},
};

/// Texts that mean something to a server, a shell, a pattern or a formatter.
const HOSTILE: &[&str] = &[
    "*",
    "?",
    "[a-z]",
    "[^a]",
    "{tag}",
    "}{",
    "%",
    "%s%n",
    "%2F",
    "_",
    "a:b",
    ":",
    "::",
    "/",
    "../../etc",
    "\\",
    "\\*",
    "'",
    "\"",
    "`",
    "'; DROP TABLE records; --",
    "' OR '1'='1",
    "$1",
    "${HOME}",
    "$(reboot)",
    ";",
    "--",
    "#",
    "\u{feff}bom",
    "NULL",
    "null",
    "0",
    "-1",
    " ",
    "  ",
    " leading",
    "trailing ",
    "ключ",
    "鍵",
    "🔑",
    "\u{202e}rtl",
    "\u{e9}",   // é, one code point
    "e\u{301}", // é, two code points
    "KEY",
    "key",
    "Key",
    "straße",
    "STRASSE",
    // Numbers that are equal and texts that are not.
    "7",
    "007",
    "7.0",
    "+7",
    "7e0",
    "0x7",
    // Characters that a collation skips.
    "ab",
    "a\u{200b}b",
    "a\u{ad}b",
    "a\u{2060}b",
    // Characters that a compatibility form folds.
    "A1",
    "\u{ff21}\u{ff11}", // full-width
    "fi",
    "\u{fb01}", // one ligature
    "\u{2460}", // a one in a circle
    "1",
];

/// **S8.** Keys that mean something elsewhere are keys like any other here: each has its own
/// record, and goes alone.
pub async fn s8_hostile_keys_are_keys_like_any_other(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let all: Vec<_> = HOSTILE.iter().map(|text| keys.named(text)).collect();
    expect_apart(&*store, &all).await;
    Ok(())
}

/// **S8.** Scopes that mean something elsewhere are scopes like any other here.
pub async fn s8_hostile_scopes_are_scopes_like_any_other(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let scopes = HOSTILE
        .iter()
        .filter_map(|text| keys.scope().child(*text).ok());
    let all: Vec<_> = scopes.map(|scope| key_in(&scope, "key")).collect();
    expect_apart(&*store, &all).await;
    Ok(())
}

/// **S8.** The empty scope is a scope like any other, and not the absence of one: its keys are found
/// again, and nobody else's. (The keys are drawn at random, since the suite's namespace lies below.)
pub async fn s8_the_empty_scope_is_a_scope(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let key = keys.random();
    let global = key_in(&Scope::global(), key.key());
    let there = sample::claim();
    put(&*store, &global, &there, LONG).await;
    match ok(
        "create",
        store.create(&global, &sample::claim(), LONG).await,
    ) {
        Created::Exists(found) => assert_eq!(found.record, there, "S8: it is found"),
        Created::New => panic!("S8: a record without a scope is a record"),
    }
    expect_apart(&*store, std::slice::from_ref(&key)).await;
    expect_record(&*store, &global, &there, "S8: it is another key's").await;
    let done = sample::completed(&there, "answer");
    replace(&*store, &global, there.version, &done, LONG).await;
    expect_record(&*store, &global, &done, "S8: it is updated").await;
    remove(&*store, &global, done.version).await;
    assert_eq!(look(&*store, &global).await, None, "S8: it is gone");
    Ok(())
}

/// **S8.** Pairs of scope and key that look alike when joined do not collide: `("a:b", "c")` is not
/// `("a", "b:c")`.
pub async fn s8_pairs_that_look_alike_do_not_collide(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let pair = |path: &[&str], key| {
        let scope = path
            .iter()
            .fold(keys.scope().clone(), |scope, part| child(&scope, part));
        key_in(&scope, key)
    };
    let all = [
        pair(&["a:b"], "c"),
        pair(&["a"], "b:c"),
        pair(&["a", "b"], "c"),
        pair(&["a/b"], "c"),
        pair(&["a%2Fb"], "c"),
        pair(&["a"], "b/c"),
        pair(&["a"], ":b:c"),
        pair(&["a:"], "b:c"),
        pair(&["ab"], "c"),
        pair(&["a"], "bc"),
        pair(&[], "a:b:c"),
        pair(&[], "abc"),
        pair(&["{a}"], "bc"),
        pair(&["a}"], "{bc"),
    ];
    expect_apart(&*store, &all).await;
    Ok(())
}

/// **S8.** Keys of the full 255 bytes, in scopes of the full length, are told apart by their last
/// byte: nothing is cut short.
pub async fn s8_long_keys_are_told_apart_by_their_last_byte(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let mut scopes = [keys.scope().clone(), keys.scope().clone()];
    for scope in &mut scopes {
        while let Ok(longer) = scope.child("s".repeat(200)) {
            *scope = longer;
        }
    }
    let fill = Scope::MAX_LEN - scopes[0].as_str().len() - 1;
    if fill > 0 {
        scopes[0] = child(&scopes[0], &("s".repeat(fill - 1) + "1"));
        scopes[1] = child(&scopes[1], &("s".repeat(fill - 1) + "2"));
    }
    let long = "k".repeat(254);
    let wide = "é".repeat(127);
    let mut all = vec![
        key_in(&scopes[0], &format!("{long}a")),
        key_in(&scopes[0], &format!("{long}b")),
        key_in(&scopes[0], &long),
        key_in(&scopes[0], &format!("{wide}a")),
        key_in(&scopes[0], &format!("{wide}b")),
    ];
    if fill > 0 {
        all.push(key_in(&scopes[1], &format!("{long}a")));
    }
    expect_apart(&*store, &all).await;
    Ok(())
}

fn child(scope: &Scope, segment: &str) -> Scope {
    scope
        .child(segment)
        .expect("the suite uses segments that are segments")
}

/// Files a record under each key; each is new, is found as itself, and goes alone.
async fn expect_apart(store: &dyn Store, all: &[RecordKey]) {
    let records: Vec<_> = all.iter().map(|_| sample::claim()).collect();
    for (key, record) in all.iter().zip(&records) {
        let created = ok("create", store.create(key, record, LONG).await);
        assert_eq!(
            created,
            Created::New,
            "S8: {:?} is a key of its own",
            key.as_str()
        );
    }
    for (key, record) in all.iter().zip(&records) {
        let why = format!("S8: {:?} has its own record", key.as_str());
        expect_record(store, key, record, &why).await;
    }
    for (n, (key, record)) in all.iter().zip(&records).enumerate() {
        remove(store, key, record.version).await;
        assert_eq!(
            look(store, key).await,
            None,
            "S8: {:?} is gone",
            key.as_str()
        );
        if let (Some(next), Some(record)) = (all.get(n + 1), records.get(n + 1)) {
            let why = format!("S8: {:?} went, {:?} stays", key.as_str(), next.as_str());
            expect_record(store, next, record, &why).await;
        }
    }
    // What was gone stays gone, and nothing was left behind under a look-alike.
    let first = sample::claim();
    put(store, &all[0], &first, LONG).await;
    for key in &all[1..] {
        assert_eq!(
            look(store, key).await,
            None,
            "S8: {:?} is gone",
            key.as_str()
        );
    }
}
