//! Every fault of the proxy, before a Redis server, seen from both sides.

use std::{
    io,
    net::TcpStream,
    time::{Duration, Instant},
};

use idem_testbed::{
    Fault, FaultyProxy, Redis,
    redis::{Reply, RespClient},
    skip_or_fail,
};

fn started() -> Option<(Redis, FaultyProxy)> {
    let redis = skip_or_fail(Redis::start_blocking())?;
    let proxy = FaultyProxy::start(redis.address()).expect("a proxy needs a port and a thread");
    Some((redis, proxy))
}

fn client(proxy: &FaultyProxy) -> RespClient {
    RespClient::connect(proxy.address()).expect("the proxy listens")
}

fn value(redis: &Redis, key: &str) -> Option<String> {
    let reply = redis.command(&["GET", key]);
    reply.expect("GET is allowed").text()
}

fn one() -> Option<String> {
    Some("1".to_owned())
}

#[test]
fn without_a_rule_it_is_not_noticed() {
    let Some((redis, proxy)) = started() else {
        return;
    };
    let mut client = client(&proxy);
    let big = "x".repeat(3 << 20);
    client.call(&["SET", "big", &big]).unwrap();
    assert_eq!(client.call(&["GET", "big"]).unwrap().text(), Some(big));
    for _ in 0..100 {
        client.send(&["INCR", "n"]).unwrap();
    }
    for n in 1..=100 {
        assert_eq!(client.receive().unwrap(), Reply::Integer(n));
    }
    assert_eq!(value(&redis, "n").as_deref(), Some("100"));
    assert_eq!(proxy.counts().forwarded, 102);
    assert_eq!(proxy.counts().faults(), 0);
}

#[test]
fn a_request_cut_off_never_reaches_the_server() {
    let Some((redis, proxy)) = started() else {
        return;
    };
    proxy.arm(Fault::CutBeforeRequest.once());
    let mut first = client(&proxy);
    assert!(first.call(&["INCR", "n"]).is_err());
    assert!(
        first.call(&["INCR", "n"]).is_err(),
        "that connection is cut"
    );
    assert_eq!(value(&redis, "n"), None);

    assert_eq!(
        client(&proxy).call(&["INCR", "n"]).unwrap(),
        Reply::Integer(1)
    );
    assert_eq!(proxy.counts().cut_before_request, 1);
}

#[test]
fn a_reply_is_lost_only_after_the_server_applied_the_request() {
    let Some((redis, proxy)) = started() else {
        return;
    };
    for round in 1..=50 {
        let rule = proxy.arm(Fault::LoseReply.once().command("incr"));
        assert!(client(&proxy).call(&["INCR", "n"]).is_err());
        assert_eq!(value(&redis, "n"), Some(round.to_string()));
        assert_eq!(rule.hits(), 1);
        assert_eq!(proxy.counts().lost_replies, round);
    }
}

#[test]
fn the_reply_to_one_command_among_many_sent_at_once_is_lost() {
    let Some((redis, proxy)) = started() else {
        return;
    };
    proxy.arm(Fault::LoseReply.once().command("SET").containing("wanted"));
    let mut client = client(&proxy);
    for command in [
        &["SET", "before", "1"],
        &["SET", "wanted", "1"],
        &["SET", "behind", "1"],
    ] {
        client.send(command).unwrap();
    }
    assert_eq!(client.receive().unwrap(), Reply::Status("OK".to_owned()));
    assert!(client.receive().is_err());
    assert_eq!(value(&redis, "before"), one());
    assert_eq!(value(&redis, "wanted"), one());
    assert_eq!(
        value(&redis, "behind"),
        None,
        "nothing goes on behind a lost reply"
    );
}

#[test]
fn a_rule_skips_and_ends_where_it_was_told_to() {
    let Some((_redis, proxy)) = started() else {
        return;
    };
    let rule = proxy.arm(Fault::CutBeforeRequest.times(2).command("INCR").after(1));
    let outcomes: Vec<bool> = (0..5)
        .map(|_| client(&proxy).call(&["INCR", "n"]).is_ok())
        .collect();
    assert_eq!(outcomes, [true, false, false, true, true]);
    assert_eq!(rule.hits(), 2);
}

#[test]
fn a_delayed_request_is_not_answered_before_its_time() {
    let Some((_redis, proxy)) = started() else {
        return;
    };
    let delay = Duration::from_millis(200);
    proxy.arm(Fault::DelayRequest(delay).once().command("INCR"));
    let mut client = client(&proxy);
    let sent = Instant::now();
    assert_eq!(client.call(&["INCR", "n"]).unwrap(), Reply::Integer(1));
    assert!(sent.elapsed() >= delay);
    assert_eq!(proxy.counts().delayed_requests, 1);
}

