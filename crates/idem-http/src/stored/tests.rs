use http::header;
use proptest::prelude::*;

use super::*;

fn created() -> StoredResponse {
    StoredResponse::new(StatusCode::CREATED, Bytes::from_static(b"{\"id\":17}"))
        .header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )
        .header(
            header::LOCATION,
            HeaderValue::from_static("/v1/payments/17"),
        )
        .header(
            HeaderName::from_static("x-a"),
            HeaderValue::from_bytes(b"\xff").unwrap(),
        )
}

fn with_body(response: StoredResponse, body: StoredBody) -> StoredResponse {
    StoredResponse { body, ..response }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Golden: records outlive a release. These bytes may never change under format 1.
#[test]
fn the_format_is_stable_across_releases() {
    assert_eq!(
        hex(&created().encode()),
        "010000c90301106170706c69636174696f6e2f6a736f6e050f2f76312f7061796d656e74732f31370003782d6101ff7b226964223a31377d84e1427e"
    );
    let omitted = with_body(created(), StoredBody::Omitted);
    assert_eq!(
        hex(&omitted.encode()),
        "010100c90301106170706c69636174696f6e2f6a736f6e050f2f76312f7061796d656e74732f31370003782d6101fffee3975d"
    );
}

#[test]
fn an_empty_body_is_kept_and_is_not_an_omitted_one() {
    let empty = StoredResponse::new(StatusCode::NO_CONTENT, Bytes::new());
    let back = StoredResponse::decode(&empty.encode()).unwrap();
    assert_eq!(back.body(), &StoredBody::Kept(Bytes::new()));
    let omitted = with_body(empty, StoredBody::Omitted);
    let back = StoredResponse::decode(&omitted.encode()).unwrap();
    assert_eq!(back.body(), &StoredBody::Omitted);
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    let whole = created().encode();
    for len in 0..whole.len() {
        assert!(
            StoredResponse::decode(&whole.slice(..len)).is_err(),
            "cut at {len}"
        );
    }
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(
            StoredResponse::decode(&damaged.into()).is_err(),
            "bit {bit}"
        );
    }
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let mut newer = created().encode().to_vec();
    newer[0] = FORMAT + 1;
    assert_eq!(
        StoredResponse::decode(&newer.into()),
        Err(StoredError::UnknownFormat(FORMAT + 1))
    );
}

#[test]
fn a_replay_is_marked_and_says_when_its_body_is_gone() {
    let marker = HeaderName::from_static("x-replay");
    let replay = created().into_replay(marker.clone());
    assert_eq!(replay.status(), 201);
    assert_eq!(replay.headers()["x-replay"], "true");
    assert_eq!(replay.headers()["location"], "/v1/payments/17");
    assert!(!replay.headers().contains_key(IDEMPOTENT_REPLAY_BODY));
    assert_eq!(replay.body().as_ref(), b"{\"id\":17}");

    let omitted = with_body(created(), StoredBody::Omitted).into_replay(marker);
    assert_eq!(omitted.headers()[IDEMPOTENT_REPLAY_BODY], "omitted");
    assert!(omitted.body().is_empty());
}

#[test]
fn debug_shows_no_contents() {
    let debug = format!("{:?}", created().body());
    assert_eq!(debug, "Kept(9 bytes)");
}

#[cfg(feature = "zstd")]
#[test]
fn a_large_body_is_compressed_unless_it_is_encoded_or_does_not_shrink() {
    let large = StoredResponse::new(StatusCode::OK, vec![b'a'; 10_000]);
    let stored = large.encode_compressed(Some(1000));
    assert!(stored.len() < 200);
    assert_eq!(StoredResponse::decode(&stored).unwrap(), large);
    assert_eq!(large.encode_compressed(Some(10_001)), large.encode());

    let encoded = large.header(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert_eq!(encoded.encode_compressed(Some(1000)), encoded.encode());

    let noise: Vec<u8> = (0..64u8).map(|n| n.wrapping_mul(197)).collect();
    let noise = StoredResponse::new(StatusCode::OK, noise);
    assert_eq!(noise.encode_compressed(Some(0)), noise.encode());
}

fn any_response() -> impl Strategy<Value = StoredResponse> {
    let name = prop_oneof![
        Just(header::LOCATION),
        Just(header::LINK),
        "[a-z][a-z0-9-]{0,20}".prop_map(|name| name.parse::<HeaderName>().unwrap()),
    ];
    let value = prop::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..=0xff], 0..200)
        .prop_map(|value| HeaderValue::from_bytes(&value).unwrap());
    let body = prop_oneof![
        Just(StoredBody::Omitted),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|body| StoredBody::Kept(body.into())),
    ];
    let line = (name, value);
    let headers = prop::collection::vec(line.clone(), 0..8);
    let trailers = prop::collection::vec(line, 0..3);
    (100u16..1000, headers, body, trailers).prop_map(|(status, headers, body, trailers)| {
        StoredResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body,
            trailers,
        }
    })
}

/// Bytes with a checksum that matches, so that the reader behind it is reached.
fn checked(mut bytes: Vec<u8>) -> Bytes {
    bytes.insert(0, FORMAT);
    let checksum = crc32fast::hash(&bytes);
    bytes.extend(checksum.to_be_bytes());
    bytes.into()
}

proptest! {
    #[test]
    fn what_is_stored_is_read_back(response in any_response()) {
        prop_assert_eq!(StoredResponse::decode(&response.encode()), Ok(response));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = StoredResponse::decode(&bytes.clone().into());
        let _ = StoredResponse::decode(&checked(bytes));
    }

    #[test]
    fn one_answer_has_one_form(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let payload = checked(bytes);
        if let Ok(response) = StoredResponse::decode(&payload)
            && payload[1] & 0x7f != 2
        {
            // Header names may be spelled out though they have a place: the one difference.
            prop_assert_eq!(StoredResponse::decode(&response.encode()), Ok(response));
        }
    }
}

/// gRPC says in one how a call ended.
#[test]
fn trailers_come_back_and_are_announced() {
    let name = HeaderName::from_static("grpc-status");
    let stored = created().trailer(name.clone(), HeaderValue::from_static("0"));
    let back = StoredResponse::decode(&stored.encode()).unwrap();
    assert_eq!(back, stored);
    assert_eq!(back.trailers()["grpc-status"], "0");
    assert_eq!(back.into_replay(name).headers()["trailer"], "grpc-status");
}

#[cfg(feature = "zstd")]
#[test]
fn a_body_that_decompresses_to_more_than_the_limit_is_refused() {
    let large = StoredResponse::new(StatusCode::OK, vec![b'x'; 100_000]);
    let payload = large.encode_compressed(Some(0));
    assert!(payload.len() < 1000);
    let refused = StoredResponse::decode_within(&payload, 99_999);
    assert_eq!(refused, Err(StoredError::TooLarge(99_999)));
    assert_eq!(StoredResponse::decode_within(&payload, 100_000), Ok(large));
}
