//! The chart's README: values.yaml's comments as tables.

use std::fmt::Write;

use crate::helm::{CHART, read};

/// A value: where it is, what it is without anybody's doing, what its comment says.
struct Row {
    path: String,
    default: String,
    comment: String,
}

/// `key` and what stands behind its colon.
fn key(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim_start().split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    (!key.is_empty() && key.chars().all(plain)).then(|| (key, value.trim()))
}

/// Sections of values.yaml: a heading, and its rows.
fn sections(yaml: &str) -> Vec<(String, Vec<Row>)> {
    let mut all: Vec<(String, Vec<Row>)> = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut comment = String::new();
    for line in yaml.lines() {
        let text = line.trim_start();
        if let Some(heading) = text.strip_prefix("## ") {
            all.push((heading.to_owned(), Vec::new()));
            comment.clear();
        } else if let Some(words) = text.strip_prefix("# ") {
            let gap = if comment.is_empty() { "" } else { " " };
            let _ = write!(comment, "{gap}{words}");
        } else if text.is_empty() {
            comment.clear();
        } else if let Some((key, value)) = key(line) {
            let depth = line.len() - text.len();
            path.retain(|(other, _)| *other < depth);
            path.push((
                depth,
                if key.contains('.') {
                    format!("\"{key}\"")
                } else {
                    key.to_owned()
                },
            ));
            let keys: Vec<_> = path.iter().map(|(_, key)| key.as_str()).collect();
            let path = keys.join(".");
            if !value.is_empty() {
                assert!(!comment.is_empty(), "{path} has no comment");
                let (_, rows) = all.last_mut().expect("a section first");
                rows.push(Row {
                    path,
                    default: value.to_owned(),
                    comment: comment.clone(),
                });
            }
            comment.clear();
        } else {
            panic!("values.yaml: {line}");
        }
    }
    all
}

/// The whole page.
pub(crate) fn page() -> String {
    let mut tables = String::new();
    for (heading, rows) in sections(&read(&format!("{CHART}/values.yaml"))) {
        let _ = write!(
            tables,
            "### {heading}\n\n| value | default | what it does |\n| --- | --- | --- |\n"
        );
        for row in rows {
            let cell = |text: &str| text.replace('|', "\\|");
            let _ = writeln!(
                tables,
                "| `{}` | `{}` | {} |",
                row.path,
                cell(&row.default),
                cell(&row.comment)
            );
        }
        tables.push('\n');
    }
    let intro = read("tests/chart/readme.md");
    assert!(intro.contains("<!-- values -->\n"));
    intro
        .replace("<!-- values -->\n", tables.trim_start())
        .trim_end()
        .to_owned()
        + "\n"
}

#[test]
fn comments_become_rows() {
    let found = sections("## One\n\n# What\n# it is.\na: 1\nb:\n  # Inner.\n  c.d/e: {}\n");
    let (heading, rows) = &found[0];
    assert_eq!(heading, "One");
    let rows: Vec<_> = rows
        .iter()
        .map(|row| format!("{} {} {}", row.path, row.default, row.comment))
        .collect();
    assert_eq!(rows, ["a 1 What it is.", "b.\"c.d/e\" {} Inner."]);
}