#[tokio::test]
async fn a_delayed_reply_is_to_a_request_that_was_applied_at_once() {
    let Some((redis, proxy)) = started() else {
        return;
    };
    let delay = Duration::from_millis(200);
    let rule = proxy.arm(Fault::DelayReply(delay).once().command("INCR"));
    let mut client = client(&proxy);
    let sent = Instant::now();
    client.send(&["INCR", "n"]).unwrap();
    rule.wait_for_hits(1).await;
    assert_eq!(value(&redis, "n"), one());
    assert_eq!(client.receive().unwrap(), Reply::Integer(1));
    assert!(sent.elapsed() >= delay);
    assert_eq!(proxy.counts().delayed_replies, 1);
}

#[tokio::test]
async fn a_hanging_request_arrives_when_released_though_its_client_is_gone() {
    let Some((redis, proxy)) = started() else {
        return;
    };
    let rule = proxy.arm(Fault::HangRequest.always().command("INCR"));
    let mut gone = client(&proxy);
    gone.set_patience(Duration::from_millis(100)).unwrap();
    assert_eq!(
        gone.call(&["INCR", "n"]).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    drop(gone);
    rule.wait_for_hits(1).await;
    assert_eq!(value(&redis, "n"), None);
    assert_eq!(
        client(&proxy).call(&["PING"]).unwrap().text().as_deref(),
        Some("PONG")
    );

    rule.release();
    while value(&redis, "n").is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        client(&proxy).call(&["INCR", "n"]).unwrap(),
        Reply::Integer(2)
    );
    assert_eq!(proxy.counts().hung_requests, 1);
}

#[tokio::test]
async fn a_hanging_reply_is_handed_over_when_released() {
    let Some((redis, proxy)) = started() else {
        return;
    };
    let rule = proxy.arm(Fault::HangReply.once().command("INCR"));
    let mut client = client(&proxy);
    client.send(&["INCR", "n"]).unwrap();
    rule.wait_for_hits(1).await;
    assert_eq!(
        value(&redis, "n"),
        one(),
        "applied, and the client does not know"
    );
    rule.release();
    assert_eq!(client.receive().unwrap(), Reply::Integer(1));
    assert_eq!(proxy.counts().hung_replies, 1);
}

#[test]
fn clearing_lets_everything_go_on() {
    let Some((_redis, proxy)) = started() else {
        return;
    };
    proxy.arm(Fault::HangRequest.always());
    let mut client = client(&proxy);
    client.send(&["INCR", "n"]).unwrap();
    proxy.clear();
    assert_eq!(client.receive().unwrap(), Reply::Integer(1));
    assert_eq!(client.call(&["INCR", "n"]).unwrap(), Reply::Integer(2));
}

#[test]
fn a_closed_door_refuses_newcomers_and_keeps_who_is_inside() {
    let Some((_redis, proxy)) = started() else {
        return;
    };
    let mut inside = client(&proxy);
    inside.call(&["PING"]).unwrap();
    proxy.refuse();
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    inside.call(&["PING"]).unwrap();

    proxy.accept();
    client(&proxy).call(&["PING"]).unwrap();
    assert_eq!(proxy.counts().refusals, 1);
}

#[test]
fn cutting_all_connections_leaves_the_door_open() {
    let Some((_redis, proxy)) = started() else {
        return;
    };
    let mut clients = [client(&proxy), client(&proxy)];
    for client in &mut clients {
        client.call(&["PING"]).unwrap();
    }
    proxy.cut_connections();
    for client in &mut clients {
        assert!(client.call(&["PING"]).is_err());
    }
    client(&proxy).call(&["PING"]).unwrap();
    assert_eq!(proxy.counts().cut_connections, 2);
}

#[test]
fn connections_go_to_where_the_target_is_now() {
    let Some((first, proxy)) = started() else {
        return;
    };
    let second = Redis::start_blocking().unwrap();
    first.command(&["SET", "who", "first"]).unwrap();
    second.command(&["SET", "who", "second"]).unwrap();
    proxy.set_target(second.address());
    let who = client(&proxy).call(&["GET", "who"]).unwrap();
    assert_eq!(who.text().as_deref(), Some("second"));
}

#[test]
fn pushed_messages_do_not_disturb_the_count_of_replies() {
    let Some((redis, proxy)) = started() else {
        return;
    };
    let mut client = client(&proxy);
    client.call(&["SUBSCRIBE", "a"]).unwrap();
    redis.command(&["PUBLISH", "a", "hello"]).unwrap();
    let message = client.receive().unwrap();
    assert_eq!(message.elements()[2].text().as_deref(), Some("hello"));
    proxy.arm(Fault::LoseReply.once().command("PING"));
    assert!(client.call(&["PING"]).is_err());
}

#[test]
fn a_killed_server_is_a_closed_connection() {
    let Some((redis, proxy)) = started() else {
        return;
    };
    let mut before = client(&proxy);
    before.call(&["PING"]).unwrap();
    redis.kill();
    assert!(before.call(&["PING"]).is_err());
    assert!(client(&proxy).call(&["PING"]).is_err());
    redis.restart_blocking().unwrap();
    client(&proxy).call(&["PING"]).unwrap();
}
