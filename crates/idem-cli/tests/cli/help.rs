//! Help, completions and manual pages.

use std::process::Command;

use crate::idem::{Ran, run};

fn idem(arguments: &[&str]) -> Ran {
    run(Command::new(env!("CARGO_BIN_EXE_idem")).args(arguments))
}

#[test]
fn help_fits_into_80_columns() {
    let subcommands = [
        "status",
        "list",
        "show",
        "resolve",
        "release",
        "erase",
        "sweep",
        "migrate",
        "doctor",
        "audit",
        "serve",
        "completions",
        "man",
    ];
    let mut pages = vec![idem(&["--help"]), idem(&["-h"])];
    pages.extend(subcommands.map(|name| idem(&[name, "--help"])));
    for page in pages {
        assert_eq!(page.code, 0);
        for line in page.out.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(!page.out.contains('\u{1b}'), "no colours in a pipe");
    }
}

#[test]
fn completions_and_manual_pages_are_printed_without_a_store() {
    for shell in ["bash", "zsh", "fish"] {
        let completions = idem(&["completions", shell]);
        assert!(completions.expect(0).out.contains("resolve"), "{shell}");
    }
    assert!(idem(&["man"]).expect(0).out.starts_with(".ie"));
    let resolve = idem(&["man", "resolve"]);
    assert!(resolve.expect(0).out.contains("run\\-again"), "{resolve:?}");
    idem(&["man", "nothing"]).expect(2);
}
