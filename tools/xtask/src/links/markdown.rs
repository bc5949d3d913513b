//! As much of Markdown as it takes to find links and headings.

/// Where a link stands (counted from 1) and what it points at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) line: usize,
    pub(super) target: String,
}

/// Inline links and images `[…](target)` and definitions `[name]: target`, outside code.
pub(super) fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    for (line, prose) in prose_lines(text) {
        let prose = without_code_spans(prose);
        let definition = definition_target(&prose);
        let targets = inline_targets(&prose).chain(definition);
        found.extend(targets.map(|target| Link {
            line,
            target: target.to_owned(),
        }));
    }
    found
}

/// The anchors of the headings, as they are derived on code hosts and in mdBook: lower case, words
/// joined with hyphens, punctuation dropped, a number after the second of a name.
pub(super) fn headings(text: &str) -> Vec<String> {
    let mut slugs: Vec<String> = Vec::new();
    for (_, line) in prose_lines(text) {
        let Some(title) = heading_title(line) else {
            continue;
        };
        let slug = slug(title);
        let again = slugs.iter().filter(|known| same_base(known, &slug)).count();
        slugs.push(if again == 0 {
            slug
        } else {
            format!("{slug}-{again}")
        });
    }
    slugs
}

/// Lines outside fenced code, numbered from 1.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let start = line.trim_start();
        let marker = ["```", "~~~"]
            .into_iter()
            .find(|marker| start.starts_with(marker));
        match (fence, marker) {
            (None, Some(marker)) => fence = Some(marker),
            (Some(open), Some(marker)) if open == marker => fence = None,
            (None, None) => return Some((index + 1, line)),
            _ => {}
        }
        None
    })
}

/// The line with `code spans` blanked out; an unclosed backtick is text.
fn without_code_spans(line: &str) -> String {
    let mut prose = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].chars().take_while(|c| *c == '`').count();
        let (before, code) = rest.split_at(start);
        let (fence, code) = code.split_at(ticks);
        prose.push_str(before);
        if let Some(end) = code.find(fence) {
            prose.push_str("code");
            rest = &code[end + ticks..];
        } else {
            prose.push_str(fence);
            rest = code;
        }
    }
    prose.push_str(rest);
    prose
}

fn inline_targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, opening)| {
        let inner = &line[at + opening.len()..];
        inner
            .split([')', ' '])
            .next()
            .filter(|target| !target.is_empty())
    })
}

/// The target of `[name]: target`; `[^1]:` is a footnote.
fn definition_target(line: &str) -> Option<&str> {
    let (name, target) = line.trim_start().strip_prefix('[')?.split_once("]:")?;
    let is_definition = !name.starts_with('^') && !name.contains(']');
    is_definition
        .then(|| target.split_whitespace().next())
        .flatten()
}

fn heading_title(line: &str) -> Option<&str> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    ((1..=6).contains(&level) && title.starts_with(' ')).then(|| title.trim())
}

fn slug(title: &str) -> String {
    title
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

fn same_base(known: &str, slug: &str) -> bool {
    known.strip_prefix(slug).is_some_and(|rest| {
        let number = rest.strip_prefix('-');
        rest.is_empty() || number.is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Vec<String> {
        links(text).into_iter().map(|link| link.target).collect()
    }

    #[test]
    fn inline_links_images_and_definitions_are_found() {
        assert_eq!(
            targets("[a](one.md) ![b](two.svg \"title\")\n[c]: three.md\n"),
            ["one.md", "two.svg", "three.md"]
        );
    }

    #[test]
    fn a_badge_inside_a_link_counts_twice() {
        assert_eq!(
            targets("[![x](badge.svg)](page.md)"),
            ["badge.svg", "page.md"]
        );
    }

    #[test]
    fn code_is_not_searched() {
        assert_eq!(targets("```\n[a](x)\n```\n`[b](y)` ``[c](z)``\n"), [""; 0]);
        assert_eq!(targets("~~~\n```\n[a](x)\n~~~\n[b](y)\n"), ["y"]);
    }

    #[test]
    fn footnotes_are_not_definitions() {
        assert_eq!(targets("[^1]: a note\n"), [""; 0]);
    }

    #[test]
    fn headings_become_anchors() {
        assert_eq!(
            headings("# Two words\n## `Code` & more!\n####### no\n#no\n# Two words\n"),
            ["two-words", "code--more", "two-words-1"]
        );
    }

    #[test]
    fn a_comment_in_a_shell_block_is_no_heading() {
        assert_eq!(headings("```sh\n# not one\n```\n"), [""; 0]);
    }
}
