//! A file: the whole story, and what is a file's alone.

use idem_core::{
    Claim, Fingerprint, Idempotency, RecordKey, error::ExecuteError, machine::NEVER, store::State,
};
use idem_sqlite::{SqliteConfig, SqliteStore};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;

use crate::{
    idem::{Idem, run},
    planted, story,
};

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

pub(crate) async fn file() -> (TempDir, String, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("keys.db").display());
    let config = SqliteConfig::default().sweep_every(None);
    let store = SqliteStore::connect_with(&url, config).await.unwrap();
    (folder, url, store)
}

#[tokio::test]
async fn sqlite_tells_the_story() {
    let (_folder, url, store) = file().await;
    story::tell(&url, &store).await;
}

/// A wrong path makes no file, and `migrate` makes one.
#[test]
fn only_migrate_makes_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("typo.db");
    let idem = Idem::at(format!("sqlite:{}", path.display()));
    for command in [
        "list",
        "status",
        "audit",
        "sweep",
        "show a:b",
        "migrate --check",
    ] {
        idem.run(command).expect(1);
        assert!(!path.exists(), "{command}");
    }
    idem.run("doctor").expect(5);
    assert!(!path.exists());
    idem.run("migrate").expect(0);
    idem.run("migrate --check").expect(0);
    idem.run("list").expect(0);
}

/// G2, G4: what was settled by hand is what repeats get, by the engine that asks next.
#[tokio::test]
async fn g2_a_repeat_gets_what_was_settled_by_hand() {
    let (_folder, url, store) = file().await;
    planted::put(&store, "shop:k", planted::lapsed(), NEVER).await;
    let idem = Idem::at(&*url);
    idem.with(&[
        "resolve",
        "shop:k",
        "--completed-json",
        "17",
        "--reason",
        "paid",
        "--yes",
    ])
    .expect(0);
    let engine = Idempotency::new(store);
    let key = RecordKey::parse("shop:k").unwrap();
    let request = Fingerprint::of("test", b"request");
    let repeat = engine.execute(&key, &request, async |_| {
        Ok::<u64, idem_core::Failure<String>>(0)
    });
    let repeat = repeat.await.unwrap();
    assert_eq!((repeat.value, repeat.replayed), (17, true));
    let other = Fingerprint::of("test", b"another request");
    let claim = engine.claim(&key, &other).await.unwrap();
    assert!(matches!(claim, Claim::Refused(_)));
}

/// G2: of several people who settle a key at once one does. All of them are in the audit.
#[tokio::test]
async fn g2_of_several_people_who_settle_a_key_at_once_one_does() {
    let (_folder, url, store) = file().await;
    planted::put(&store, "shop:k", planted::lapsed(), NEVER).await;
    let version = Idem::at(&*url).json("show shop:k")[0]["version"].clone();
    let version = version.as_str().unwrap().to_owned();
    let people: Vec<_> = (0..6)
        .map(|n| {
            let (idem, version) = (Idem::at(&*url), version.clone());
            std::thread::spawn(move || {
                let value = n.to_string();
                idem.with(&[
                    "resolve",
                    "shop:k",
                    "--completed-json",
                    &value,
                    "--reason",
                    "paid",
                    "--yes",
                    "--by",
                    &value,
                    "--if-version",
                    &version,
                ])
            })
        })
        .collect();
    let ran: Vec<_> = people.into_iter().map(|one| one.join().unwrap()).collect();
    let done: Vec<_> = (0..6).filter(|n| ran[*n].code == 0).collect();
    assert_eq!(done.len(), 1, "{ran:?}");
    for one in ran.iter().filter(|one| one.code != 0) {
        assert!(matches!(one.code, 4 | 6), "{one:?}");
    }
    let idem = Idem::at(&*url);
    assert_eq!(
        idem.json("show shop:k --payload")[0]["payload"]["value"],
        done[0]
    );
    let entries = idem.json("audit --key shop:k");
    let done_by: Vec<_> = entries
        .iter()
        .filter(|entry| entry["outcome"] == "done")
        .collect();
    assert_eq!(done_by.len(), 1, "{entries:?}");
    assert_eq!(done_by[0]["by"], done[0].to_string());
    assert!(
        entries.iter().all(|entry| entry["outcome"] != "begun"),
        "{entries:?}"
    );
}

