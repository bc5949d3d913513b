use std::io::Write;

use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
use http::{HeaderValue, Method};
use idem_core::Fingerprint;

use super::*;
use crate::{FingerprintRules, RequestParts};

fn framed(compressed: bool, data: &[u8]) -> Vec<u8> {
    let mut body = vec![u8::from(compressed)];
    body.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    body.extend(data);
    body
}

fn gzip(level: u32, data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn headers(content_type: &'static str, encoding: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if !encoding.is_empty() {
        headers.insert(GRPC_ENCODING, HeaderValue::from_static(encoding));
    }
    headers
}

fn print(path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Fingerprint, NotCanonical> {
    FingerprintRules::grpc().fingerprint(RequestParts {
        method: &Method::POST,
        target: &path.parse().unwrap(),
        headers,
        body,
    })
}

fn of(encoding: &'static str, body: &[u8]) -> Fingerprint {
    print("/a.B/C", &headers("application/grpc", encoding), body).unwrap()
}

#[test]
fn a_message_is_the_same_however_it_was_compressed() {
    let message = b"amount=500".repeat(20_000);
    let plain = of("", &framed(false, &message));
    assert_eq!(of("gzip", &framed(false, &message)), plain);
    assert_eq!(of("gzip", &framed(true, &gzip(1, &message))), plain);
    assert_eq!(of("gzip", &framed(true, &gzip(9, &message))), plain);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&message).unwrap();
    assert_eq!(of("deflate", &framed(true, &zlib.finish().unwrap())), plain);
    #[cfg(feature = "zstd")]
    {
        let zstd = zstd::bulk::compress(&message, 3).unwrap();
        assert_eq!(of("zstd", &framed(true, &zstd)), plain);
    }
}

#[test]
fn path_codec_and_each_message_count() {
    let grpc = headers("application/grpc", "");
    let body = framed(false, b"ab");
    let prints = [
        print("/a.B/C", &grpc, &body).unwrap(),
        print("/a.B/D", &grpc, &body).unwrap(),
        print("/a.B/C", &headers("application/grpc+json", ""), &body).unwrap(),
        of("", &framed(false, b"ac")),
        of("", &[framed(false, b"a"), framed(false, b"b")].concat()),
        of("", &[body.clone(), framed(false, b"")].concat()),
        of("", b""),
    ];
    for (place, one) in prints.iter().enumerate() {
        assert!(!prints[place + 1..].contains(one), "{place}");
    }
    let proto = headers("application/grpc+proto", "");
    assert_eq!(print("/a.B/C", &proto, &body).unwrap(), prints[0]);
}

#[test]
fn a_deadline_does_not_count() {
    let mut with = headers("application/grpc", "");
    with.insert("grpc-timeout", HeaderValue::from_static("5S"));
    let body = framed(false, b"ab");
    assert_eq!(print("/a.B/C", &with, &body).unwrap(), of("", &body));
}

#[test]
fn an_unknown_encoding_counts_by_its_bytes() {
    let body = framed(true, b"???");
    assert_eq!(of("snappy", &body), of("snappy", &body));
    assert_ne!(of("snappy", &body), of("other", &body));
    assert_ne!(of("snappy", &body), of("", &framed(false, b"???")));
}

#[test]
fn a_body_that_is_not_framed_or_not_compressed_as_it_says_is_refused() {
    let zip = gzip(6, b"amount=500");
    let trailing = {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"amount=500").unwrap();
        let mut zlib = zlib.finish().unwrap();
        zlib.push(0);
        framed(true, &zlib)
    };
    let cases: [(&str, Vec<u8>); 7] = [
        ("", b"\0\0\0\0".to_vec()),
        ("", b"\0\0\0\0\x02a".to_vec()),
        ("", b"\x02\0\0\0\x01a".to_vec()),
        ("", b"\0\xff\xff\xff\xff".to_vec()),
        ("gzip", framed(true, b"no gzip")),
        ("gzip", framed(true, &zip[..zip.len() - 1])),
        ("deflate", trailing),
    ];
    for (place, (encoding, body)) in cases.into_iter().enumerate() {
        let print = print("/a.B/C", &headers("application/grpc", encoding), &body);
        assert!(matches!(print, Err(NotCanonical::Grpc(_))), "{place}");
    }
}

#[test]
fn a_bomb_is_refused() {
    let zeros = vec![0; StoredResponse::DECODED_LIMIT + 1];
    let body = framed(true, &gzip(9, &zeros));
    let print = print("/a.B/C", &headers("application/grpc", "gzip"), &body);
    assert!(matches!(print, Err(NotCanonical::Grpc(_))));
}

#[test]
fn an_answer_is_expanded_up_to_a_limit() {
    let body = [framed(true, &gzip(6, b"ab")), framed(false, b"c")].concat();
    let gzip = headers("application/grpc", "gzip");
    let plain = [framed(false, b"ab"), framed(false, b"c")].concat();
    assert_eq!(expanded(&gzip, &body, 13).unwrap(), plain);
    assert_eq!(expanded(&gzip, &body, 12), None);
    assert_eq!(
        expanded(&headers("application/grpc", "snappy"), &body, 99),
        None
    );
    assert_eq!(expanded(&headers("application/grpc", ""), &plain, 99), None);
}
