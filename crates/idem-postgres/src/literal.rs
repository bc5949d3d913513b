//! Values as SQL literals, for servers that are spoken to in plain text.

use std::fmt::Write;

use crate::call::{Argument, Scalar};

/// Writes `sql` with every `$n` replaced by the literal of argument n. What stands in double quotes
/// is the name of a schema, whatever it holds.
pub(crate) fn interpolate(sql: &str, arguments: &[Argument<'_>]) -> String {
    let mut out = String::with_capacity(sql.len() + 64 * arguments.len());
    for (index, part) in sql.split('"').enumerate() {
        if index > 0 {
            out.push('"');
        }
        if index % 2 == 0 {
            replace_placeholders(&mut out, part, arguments);
        } else {
            out.push_str(part);
        }
    }
    out
}

fn replace_placeholders(out: &mut String, sql: &str, arguments: &[Argument<'_>]) {
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let tail = after.trim_start_matches(|c: char| c.is_ascii_digit());
        let argument = after[..after.len() - tail.len()]
            .parse::<usize>()
            .ok()
            .and_then(|number| arguments.get(number.checked_sub(1)?))
            .expect("a statement's placeholders are numbered by its arguments");
        write_argument(out, argument);
        rest = tail;
    }
    out.push_str(rest);
}

fn write_argument(out: &mut String, argument: &Argument<'_>) {
    match argument {
        Argument::One(Scalar::Text(text)) => write_text(out, text),
        Argument::One(Scalar::Bytes(bytes)) => write_bytes(out, *bytes),
        Argument::One(Scalar::Int(int)) => write_int(out, *int),
        Argument::Texts(texts) => write_array(out, texts, |out, text| write_text(out, text)),
        Argument::BytesList(list) => write_array(out, list, |out, bytes| write_bytes(out, *bytes)),
        Argument::Ints(ints) => write_array(out, ints, |out, int| write_int(out, *int)),
    }
}

fn write_array<T>(out: &mut String, items: &[T], write_item: impl Fn(&mut String, &T)) {
    out.push_str("ARRAY[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_item(out, item);
    }
    out.push(']');
}

/// A text as a literal of its own.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 3);
    write_text(&mut out, text);
    out
}

/// An `E'…'` string, which reads the same whatever `standard_conforming_strings` says.
fn write_text(out: &mut String, text: &str) {
    out.push_str("E'");
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '\\']) {
        out.push_str(&rest[..=at]);
        // Doubled, either of them stands for itself.
        out.push_str(&rest[at..=at]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('\'');
}

fn write_bytes(out: &mut String, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else {
        out.push_str("NULL");
        return;
    };
    out.reserve(2 * bytes.len() + 8);
    out.push_str("E'\\\\x");
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0xf] {
            out.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    out.push('\'');
}

fn write_int(out: &mut String, int: Option<i64>) {
    match int {
        // In quotes, since a minus sign before a cast would bind less tightly than the cast.
        Some(int) => write!(out, "'{int}'").expect("a String takes any text"),
        None => out.push_str("NULL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s8_a_text_cannot_leave_its_literal() {
        let hostile = Argument::One(Scalar::Text("'; DROP TABLE x; -- \\' $1 $$"));
        assert_eq!(
            interpolate("SELECT $1::text", &[hostile]),
            "SELECT E'''; DROP TABLE x; -- \\\\'' $1 $$'::text"
        );
    }

    #[test]
    fn s8_a_schema_that_looks_like_a_placeholder_is_left_alone() {
        assert_eq!(
            interpolate(
                "SELECT $1 FROM \"a$2\"\"$1\".t",
                &[Argument::One(Scalar::Int(Some(7)))]
            ),
            "SELECT '7' FROM \"a$2\"\"$1\".t"
        );
    }

    #[test]
    fn bytes_integers_and_nulls_have_literals() {
        let arguments = [
            Argument::One(Scalar::Bytes(Some(&[0x00, 0xff, 0x27]))),
            Argument::One(Scalar::Bytes(None)),
            Argument::One(Scalar::Int(Some(i64::MIN))),
            Argument::One(Scalar::Int(None)),
        ];
        assert_eq!(
            interpolate("$1::bytea $2::bytea $3::int8 $4::int8", &arguments),
            "E'\\\\x00ff27'::bytea NULL::bytea '-9223372036854775808'::int8 NULL::int8"
        );
    }

    #[test]
    fn placeholders_of_two_digits_are_read_whole() {
        let arguments: Vec<_> = (1..=11)
            .map(|n| Argument::One(Scalar::Int(Some(n))))
            .collect();
        assert_eq!(interpolate("$1 $11 $10", &arguments), "'1' '11' '10'");
    }

    #[test]
    fn lists_are_arrays() {
        let arguments = [
            Argument::Texts(vec!["a", "b'"]),
            Argument::Ints(vec![Some(1), None]),
        ];
        assert_eq!(
            interpolate("$1::text[] $2::int8[]", &arguments),
            "ARRAY[E'a',E'b''']::text[] ARRAY['1',NULL]::int8[]"
        );
    }
}
