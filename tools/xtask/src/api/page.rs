//! Reading rustdoc's pages.

/// An item with a page of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// `store::State`
    pub(super) path: String,
    /// `store/enum.State.html`
    pub(super) file: String,
}

/// What a crate's `all.html` lists, in its order.
pub(super) fn items(all: &str) -> Vec<Item> {
    let mut items = Vec::new();
    for link in all.split("<li><a href=\"").skip(1) {
        let Some((file, rest)) = link.split_once("\">") else {
            continue;
        };
        if file.starts_with('#') {
            continue; // a heading of the same page
        }
        let path = rest.split("</a>").next().unwrap_or_default();
        items.push(Item {
            path: text(path),
            file: file.to_owned(),
        });
    }
    items
}

/// Whether the page is of an item whose source lies under this address.
pub(super) fn is_of(page: &str, source: &str) -> bool {
    let link = page.split("<a class=\"src\" href=\"").nth(1);
    link.is_some_and(|link| link.starts_with(source))
}

/// Sections behind which a page has nothing of the item's own.
const ENDS: [&str; 7] = [
    "<h2 id=\"synthetic-implementations\"",
    "<h2 id=\"blanket-implementations\"",
    "<h2 id=\"deref-methods",
    "<h2 id=\"foreign-impls\"",
    "<h2 id=\"implementors\"",
    "<h2 id=\"dyn-compatibility\"",
    "<h2 id=\"object-safety\"",
];
const TRAITS: &str = "<h2 id=\"trait-implementations\"";

/// What an item is: its declaration, its methods, and the traits that it implements, sorted.
pub(super) fn lines(page: &str) -> Vec<String> {
    let end = ENDS.iter().filter_map(|end| page.find(end)).min();
    let page = &page[..end.unwrap_or(page.len())];
    let (own, traits) = page.split_once(TRAITS).unwrap_or((page, ""));
    let declaration = between(own, "<pre class=\"rust item-decl\"><code>", "</code></pre>");
    let mut lines: Vec<String> = declaration.map(text).collect();
    // A trait's declaration has its methods.
    let methods = own
        .split("<h2 id=\"implementations\"")
        .nth(1)
        .unwrap_or_default();
    let mut more: Vec<String> = between(methods, "<h4 class=\"code-header\">", "</h4>")
        .chain(between(traits, "<h3 class=\"code-header\">", "</h3>"))
        .map(text)
        .collect();
    more.sort_unstable();
    more.dedup();
    lines.extend(more);
    lines
}

fn between<'a>(page: &'a str, start: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    let parts = page.split(start).skip(1);
    parts.filter_map(move |part| part.split(end).next())
}

/// HTML as text on one line, without what a toggle says.
fn text(html: &str) -> String {
    let html = html.replace("</div>", "</div> ");
    let mut out = String::new();
    let mut rest = &*html;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let close = if rest.starts_with("<summary") {
            "</summary>"
        } else {
            ">"
        };
        rest = rest.find(close).map_or("", |at| &rest[at + close.len()..]);
    }
    out.push_str(rest);
    let plain = out
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#39;", "'")
        .replace("&quot;", "\"")
        .replace("&amp;", "&");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r##"<a class="src" href="../src/idem_core/engine.rs.html#1">Source</a>
        <pre class="rust item-decl"><code><div>#[non_exhaustive]</div>pub struct Both {
            <details><summary class="hideme"><span>Show 2 fields</span></summary>pub one: <a>u8</a>, }</details></code></pre>
        <h2 id="implementations">x</h2><h3 class="code-header">impl Both</h3>
        <h4 class="code-header">pub fn <a href="#method.two">two</a>(&amp;self) -&gt; <a>Vec</a>&lt;u8&gt;</h4>
        <h2 id="trait-implementations">x</h2><h3 class="code-header">impl <a>Clone</a> for Both</h3>
        <h4 class="code-header">fn clone(&amp;self)</h4>
        <h2 id="synthetic-implementations">x</h2><h3 class="code-header">impl Send for Both</h3>"##;

    #[test]
    fn a_page_gives_the_declaration_the_methods_and_the_traits() {
        assert_eq!(
            lines(PAGE),
            [
                "#[non_exhaustive] pub struct Both { pub one: u8, }",
                "impl Clone for Both",
                "pub fn two(&self) -> Vec<u8>",
            ]
        );
    }

    #[test]
    fn an_item_of_another_crate_is_told_apart() {
        assert!(is_of(PAGE, "../src/idem_core/"));
        assert!(!is_of(PAGE, "../src/idem_sql/"));
    }

    #[test]
    fn the_list_of_a_crate_gives_paths_and_files() {
        let all = r##"<ul><li><a href="#enums" title="Enums">Enums</a></li><li><a href="store/enum.State.html">store::State</a></li></ul>"##;
        let expected = Item {
            path: "store::State".to_owned(),
            file: "store/enum.State.html".to_owned(),
        };
        assert_eq!(items(all), [expected]);
    }
}
