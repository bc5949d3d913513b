use std::collections::{BTreeMap, HashMap};

use super::*;

fn bytes<T: Serialize>(value: T) -> Vec<u8> {
    to_bytes(&value).unwrap()
}

#[derive(Serialize, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Card,
    Wire(Option<()>),
    Both { card: u8, wire: u8 },
    Pair(u8, u8),
}

#[derive(Serialize)]
struct Unit;

/// What JSON writes alike, or could: every one of these is another request.
#[test]
fn g4_distinct_values_never_share_their_bytes() {
    let all = [
        bytes(()),
        bytes(None::<()>),
        bytes(Some(())),
        bytes(Some(None::<()>)),
        bytes(Some(Some(()))),
        bytes(f64::NAN),
        bytes(f64::INFINITY),
        bytes(f64::NEG_INFINITY),
        bytes(Some(f64::NAN)),
        bytes(1_u8),
        bytes(-1_i8),
        bytes(u64::MAX),
        bytes(i64::MIN),
        bytes(1.0),
        bytes(0.0),
        bytes(-0.0),
        bytes("1"),
        bytes(""),
        bytes("null"),
        bytes("Card"),
        bytes(Kind::Card),
        bytes(Kind::Wire(None)),
        bytes(Kind::Wire(Some(()))),
        bytes(Kind::Both { card: 1, wire: 2 }),
        bytes(Kind::Pair(1, 2)),
        bytes(true),
        bytes(false),
        bytes([(); 0]),
        bytes([1, 2]),
        bytes([[1], [2]]),
        bytes([vec![1, 2], vec![]]),
        bytes([vec![], vec![1, 2]]),
        bytes(["ab", "c"]),
        bytes(["a", "bc"]),
        bytes(BTreeMap::from([(1, 2)])),
        bytes(BTreeMap::from([("1", 2)])),
        bytes(BTreeMap::from([("1", "2")])),
        bytes(BTreeMap::from([((), 2)])),
        bytes(BTreeMap::from([(Kind::Card, 2)])),
        bytes(BTreeMap::from([("Card", 2)])),
        bytes(BTreeMap::<(), ()>::new()),
    ];
    for (place, one) in all.iter().enumerate() {
        for (other, later) in all.iter().enumerate().skip(place + 1) {
            assert!(!later.starts_with(one), "{place} begins {other}");
            assert!(!one.starts_with(later), "{other} begins {place}");
        }
    }
}

#[test]
fn what_is_the_same_value_has_the_same_bytes() {
    #[derive(Serialize)]
    struct One {
        a: u8,
        b: f32,
    }
    #[derive(Serialize)]
    struct Other {
        b: f64,
        a: i64,
    }
    assert_eq!(bytes(One { a: 1, b: 0.5 }), bytes(Other { b: 0.5, a: 1 }));
    assert_eq!(bytes(Unit), bytes(()));
    assert_eq!(bytes('x'), bytes("x"));
    let map: HashMap<_, _> = (0..100).map(|n| (n, n)).collect();
    let tree: BTreeMap<_, _> = (0..100).map(|n| (n, n)).collect();
    assert_eq!(bytes(map), bytes(tree));
}

#[test]
fn a_value_that_does_not_serialise_says_why() {
    struct Never;
    impl Serialize for Never {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(ser::Error::custom("no form"))
        }
    }
    let error = to_bytes(&[Never]).unwrap_err().to_string();
    assert!(error.ends_with("no form"), "{error}");
}
