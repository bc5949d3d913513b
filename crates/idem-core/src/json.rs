//! Values as JSON, in memory of just their size.

use std::cell::Cell;

use bytes::Bytes;
use serde::Serialize;

/// A buffer that grew larger than this is not kept.
const KEPT: usize = 64 << 10;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Serialises into a buffer of the thread's and copies what came out: one allocation, without a
/// spare byte to be stored along with an answer.
pub(crate) fn to_bytes<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Bytes> {
    // A value that serialises another one on the way finds the buffer gone, and uses a new one.
    let mut buffer = BUFFER.take();
    buffer.clear();
    let written = serde_json::to_writer(&mut buffer, value);
    let bytes = written.map(|()| Bytes::copy_from_slice(&buffer));
    if buffer.capacity() <= KEPT {
        BUFFER.set(buffer);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use serde::Serializer;

    use super::*;

    struct Nested;

    impl Serialize for Nested {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let inner = to_bytes(&[1, 2, 3]).unwrap();
            serializer.serialize_str(std::str::from_utf8(&inner).unwrap())
        }
    }

    #[test]
    fn the_buffer_leaves_nothing_behind() {
        assert_eq!(to_bytes(&"a longer one").unwrap(), r#""a longer one""#);
        assert_eq!(to_bytes(&["b"]).unwrap(), r#"["b"]"#);
        assert_eq!(to_bytes(&Nested).unwrap(), r#""[1,2,3]""#);
        assert!(to_bytes(&std::collections::HashMap::from([((), 1)])).is_err());
        assert_eq!(to_bytes(&()).unwrap(), "null");
    }
}
