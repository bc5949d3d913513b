//! A stored response: no bytes make it panic, and what was read is written and read back.
//!
//! The checksum is put right first: guessing it would keep the fuzzer out of everything behind it.
#![no_main]

use bytes::Bytes;
use idem_http::StoredResponse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = StoredResponse::decode(&Bytes::copy_from_slice(body));
    let mut payload = body.to_vec();
    payload.extend(crc32(body).to_be_bytes());
    if let Ok(response) = StoredResponse::decode(&payload.into()) {
        assert_eq!(StoredResponse::decode(&response.encode()), Ok(response));
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