/// A repeat of typed work whose answer was erased does not run, and is told why.
#[tokio::test]
async fn g2_a_repeat_of_an_erased_answer_does_not_run() {
    let (_folder, url, store) = file().await;
    let payload = idem_core::Bytes::from_static(b"{\"name\":\"Ada\"}");
    let state = State::Completed { payload };
    planted::put(
        &store,
        "shop:k",
        state,
        std::time::Duration::from_secs(3600),
    )
    .await;
    let idem = Idem::at(&*url);
    idem.run("erase --scope shop --reason asked --yes")
        .expect(0);
    let engine = Idempotency::new(store);
    let key = RecordKey::parse("shop:k").unwrap();
    let request = Fingerprint::of("test", b"request");
    let repeat = engine
        .execute(&key, &request, async |_| {
            Ok::<u64, idem_core::Failure<String>>(0)
        })
        .await;
    match repeat {
        Err(ExecuteError::Unstorable { message, replayed }) => {
            assert!(message.contains("erased") && replayed);
        }
        other => panic!("{other:?}"),
    }
}

/// One damaged record does not hide the others, and is named.
#[tokio::test]
async fn s7_a_record_that_cannot_be_read_is_named_among_the_others() {
    let (folder, url, store) = file().await;
    for key in ["shop:a", "shop:b", "shop:c"] {
        planted::put(&store, key, State::Released, DAY).await;
    }
    let file = folder.path().join("keys.db");
    let mut raw = SqliteConnection::connect(&file.display().to_string())
        .await
        .unwrap();
    let damage = "UPDATE idem_records SET body = x'00' WHERE key = 'b'";
    raw.execute(damage).await.unwrap();
    let idem = Idem::at(&*url);
    let list = idem.run("list");
    let names = |text: &str| ["shop:a", "shop:b", "shop:c"].map(|key| text.contains(key));
    assert_eq!(names(&list.expect(0).out), [true, false, true], "{list:?}");
    assert_eq!(names(&list.err), [false, true, false], "{list:?}");
    let json = idem.json("list");
    let told = json.iter().find(|line| line["type"] == "unreadable");
    assert_eq!(told.unwrap()["key"], "shop:b");
    let status = &idem.json("status")[0];
    assert_eq!(
        (&status["records"], &status["unreadable"]),
        (&2.into(), &1.into())
    );
    // Nobody can say that what it has of a person is forgotten.
    idem.run("erase --scope shop --reason asked --yes")
        .expect(1);
}

/// The URL is told apart, and what is wrong with the command line is code 2.
#[test]
fn a_wrong_command_line_is_told_and_is_code_2() {
    let none = run(std::process::Command::new(env!("CARGO_BIN_EXE_idem"))
        .arg("list")
        .env_remove("IDEM_STORE"));
    none.expect(2);
    assert!(none.err.contains("IDEM_STORE"), "{none:?}");
    let foreign = Idem::at("mongodb://app:s3cret@db").run("list");
    assert!(!foreign.expect(2).err.contains("s3cret"));
    for url in [
        "redis://app:s3cret@127.0.0.1:1",
        "postgres://app:s3cret@127.0.0.1:1/x",
        "mysql://app:s3cret@127.0.0.1:1/x",
    ] {
        for command in ["list", "doctor", "status --json", "doctor --json"] {
            let away = Idem::at(url).run(command);
            assert!(matches!(away.code, 1 | 5), "{away:?}");
            assert!(!format!("{away:?}").contains("s3cret"), "{away:?}");
        }
    }
    let error = Idem::at("sqlite:/nowhere/at/all.db").run("list --json");
    let error: serde_json::Value = serde_json::from_str(error.expect(1).err.trim()).unwrap();
    assert_eq!(
        (&error["type"], &error["exit_code"]),
        (&"error".into(), &1.into())
    );
}
