//! Any value that serialises as bytes that no two distinct values share.
//!
//! Every value starts with a tag and carries its length or an end mark, so that no value is the
//! beginning of another one. Kinds that JSON folds stay apart: `None`, `()`, a number that is none,
//! a unit variant and its name, an integer as a map's key and its digits. Integers of any width with
//! the same value are equal, as are floats. Fields and map entries are sorted, so their order does
//! not count.

use serde::{Serialize, Serializer, ser};

/// A value that does not serialise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no fingerprint: the value does not serialise: {0}")]
pub struct FingerprintError(String);

impl ser::Error for FingerprintError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

pub(super) fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, FingerprintError> {
    let mut out = Vec::with_capacity(128);
    value.serialize(Canonical(&mut out))?;
    Ok(out)
}

const NONE: u8 = b'n';
const SOME: u8 = b's';
const UNIT: u8 = b'u';
const BOOL: u8 = b'b';
const NATURAL: u8 = b'+';
const NEGATIVE: u8 = b'-';
const FLOAT: u8 = b'f';
const TEXT: u8 = b't';
const BYTES: u8 = b'y';
const VARIANT: u8 = b'v';
const LIST: u8 = b'[';
const MAP: u8 = b'{';
const END: u8 = b'.';

/// Writes one value.
struct Canonical<'a>(&'a mut Vec<u8>);

impl Canonical<'_> {
    fn counted(self, tag: u8, bytes: &[u8]) {
        self.0.push(tag);
        self.0
            .extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn fixed(self, tag: u8, bytes: &[u8]) {
        self.0.push(tag);
        self.0.extend_from_slice(bytes);
    }

    fn variant(&mut self, name: &str) {
        Canonical(self.0).counted(VARIANT, name.as_bytes());
    }
}

/// Writes the elements of a list.
struct List<'a>(&'a mut Vec<u8>);

impl List<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), FingerprintError> {
        value.serialize(Canonical(self.0))
    }

    fn close(self) {
        self.0.push(END);
    }
}

/// Gathers the entries of a map, to be written in the order of their keys.
struct Map<'a> {
    out: &'a mut Vec<u8>,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Map<'_> {
    fn entry<K, V>(&mut self, key: &K, value: &V) -> Result<(), FingerprintError>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        self.entries.push((to_bytes(key)?, to_bytes(value)?));
        Ok(())
    }

    fn close(mut self) {
        self.entries.sort_unstable();
        for (key, value) in self.entries {
            self.out.extend_from_slice(&key);
            self.out.extend_from_slice(&value);
        }
        self.out.push(END);
    }
}

/// Scalars whose bytes follow a tag.
macro_rules! scalars {
    ($($name:ident($type:ty) => $tag:expr, |$value:ident| $bytes:expr;)*) => {
        $(fn $name(self, $value: $type) -> Result<(), FingerprintError> {
            self.fixed($tag, &$bytes);
            Ok(())
        })*
    };
}

/// Integers, as what has the same value in the widest type.
macro_rules! integers {
    ($($name:ident($type:ty) => $wide:ident as $wider:ty;)*) => {
        $(fn $name(self, value: $type) -> Result<(), FingerprintError> {
            self.$wide(<$wider>::from(value))
        })*
    };
}

impl<'a> Serializer for Canonical<'a> {
    type Ok = ();
    type Error = FingerprintError;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Map<'a>;
    type SerializeStruct = Map<'a>;
    type SerializeStructVariant = Map<'a>;

    scalars! {
        serialize_bool(bool) => BOOL, |value| [u8::from(value)];
        serialize_u128(u128) => NATURAL, |value| value.to_le_bytes();
        serialize_f64(f64) => FLOAT, |value| value.to_bits().to_le_bytes();
    }

    integers! {
        serialize_u8(u8) => serialize_u128 as u128;
        serialize_u16(u16) => serialize_u128 as u128;
        serialize_u32(u32) => serialize_u128 as u128;
        serialize_u64(u64) => serialize_u128 as u128;
        serialize_i8(i8) => serialize_i128 as i128;
        serialize_i16(i16) => serialize_i128 as i128;
        serialize_i32(i32) => serialize_i128 as i128;
        serialize_i64(i64) => serialize_i128 as i128;
        serialize_f32(f32) => serialize_f64 as f64;
    }

    fn serialize_i128(self, value: i128) -> Result<(), FingerprintError> {
        match u128::try_from(value) {
            Ok(natural) => return self.serialize_u128(natural),
            Err(_) => self.fixed(NEGATIVE, &value.to_le_bytes()),
        }
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), FingerprintError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), FingerprintError> {
        self.counted(TEXT, value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), FingerprintError> {
        self.counted(BYTES, value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), FingerprintError> {
        self.0.push(NONE);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), FingerprintError> {
        self.0.push(SOME);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), FingerprintError> {
        self.0.push(UNIT);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), FingerprintError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), FingerprintError> {
        self.variant(variant);
        self.serialize_unit()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), FingerprintError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), FingerprintError> {
        self.variant(variant);
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, FingerprintError> {
        self.0.push(LIST);
        Ok(List(self.0))
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a>, FingerprintError> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<List<'a>, FingerprintError> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, FingerprintError> {
        self.variant(variant);
        self.serialize_seq(None)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'a>, FingerprintError> {
        self.0.push(MAP);
        Ok(Map {
            out: self.0,
            entries: Vec::new(),
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Map<'a>, FingerprintError> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Map<'a>, FingerprintError> {
        self.variant(variant);
        self.serialize_map(None)
    }
}

/// The serde traits whose elements have no names.
macro_rules! lists {
    ($($trait:ident::$method:ident),*) => {
        $(impl ser::$trait for List<'_> {
            type Ok = ();
            type Error = FingerprintError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), FingerprintError> {
                self.element(value)
            }

            fn end(self) -> Result<(), FingerprintError> {
                self.close();
                Ok(())
            }
        })*
    };
}

lists!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

/// The serde traits whose elements have names.
macro_rules! structs {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Map<'_> {
            type Ok = ();
            type Error = FingerprintError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), FingerprintError> {
                self.entry(name, value)
            }

            fn end(self) -> Result<(), FingerprintError> {
                self.close();
                Ok(())
            }
        })*
    };
}

structs!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Map<'_> {
    type Ok = ();
    type Error = FingerprintError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), FingerprintError> {
        self.entries.push((to_bytes(key)?, Vec::new()));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> Result<(), FingerprintError> {
        let value = to_bytes(value)?;
        match self.entries.last_mut() {
            Some(entry) => entry.1 = value,
            None => return Err(FingerprintError("a map gives a value without a key".into())),
        }
        Ok(())
    }

    fn end(self) -> Result<(), FingerprintError> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
}
