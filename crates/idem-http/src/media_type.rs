//! What the `Content-Type` header of a request says (RFC 9110, §8.3.1).

use http::{HeaderMap, header};

/// A media type with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// Type and subtype in lower case.
    pub(crate) essence: String,
    /// Names in lower case, values without their quotes.
    parameters: Vec<(String, Vec<u8>)>,
}

impl MediaType {
    /// The media type of a request with exactly one well-formed `Content-Type`.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => Self::parse(line.as_bytes()),
            _ => None,
        }
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let mut pieces = split_outside_quotes(line)?.into_iter();
        let essence = token(pieces.next()?.trim_ascii())?;
        let parameters = pieces
            .map(<[u8]>::trim_ascii)
            .filter(|piece| !piece.is_empty())
            .map(parameter)
            .collect::<Option<_>>()?;
        Some(Self {
            essence,
            parameters,
        })
    }

    /// RFC 8259, §11; `+json`: RFC 6839, §3.1.
    pub(crate) fn is_json(&self) -> bool {
        self.essence == "application/json" || self.essence.ends_with("+json")
    }

    pub(crate) fn is_form(&self) -> bool {
        self.essence == "application/x-www-form-urlencoded"
    }

    pub(crate) fn is_multipart(&self) -> bool {
        self.essence.starts_with("multipart/")
    }

    /// The `boundary` of a multipart body, if there is exactly one.
    pub(crate) fn boundary(&self) -> Option<&[u8]> {
        let mut all = self
            .parameters
            .iter()
            .filter(|(name, _)| name == "boundary");
        match (all.next(), all.next()) {
            (Some((_, boundary)), None) => Some(boundary),
            _ => None,
        }
    }

    /// The parameters but for `boundary`.
    pub(crate) fn lasting_parameters(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let lasting = self
            .parameters
            .iter()
            .filter(|(name, _)| name != "boundary");
        lasting.map(|(name, value)| (name.as_str(), value.as_slice()))
    }
}

/// Splits at each `;` that is not in a quoted string; `None` where a quote stays open.
fn split_outside_quotes(line: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut pieces, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                pieces.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&line[start..]);
    (!quoted).then_some(pieces)
}

fn parameter(piece: &[u8]) -> Option<(String, Vec<u8>)> {
    let equals = piece.iter().position(|byte| *byte == b'=')?;
    let name = token(&piece[..equals])?;
    let value = match &piece[equals + 1..] {
        [b'"', quoted @ .., b'"'] => unescaped(quoted)?,
        bare if !bare.is_empty() && !bare.contains(&b'"') => bare.to_vec(),
        _ => return None,
    };
    Some((name, value))
}

fn unescaped(quoted: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = quoted.iter();
    let mut value = Vec::with_capacity(quoted.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => value.push(*bytes.next()?),
            b'"' => return None,
            _ => value.push(*byte),
        }
    }
    Some(value)
}

/// A name, in lower case.
fn token(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_name = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
    is_name.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_values_are_unquoted() {
        let media_type =
            MediaType::parse(br#"Multipart/Form-Data; Charset=utf-8 ;BOUNDARY="a;\"b\\""#).unwrap();
        assert!(media_type.is_multipart());
        assert_eq!(media_type.boundary(), Some(br#"a;"b\"#.as_slice()));
        let lasting: Vec<_> = media_type.lasting_parameters().collect();
        assert_eq!(lasting, [("charset", b"utf-8".as_slice())]);
    }

    #[test]
    fn what_is_malformed_or_ambiguous_has_no_boundary() {
        for line in [
            "",
            ";",
            "a/b;boundary=",
            "a/b;boundary=\"x",
            "a/b;boundary=x\"",
            "a/b;=x",
        ] {
            assert_eq!(MediaType::parse(line.as_bytes()), None, "{line}");
        }
        let twice = MediaType::parse(b"multipart/mixed;boundary=a;boundary=b").unwrap();
        assert_eq!(twice.boundary(), None);
    }

    #[test]
    fn two_lines_are_no_media_type() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONTENT_TYPE, "application/json".parse().unwrap());
        assert!(MediaType::of(&headers).unwrap().is_json());
        headers.append(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        assert_eq!(MediaType::of(&headers), None);
    }
}
