//! A suite's ratios as a picture: a bar for each row, and a line where the floor is.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};

use crate::report::Row;

const WIDTH: f64 = 640.0;
/// Where the bars begin and end; left of them stand the cases, and right of them the figures.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 500.0;
const TOP: f64 = 52.0;
const BAR: f64 = 16.0;
/// Between two cases.
const GAP: f64 = 10.0;
/// From few tasks to many, light to dark; told apart in grey as well.
const SHADES: [&str; 4] = ["#9ecae1", "#4292c6", "#2166ac", "#08306b"];

/// Writes `SUITE.svg` for each suite of the rows.
pub(crate) fn write(rows: &[Row], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut suites: Vec<&str> = rows.iter().map(|row| &*row.suite).collect();
    suites.dedup();
    for suite in suites {
        let own: Vec<&Row> = rows.iter().filter(|row| row.suite == suite).collect();
        let file = folder.join(format!("{suite}.svg"));
        fs::write(&file, svg(suite, &own)).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn svg(suite: &str, rows: &[&Row]) -> String {
    let most = rows.iter().map(|row| row.ratio).fold(1.0, f64::max);
    let end = (most * 2.0).ceil() / 2.0;
    let x = |ratio: f64| LEFT + (RIGHT - LEFT) * ratio / end;
    let mut all: Vec<_> = rows.iter().map(|row| row.concurrency).collect();
    all.sort_unstable();
    all.dedup();

    let (mut body, mut y, mut case) = (String::new(), TOP, "");
    for row in rows {
        if *row.case != *case {
            y += if case.is_empty() { 0.0 } else { GAP };
            case = &row.case;
            text(&mut body, LEFT - 8.0, y + BAR * 0.8, "end", case);
        }
        let place = all.iter().position(|tasks| *tasks == row.concurrency);
        let shade = SHADES[place.unwrap_or(0).min(SHADES.len() - 1)];
        let width = x(row.ratio) - LEFT;
        let height = BAR - 2.0;
        push(
            &mut body,
            format_args!(
                r#"<rect x="{LEFT}" y="{y:.0}" width="{width:.1}" height="{height}" fill="{shade}"/>"#
            ),
        );
        let tasks = if row.concurrency == 1 {
            "task"
        } else {
            "tasks"
        };
        let figure = format!("{:.2} ({} {tasks})", row.ratio, row.concurrency);
        text(&mut body, RIGHT + 10.0, y + BAR * 0.75, "start", &figure);
        y += BAR;
    }
    let floor = x(1.0);
    push(
        &mut body,
        format_args!(
            r##"<path d="M{floor:.1} {:.0}V{:.0}" stroke="#b2182b" stroke-dasharray="4 3"/>"##,
            TOP - 8.0,
            y + 4.0
        ),
    );
    text(&mut body, floor, TOP - 12.0, "middle", "the floor");
    text(
        &mut body,
        12.0,
        20.0,
        "start",
        &format!("{suite}: throughput as a share of the floor's"),
    );
    let height = y + 16.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>{suite}: throughput as a \
         share of the floor's</title>\n<rect width=\"{WIDTH}\" height=\"{height}\" \
         fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn push(body: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(body, "{line}").expect("a string takes all that is written to it");
}

/// Names are the suite's own: nothing in them means anything to XML.
fn text(body: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    push(
        body,
        format_args!(
            r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#222">{words}</text>"##
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_has_a_file_with_a_bar_for_each_row() {
        let row = |suite: &str, tasks: usize, ratio: f64| Row {
            suite: suite.to_owned(),
            case: "fresh".to_owned(),
            concurrency: tasks,
            ratio,
            ..Row::default()
        };
        let rows = [
            row("sqlite", 1, 0.8),
            row("sqlite", 64, 3.2),
            row("mysql", 1, 0.9),
        ];
        let folder = tempfile::tempdir().unwrap();
        write(&rows, folder.path()).unwrap();
        let sqlite = fs::read_to_string(folder.path().join("sqlite.svg")).unwrap();
        assert_eq!(sqlite.matches("<rect x=").count(), 2);
        assert!(sqlite.contains("3.20 (64 tasks)") && sqlite.contains("the floor"));
        assert!(folder.path().join("mysql.svg").exists());
    }
}
