//! The elements of a list and the entries of a map.

use serde::{Serialize, ser};

use super::{Canonical, END, FingerprintError, to_bytes};

/// Writes the elements of a list.
pub(super) struct List<'a>(&'a mut Vec<u8>);

impl<'a> List<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), FingerprintError> {
        value.serialize(Canonical(self.0))
    }

    fn close(self) {
        self.0.push(END);
    }
}

/// Gathers the entries of a map, to be written in the order of their keys.
pub(super) struct Map<'a> {
    out: &'a mut Vec<u8>,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Map<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            entries: Vec::new(),
        }
    }

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
