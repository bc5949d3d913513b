//! Any value that serialises as bytes that no two distinct values share.
//!
//! Every value starts with a tag and carries its length or an end mark, so that no value is the
//! beginning of another one. Kinds that JSON folds stay apart: `None`, `()`, a number that is none,
//! a unit variant and its name, an integer as a map's key and its digits. Integers of any width with
//! the same value are equal, as are floats. Fields and map entries are sorted, so their order does
//! not count.

mod elements;

use elements::{List, Map};
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
        Ok(List::new(self.0))
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
        Ok(Map::new(self.0))
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

#[cfg(test)]
mod tests;
