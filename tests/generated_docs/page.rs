//! `docs/config.md`: a table per section.

use crate::example::scalar;
use crate::schema::{Key, Section};
use mllp_bridge::injector::annotation::ANNOTATIONS;
use serde_json::Value;

const HEAD: &str = include_str!("intro.md");

/// The page's text.
pub(crate) fn page(sections: &[Section]) -> String {
    let mut out = String::from(HEAD);
    for section in sections {
        let title = match section.path.as_str() {
            "" => "Top level".to_owned(),
            path => format!("`{path}`"),
        };
        out.push_str(&format!("\n## {title}\n\n"));
        if !section.path.is_empty() {
            out.push_str(&format!("{}\n\n", section.description));
        }
        out.push_str("| key | type | default | what it does | reload |\n");
        out.push_str("| --- | --- | --- | --- | --- |\n");
        for key in &section.keys {
            out.push_str(&row(key));
        }
    }
    out
}

fn row(key: &Key) -> String {
    let reload = match key.restart.as_deref() {
        None => "yes".into(),
        Some("") => "restart".into(),
        Some(what) => format!("restart for {what}"),
    };
    let mut cells = cells(key);
    cells.push(reload);
    format!("| {} |\n", cells.join(" | "))
}

fn cells(key: &Key) -> Vec<String> {
    let default = match &key.default {
        None | Some(Value::Null) => "–".into(),
        Some(value @ (Value::Array(_) | Value::Object(_))) => format!("`{value}`"),
        Some(value) => format!("`{}`", scalar(value)),
    };
    let mut description = key.description.clone();
    for (name, meaning) in &key.choices {
        description.push_str(&format!("<br>`{name}`: {meaning}"));
    }
    let cells = [
        format!("`{}`", key.path),
        key.kind.clone(),
        default,
        description,
    ];
    let escaped = cells.into_iter().map(|cell| cell.replace('|', "\\|"));
    escaped.collect()
}

/// `docs/injector-config.md`: the same, of a program that reads its file once.
pub(crate) fn injector_page(sections: &[Section]) -> String {
    let mut out = String::from(include_str!("injector.md"));
    for section in sections.iter().filter(|section| !section.keys.is_empty()) {
        let title = match section.path.as_str() {
            "" => "Top level".to_owned(),
            path => format!("`{path}`"),
        };
        out.push_str(&format!("\n## {title}\n\n"));
        if !section.path.is_empty() {
            out.push_str(&format!("{}\n\n", section.description));
        }
        out.push_str("| key | type | default | what it does |\n| --- | --- | --- | --- |\n");
        for key in &section.keys {
            out.push_str(&format!("| {} |\n", cells(key).join(" | ")));
        }
    }
    out
}

/// The table of `docs/injection.md`.
pub(crate) fn annotations() -> String {
    let mut out = String::from(
        "\n| annotation | value | default | what it does |\n| --- | --- | --- | --- |\n",
    );
    for one in ANNOTATIONS {
        let default = match one.default {
            "" => "–".to_owned(),
            words if words.contains(' ') => words.to_owned(),
            value => format!("`{value}`"),
        };
        let (name, kind, about) = (one.name, one.kind.text(), one.about);
        out.push_str(&format!("| `{name}` | {kind} | {default} | {about} |\n"));
    }
    out + "\n"
}
