//! Whether an answer is as a case expects it.

use std::collections::HashMap;

use anyhow::ensure;

use crate::{case::Expect, client::Answer};

/// Headers that a replay has as the first answer has them.
const DESCRIBING: [&str; 6] = [
    "content-type",
    "content-language",
    "content-encoding",
    "location",
    "etag",
    "link",
];

impl Expect {
    /// Compares all but the number of runs.
    pub(crate) fn check(
        &self,
        answer: &Answer,
        named: &HashMap<String, Answer>,
        word: &str,
    ) -> anyhow::Result<()> {
        let fill = |text: &String| text.replace("{case}", word);
        let body = String::from_utf8_lossy(&answer.body);
        let shown = || body.chars().take(300).collect::<String>();
        if let Some(status) = self.status {
            let got = answer.status.as_u16();
            ensure!(got == status, "status {got} and not {status}: {}", shown());
        }
        if let Some(code) = &self.code {
            let got = answer.code();
            ensure!(
                got.as_ref() == Some(code),
                "code {got:?} and not {code}: {}",
                shown()
            );
            let media_type = lines(answer, "content-type");
            ensure!(
                media_type == ["application/problem+json"],
                "a problem of type {media_type:?}"
            );
        }
        if let Some(replayed) = self.replayed {
            let marks = lines(answer, "idempotent-replayed");
            let expected: &[&str] = if replayed { &["true"] } else { &[] };
            ensure!(
                marks == expected,
                "Idempotent-Replayed is {marks:?}, not {expected:?}"
            );
        }
        if let Some(name) = &self.same_as {
            let first = named.get(name);
            let first = first.ok_or_else(|| anyhow::anyhow!("no answer is named {name}"))?;
            ensure!(
                answer.status == first.status,
                "status {} and not that of {name}",
                answer.status
            );
            ensure!(
                answer.body == first.body,
                "another body than that of {name}: {}",
                shown()
            );
            for header in DESCRIBING {
                let (got, expected) = (lines(answer, header), lines(first, header));
                ensure!(got == expected, "{header}: {got:?} and not {expected:?}");
            }
        }
        if let Some(expected) = self.body.as_ref().map(fill) {
            ensure!(body == expected, "body {:?} and not {expected:?}", shown());
        }
        if let Some(part) = self.body_contains.as_ref().map(fill) {
            ensure!(
                body.contains(&part),
                "no {part:?} in the body {:?}",
                shown()
            );
        }
        if let Some(length) = self.body_length {
            let got = answer.body.len();
            ensure!(got == length, "a body of {got} bytes and not {length}");
        }
        for (name, values) in &self.headers {
            let (got, expected) = (lines(answer, name), values.iter().map(fill));
            let expected: Vec<_> = expected.collect();
            ensure!(got == expected, "{name}: {got:?} and not {expected:?}");
        }
        for name in &self.has {
            ensure!(answer.headers.contains_key(name), "no header {name}");
        }
        for (name, value) in &self.trailers {
            let got = answer.trailers.get(name);
            ensure!(
                got.is_some_and(|got| got == value),
                "trailer {name}: {got:?} and not {value}"
            );
        }
        for (pointer, expected) in &self.json {
            let json = answer.json();
            let got = json.as_ref().and_then(|json| json.pointer(pointer));
            ensure!(
                got == Some(expected),
                "{pointer} is {got:?} and not {expected}: {}",
                shown()
            );
        }
        Ok(())
    }
}

/// The values of a header's lines.
fn lines(answer: &Answer, name: &str) -> Vec<String> {
    let lines = answer.headers.get_all(name).iter();
    lines
        .map(|value| {
            value
                .as_bytes()
                .iter()
                .map(|byte| char::from(*byte))
                .collect()
        })
        .collect()
}
