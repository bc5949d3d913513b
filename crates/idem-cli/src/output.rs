//! [`Output`]: text for people, or one JSON object a line.

use std::{
    io::{ErrorKind, IsTerminal as _, Write as _},
    time::Duration,
};

use anstyle::{AnsiColor, Effects, Style};
use idem_core::spi::Printable;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;

/// Where a command writes. Colours appear on a terminal alone, and never with `NO_COLOR`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

pub(crate) const BOLD: Style = Style::new().effects(Effects::BOLD);
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const CARE: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default();

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// A line of text, or this value.
    pub(crate) fn say(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        match self.json {
            true => self.value(value),
            false => self.line(&text()),
        }
    }

    /// A JSON object on a line of its own.
    pub(crate) fn value(&self, value: &impl Serialize) {
        let line = serde_json::to_string(value).expect("what is printed is plain data");
        self.line(&line);
    }

    /// A line. A reader that went away, as `head` does, ends the program quietly, and not as if all had
    /// been done.
    pub(crate) fn line(&self, line: &str) {
        let mut out = anstream::stdout().lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(1),
            Err(error) => {
                let _ = writeln!(
                    anstream::stderr(),
                    "error: the output cannot be written: {error}"
                );
                std::process::exit(1);
            }
        }
    }

    /// A line beside the result: not part of what a script reads.
    pub(crate) fn note(&self, line: &str) {
        if !self.json {
            let _ = writeln!(anstream::stderr(), "{line}");
        }
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        let mut err = anstream::stderr();
        let _ = match self.json {
            true => writeln!(
                err,
                "{}",
                json!({
                    "type": "error",
                    "error": failure.kind.name(),
                    "exit_code": failure.kind.number(),
                    "message": failure.message,
                })
            ),
            false => writeln!(err, "{BAD}error:{BAD:#} {}", printable(&failure.message)),
        };
    }

    /// Whether there is somebody to ask.
    pub(crate) fn can_ask(&self) -> bool {
        !self.json && std::io::stdin().is_terminal()
    }

    /// Asks on the terminal; `None` when there is nobody to ask.
    pub(crate) fn ask(&self, question: &str) -> Option<bool> {
        if !self.can_ask() {
            return None;
        }
        let mut err = anstream::stderr();
        let _ = write!(err, "{question} Type \"yes\" to go on: ");
        let _ = err.flush();
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).ok()?;
        Some(answer.trim() == "yes")
    }

    /// A progress bar on the terminal's error stream, and none anywhere else.
    pub(crate) fn progress(&self, what: &str, total: Option<u64>) -> ProgressBar {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        if self.json || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let form = match total {
            Some(_) => "{msg} [{bar:30}] {pos} of {len}",
            None => "{spinner} {msg}: {pos}",
        };
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

/// Text without anything that a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    Printable(text).to_string()
}
