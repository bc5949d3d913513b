//! One Redis server: it serves, keeps what it should over a kill, stands still, and refuses.

use std::time::Duration;

use idem_testbed::{AppendFsync, Redis, TestbedError, redis::Reply, skip_or_fail};

fn text(redis: &Redis, command: &[&str]) -> Option<String> {
    redis
        .command(command)
        .expect("the command is allowed")
        .text()
}

#[tokio::test]
async fn a_server_without_a_file_serves_and_forgets_when_killed() {
    let Some(redis) = skip_or_fail(Redis::start().await) else {
        return;
    };
    text(&redis, &["SET", "k", "v"]);
    assert_eq!(text(&redis, &["GET", "k"]).as_deref(), Some("v"));

    let port = redis.port();
    redis.kill();
    assert!(!redis.is_running());
    assert!(
        redis.client().is_err(),
        "nobody listens on the port of a killed server"
    );

    redis.restart().await.unwrap();
    assert_eq!(redis.port(), port);
    assert_eq!(redis.command(&["GET", "k"]).unwrap(), Reply::Nil);
}

/// As a service is, so that a benchmark finds it given its share of the processors.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_is_in_a_session_of_its_own() {
    let Some(redis) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let pid = redis.process_id().expect("it runs");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    let session = after_name.split(' ').nth(3).unwrap();
    assert_eq!(session, pid.to_string());
}

#[tokio::test]
async fn a_server_that_appends_always_has_every_acknowledged_write_after_a_kill() {
    let builder = Redis::builder().append_only(AppendFsync::Always);
    let Some(redis) = skip_or_fail(builder.start().await) else {
        return;
    };
    for round in 0..3 {
        let mut client = redis.client().unwrap();
        for n in 0..100 {
            client
                .call(&["SET", &format!("k{round}-{n}"), "v"])
                .unwrap();
        }
        redis.kill();
        redis.restart().await.unwrap();
        let expected = ((round + 1) * 100).to_string();
        assert_eq!(text(&redis, &["DBSIZE"]), Some(expected));
    }
}

#[tokio::test]
async fn a_paused_server_keeps_connections_and_answers_when_resumed() {
    let Some(redis) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let mut client = redis.client().unwrap();
    client.call(&["PING"]).unwrap();

    redis.pause();
    assert!(redis.is_running());
    client.send(&["INCR", "n"]).unwrap();
    client.set_patience(Duration::from_millis(200)).unwrap();
    assert!(
        client.receive().is_err(),
        "a server that stands still answers nothing"
    );

    redis.resume();
    client.set_patience(Duration::from_secs(10)).unwrap();
    assert_eq!(client.receive().unwrap(), Reply::Integer(1));
}

#[tokio::test]
async fn a_paused_server_can_be_killed() {
    let Some(redis) = skip_or_fail(Redis::start().await) else {
        return;
    };
    redis.pause();
    redis.kill();
    redis.restart().await.unwrap();
    assert_eq!(text(&redis, &["PING"]).as_deref(), Some("PONG"));
}

#[tokio::test]
async fn a_full_server_refuses_under_noeviction() {
    let builder = Redis::builder().max_memory("4mb", "noeviction");
    let Some(redis) = skip_or_fail(builder.start().await) else {
        return;
    };
    let big = "x".repeat(1 << 20);
    let refused = (0..8)
        .map(|n| redis.command(&["SET", &format!("k{n}"), &big]))
        .find_map(Result::err)
        .expect("eight writes of 1 MiB do not fit into 4 MiB");
    assert!(
        matches!(&refused, TestbedError::Refused { answer, .. } if answer.starts_with("OOM")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_restricted_user_may_do_what_its_rules_say() {
    let builder = Redis::builder().user("app on >secret ~* &* +@all -@dangerous");
    let Some(redis) = skip_or_fail(builder.start().await) else {
        return;
    };
    let mut client = redis.client().unwrap();
    client.call(&["AUTH", "app", "secret"]).unwrap();
    assert_eq!(
        client.call(&["SET", "k", "v"]).unwrap(),
        Reply::Status("OK".to_owned())
    );
    let refused = client.call(&["INFO"]).unwrap();
    assert!(
        matches!(&refused, Reply::Error(error) if error.starts_with("NOPERM")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_server_that_wants_a_password_counts_as_up() {
    let builder = Redis::builder().directive("requirepass", "secret");
    let Some(redis) = skip_or_fail(builder.start().await) else {
        return;
    };
    assert!(redis.command(&["GET", "k"]).is_err());
}

#[tokio::test]
async fn a_refused_configuration_is_told_with_the_words_of_the_server() {
    if skip_or_fail(idem_testbed::RedisBinary::find()).is_none() {
        return;
    }
    let failure = Redis::builder()
        .directive("no-such-directive", "1")
        .start()
        .await
        .unwrap_err();
    let TestbedError::Start { log, .. } = &failure else {
        panic!("{failure}");
    };
    assert!(log.contains("no-such-directive"), "{failure}");
}

#[test]
fn a_server_starts_without_a_runtime() {
    let Some(redis) = skip_or_fail(Redis::start_blocking()) else {
        return;
    };
    redis.kill();
    redis.restart_blocking().unwrap();
    assert_eq!(text(&redis, &["PING"]).as_deref(), Some("PONG"));
}
