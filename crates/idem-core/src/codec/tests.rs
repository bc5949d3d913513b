use proptest::prelude::*;

use super::*;

/// Golden bytes of format 1. They may never change: records outlive a release (rule S7).
#[test]
fn s7_format_1_golden_bytes() {
    let record = |state| Record {
        fingerprint: Fingerprint::from_bytes([0xf1; 32]),
        attempt: 3,
        version: Version {
            token: ClaimToken::from_bytes([7; 16]),
            revision: 300,
        },
        created_at: Timestamp::from_millis(1_700_000_000_000),
        state,
    };
    let lease = Duration::from_secs(30);
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    let golden = [
        (
            State::InFlight {
                lease,
                checkpoint: None,
            },
            "0107070707070707070707070707070707ac02186380d095ffbc31f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1799f3fa131",
        ),
        (
            State::InFlight {
                lease,
                checkpoint: Some(bytes("")),
            },
            "0107070707070707070707070707070707ac021c6380d095ffbc31f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1798983ef37",
        ),
        (
            State::Retryable {
                checkpoint: Some(bytes("step 2")),
            },
            "0107070707070707070707070707070707ac021d6380d095ffbc31f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f17374657020328557a087",
        ),
        (
            State::Completed { payload: bytes("") },
            "0107070707070707070707070707070707ac021a6380d095ffbc31f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f10ad7c6d6",
        ),
        (
            State::Failed {
                payload: bytes("no"),
            },
            "0107070707070707070707070707070707ac021b6380d095ffbc31f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f16e6f63f6a33a",
        ),
    ];
    let ttl = Duration::from_secs(24 * 3600);
    for (state, expected) in golden {
        let record = record(state);
        assert_eq!(hex(&encode(&record, ttl)), expected, "{record:?}");
        assert_eq!(
            decode(&from_hex(expected)).unwrap(),
            Decoded { record, ttl }
        );
    }
}

/// Golden bytes of format 1 where the short forms do not do.
#[test]
fn s7_format_1_golden_bytes_of_a_large_attempt_and_an_odd_ttl() {
    let record = Record {
        fingerprint: Fingerprint::from_bytes([0xf1; 32]),
        attempt: 300,
        version: Version {
            token: ClaimToken::from_bytes([7; 16]),
            revision: 300,
        },
        created_at: Timestamp::from_millis(1_700_000_000_000),
        state: State::Completed {
            payload: Bytes::from_static(b"yes"),
        },
    };
    let ttl = Duration::from_millis(90_061_001);
    let expected = "0107070707070707070707070707070707ac02fa8d02a4c6e3ab0180d095ffbc31f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f179657331dd36a7";
    assert_eq!(hex(&encode(&record, ttl)), expected);
    assert_eq!(
        decode(&from_hex(expected)).unwrap(),
        Decoded { record, ttl }
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn arbitrary_record() -> impl Strategy<Value = Record> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    let checkpoint = move || proptest::option::of(bytes());
    let millis = any::<u32>().prop_map(|ms| Duration::from_millis(ms.into()));
    let state = prop_oneof![
        (millis, checkpoint())
            .prop_map(|(lease, checkpoint)| State::InFlight { lease, checkpoint }),
        checkpoint().prop_map(|checkpoint| State::Retryable { checkpoint }),
        bytes().prop_map(|payload| State::Completed { payload }),
        bytes().prop_map(|payload| State::Failed { payload }),
    ];
    (
        any::<[u8; 32]>(),
        prop_oneof![0..40u32, any::<u32>()],
        any::<[u8; 16]>(),
        any::<u64>(),
        any::<u64>(),
        state,
    )
        .prop_map(|(print, attempt, token, revision, created, state)| Record {
            fingerprint: Fingerprint::from_bytes(print),
            attempt,
            version: Version {
                token: ClaimToken::from_bytes(token),
                revision,
            },
            created_at: Timestamp::from_millis(created),
            state,
        })
}

proptest! {
    #[test]
    fn s7_what_was_written_is_read_back_whole(record in arbitrary_record(), ttl in any::<u32>()) {
        let ttl = Duration::from_millis(ttl.into());
        let bytes = encode(&record, ttl);
        prop_assert!(bytes.starts_with(&version_prefix(record.version)));
        prop_assert_eq!(decode(&bytes).unwrap(), Decoded { record, ttl });
    }

    #[test]
    fn s7_every_truncation_and_every_flipped_byte_is_refused(
        record in arbitrary_record(),
        flip in 1u8..,
    ) {
        let bytes = encode(&record, Duration::from_secs(60));
        for len in 0..bytes.len() {
            prop_assert!(decode(&bytes.slice(..len)).is_err(), "cut to {}", len);
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= flip;
            prop_assert!(decode(&flipped.into()).is_err(), "flipped at {}", at);
        }
    }

    #[test]
    fn s7_no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut sealed = bytes.clone();
        sealed.insert(0, FORMAT);
        sealed.extend(crc32fast::hash(&sealed).to_be_bytes());
        for input in [Bytes::from(bytes), Bytes::from(sealed)] {
            if let Ok(Decoded { record, ttl }) = decode(&input) {
                prop_assert_eq!(encode(&record, ttl), input, "one record has one form");
            }
        }
    }

    #[test]
    fn s2_two_versions_share_a_prefix_only_when_equal(
        token in any::<[u8; 16]>(), a in any::<u64>(), b in any::<u64>(),
    ) {
        let version = |revision| Version { token: ClaimToken::from_bytes(token), revision };
        let (a, b) = (version(a), version(b));
        prop_assert_eq!(version_prefix(a).starts_with(&version_prefix(b)), a == b);
    }
}

#[test]
fn s7_an_unknown_format_is_an_error_that_says_so() {
    let error = decode(&Bytes::from_static(&[2, 0, 0])).unwrap_err();
    assert_eq!(error, CodecError::UnknownFormat(2));
    assert_eq!(
        StoreError::from(error).kind(),
        crate::store::StoreErrorKind::Corrupt
    );
}

/// What a store's memory per record rests on.
/// Everything as long as it gets has room in the header, and so has a version in its prefix.
#[test]
fn s7_the_longest_header_is_read_back_whole() {
    let longest = Duration::from_millis((1 << 62) - 1);
    let version = Version {
        token: ClaimToken::from_bytes([0xff; 16]),
        revision: u64::MAX,
    };
    let record = Record {
        fingerprint: Fingerprint::from_bytes([0xff; 32]),
        attempt: u32::MAX,
        version,
        created_at: Timestamp::from_millis(u64::MAX),
        state: State::InFlight {
            lease: longest,
            checkpoint: Some(Bytes::from_static(b"half-way")),
        },
    };
    let bytes = encode(&record, longest);
    assert!(bytes.starts_with(&version_prefix(version)));
    let read = decode(&bytes).unwrap();
    assert_eq!((read.record, read.ttl), (record, longest));
}

#[test]
fn a_completed_record_takes_62_bytes_beside_its_payload() {
    let record = Record {
        fingerprint: Fingerprint::from_bytes([0xf1; 32]),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes([7; 16]),
            revision: 2,
        },
        created_at: Timestamp::from_millis(1_800_000_000_000),
        state: State::Completed {
            payload: Bytes::from_static(b"answer"),
        },
    };
    let value = encode(&record, Duration::from_secs(24 * 3600));
    assert_eq!(value.len(), 62 + b"answer".len());
}
