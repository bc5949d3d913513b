//! [`canonical_multipart`]: the canonical form of a `multipart/*` body.

use crate::canonical::NotCanonical;

/// The canonical form of a `multipart/*` body, such as an upload: its parts, each with its length
/// before it, without the `boundary` between them.
///
/// Clients draw a new boundary for each sending, so without this no repeat of an upload has the
/// fingerprint of its first sending. [`FingerprintRules::multipart`] turns it on. Each part counts
/// byte for byte, with its own headers, in its order. A multipart body inside of a part counts byte
/// for byte, with its own boundary.
///
/// The body has to be framed as senders do it (RFC 2046, §5.1.1): nothing before the first boundary,
/// nothing after the last, lines that end in CR LF, and no boundary inside of a part. Parsers differ
/// on where the parts of other bodies end, so these are refused.
///
/// ```
/// use idem_http::canonical_multipart;
///
/// let part = "Content-Disposition: form-data; name=\"amount\"\r\n\r\n500";
/// let one = format!("--x1\r\n{part}\r\n--x1--\r\n");
/// let again = format!("--y2\r\n{part}\r\n--y2--\r\n");
/// assert_eq!(
///     canonical_multipart(b"x1", one.as_bytes())?,
///     canonical_multipart(b"y2", again.as_bytes())?
/// );
/// # Ok::<(), idem_http::NotCanonical>(())
/// ```
///
/// # Errors
/// [`NotCanonical::Multipart`] for a boundary that is empty or longer than 70 bytes, and for a body
/// that is framed differently. Never panics.
///
/// [`FingerprintRules::multipart`]: crate::FingerprintRules::multipart
pub fn canonical_multipart(boundary: &[u8], body: &[u8]) -> Result<Vec<u8>, NotCanonical> {
    let refused = |why| Err(NotCanonical::Multipart(why));
    if boundary.is_empty() || boundary.len() > 70 {
        return refused("its boundary is not 1 to 70 bytes long");
    }
    let delimiter = [b"--", boundary].concat();
    let Some(mut rest) = body.strip_prefix(&*delimiter) else {
        return refused("it does not start with its boundary");
    };
    let mut canonical = Vec::with_capacity(body.len());
    while let [b'\r', b'\n', parts @ ..] = rest {
        let Some(end) = find(parts, &delimiter) else {
            return refused("its last boundary is missing");
        };
        let Some(part) = parts[..end].strip_suffix(b"\r\n") else {
            return refused("its boundary is inside of a part");
        };
        canonical.extend_from_slice(&(part.len() as u64).to_le_bytes());
        canonical.extend_from_slice(part);
        rest = &parts[end + delimiter.len()..];
        if matches!(rest, b"--" | b"--\r\n") {
            return Ok(canonical);
        }
    }
    refused("there is more behind a boundary")
}

/// Where `part` occurs first in `whole`.
fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    // Most bytes are not a dash: looking for one first keeps large uploads cheap.
    let mut from = 0;
    while let Some(dash) = whole[from..]
        .iter()
        .position(|byte| Some(byte) == part.first())
    {
        from += dash;
        if whole[from..].starts_with(part) {
            return Some(from);
        }
        from += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(boundary: &str, body: &[u8]) -> Result<Vec<u8>, NotCanonical> {
        canonical_multipart(boundary.as_bytes(), body)
    }

    fn written(boundary: &str, parts: &[Vec<u8>]) -> Vec<u8> {
        let mut body = Vec::new();
        for part in parts {
            body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            body.extend_from_slice(part);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        body
    }

    #[test]
    fn what_is_framed_otherwise_is_refused() {
        for body in [
            "",
            "--b",
            "--b\r\na\r\n",
            "--b\r\na\r\n--b",
            "--b\na\n--b--",
            "\r\n--b\r\na\r\n--b--",
            "preamble\r\n--b\r\na\r\n--b--",
            "--b\r\na\r\n--b--epilogue",
            "--b\r\na\r\n--b--\r\n ",
            "--b \r\na\r\n--b--",
            "--b\r\na--b\r\nc\r\n--b--",
            "--b\r\na\n--b\r\nc\r\n--b--",
            "--b\r\na\r\n--bc\r\n--b--",
        ] {
            assert!(canonical("b", body.as_bytes()).is_err(), "{body:?}");
        }
        let boundary = "b".repeat(71);
        assert!(canonical(&boundary, &written(&boundary, &[])).is_err());
        assert!(canonical("", b"----").is_err());
    }

    #[test]
    fn g4_parts_cannot_run_into_each_other() {
        let one = written("b", &[b"a".to_vec(), b"c".to_vec()]);
        let other = written("b", &[b"a\r\n\r\nc".to_vec()]);
        assert_ne!(
            canonical("b", &one).unwrap(),
            canonical("b", &other).unwrap()
        );
    }

    fn any_parts() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let byte = prop::sample::select(b"-xy\r\n\0ab".to_vec());
        prop::collection::vec(prop::collection::vec(byte, 0..6), 1..4)
    }

    proptest! {
        #[test]
        fn g4_equal_parts_and_no_others_have_equal_forms(one in any_parts(), other in any_parts()) {
            let first = canonical("first", &written("first", &one)).unwrap();
            let second = canonical("second", &written("second", &other)).unwrap();
            prop_assert_eq!(one == other, first == second);
        }

        #[test]
        fn no_bytes_make_it_panic(parts in any_parts(), cut in any::<prop::sample::Index>()) {
            let body = written("xy", &parts);
            let _ = canonical("xy", &body[..cut.index(body.len())]);
            let _ = canonical("x", &body);
        }
    }
}
