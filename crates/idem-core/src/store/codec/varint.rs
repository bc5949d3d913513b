//! LEB128 for `u64`, in its shortest form only, so that one number has one form.

use bytes::BufMut;

/// The longest form of a `u64`.
pub(super) const MAX_LEN: usize = 10;

pub(super) fn put(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// The number at the start of `bytes` and its length; `None` when it is cut short, too large, or
/// not in its shortest form.
pub(super) fn get(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(MAX_LEN).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << (7 * i);
        if shifted >> (7 * i) != bits {
            return None;
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            let shortest = byte != 0 || i == 0;
            return shortest.then_some((value, i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn every_length_round_trips() {
        for value in (0..64)
            .flat_map(|bit| [(1u64 << bit) - 1, 1 << bit])
            .chain([u64::MAX])
        {
            let mut out = BytesMut::new();
            put(&mut out, value);
            assert_eq!(get(&out), Some((value, out.len())));
            assert_eq!(get(&out[..out.len() - 1]), None, "{value} cut short");
        }
    }

    #[test]
    fn longer_forms_and_overflow_are_refused() {
        assert_eq!(get(&[0x80, 0x00]), None);
        assert_eq!(get(&[0xff; 10]), None);
        let mut too_large = [0xff; 10];
        too_large[9] = 0x02;
        assert_eq!(get(&too_large), None);
    }
}
