//! A record: no bytes make it panic, and one record has one form.
//!
//! The checksum is put right first: guessing it would keep the fuzzer out of everything behind it.
#![no_main]

use bytes::Bytes;
use idem_core::store::codec::{decode, encode, version_prefix};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = decode(&Bytes::copy_from_slice(body));
    let mut value = body.to_vec();
    value.extend(crc32(body).to_be_bytes());
    let value = Bytes::from(value);
    if let Ok(decoded) = decode(&value) {
        assert_eq!(encode(&decoded.record, decoded.ttl), value);
        assert!(value.starts_with(&version_prefix(decoded.record.version)));
    }
});

/// CRC-32 (IEEE), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
