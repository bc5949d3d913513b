//! Numbers and byte strings as they stand in a stored response.

use bytes::{BufMut, BytesMut};

use super::StoredError;

/// The longest number: a `u32` in LEB128.
pub(super) const MAX_VARINT: usize = 5;

pub(super) fn put_number(out: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

pub(super) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("a header line is shorter than 4 GiB");
    put_number(out, len);
    out.put_slice(bytes);
}

/// Takes a stored response apart, from its start.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], StoredError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(StoredError::CUT_SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, StoredError> {
        self.take(1).map(|byte| byte[0])
    }

    /// A number in its shortest form, so that one answer has one form.
    pub(super) fn number(&mut self) -> Result<u32, StoredError> {
        let mut value = 0u64;
        for place in 0..MAX_VARINT {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || place == 0;
                return u32::try_from(value)
                    .ok()
                    .filter(|_| shortest)
                    .ok_or(StoredError::Damaged("a number in it is not minimal"));
            }
        }
        Err(StoredError::Damaged("a number in it has no end"))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], StoredError> {
        let len = self.number()?;
        self.take(len as usize)
    }
}
