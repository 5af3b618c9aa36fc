//! What a Markdown page consists of: fenced blocks, code spans, links, anchors. As much of it as these pages use.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// A fenced block: its language, the number of its first line, its text.
pub(super) struct Fenced {
    pub(super) language: String,
    pub(super) line: usize,
    pub(super) text: String,
    /// The last line before it that is not empty.
    pub(super) before: String,
}

/// Fenced blocks, and the lines outside of them.
pub(super) fn split(page: &str) -> (Vec<Fenced>, Vec<&str>) {
    let mut blocks: Vec<Fenced> = Vec::new();
    let mut prose = Vec::new();
    let (mut open, mut said) = (false, "");
    for (number, line) in page.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            open = !open;
            if open {
                blocks.push(Fenced {
                    language: language.trim().to_owned(),
                    line: number + 2,
                    text: String::new(),
                    before: said.to_owned(),
                });
            }
        } else if let (true, Some(block)) = (open, blocks.last_mut()) {
            block.text.push_str(line);
            block.text.push('\n');
        } else {
            prose.push(line);
            said = if line.is_empty() { said } else { line };
        }
    }
    assert!(!open, "a fenced block that does not end");
    (blocks, prose)
}

pub(super) fn blocks(page: &str, language: &str) -> Vec<Fenced> {
    let (mut blocks, _) = split(page);
    blocks.retain(|block| block.language == language);
    blocks
}

/// What stands between back-ticks outside of fenced blocks.
pub(super) fn code_spans(page: &str) -> Vec<String> {
    let (_, prose) = split(page);
    let prose = prose.join("\n");
    prose
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Targets of the links outside of code.
pub(super) fn links(page: &str) -> Vec<String> {
    let (_, prose) = split(page);
    let prose = prose.join("\n");
    let prose: String = prose.split('`').step_by(2).collect();
    let mut rest = prose.as_str();
    let mut found = Vec::new();
    while let Some((_, after)) = rest.split_once("](") {
        let (target, after) = after.split_once(')').unwrap_or((after, ""));
        found.push(target.to_owned());
        rest = after;
    }
    found
}

/// The anchors of a page's headings, as GitHub makes them.
pub(super) fn anchors(page: &str) -> BTreeSet<String> {
    let (_, prose) = split(page);
    let mut found = BTreeSet::new();
    for heading in prose.iter().filter(|line| line.starts_with('#')) {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let base: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let mut anchor = base.clone();
        for number in 1.. {
            if found.insert(anchor) {
                break;
            }
            anchor = format!("{base}-{number}");
        }
    }
    found
}

/// `docs/adr/../wire.md` without its dots.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}
