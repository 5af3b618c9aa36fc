//! docs/own-mappings.md, done as its reader would: each file is written, each command run, and what the page shows must come out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use page::{Fenced, split};
use serde_json::Value;
use tempfile::TempDir;

#[allow(dead_code, reason = "links and anchors are for tests/docs")]
#[path = "docs/page.rs"]
mod page;

const PAGE: &str = "docs/own-mappings.md";

/// What a command printed.
struct Ran {
    ok: bool,
    out: String,
    err: String,
}

/// Runs a block in a folder, with this build's program on the path.
fn run(folder: &Path, block: &str) -> Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_mllp-bridge"));
    let mut path = program.parent().expect("a folder").as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-ec", block])
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .expect("a shell");
    Ran {
        ok: output.status.success(),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Whether a document has all that is shown of it; of a list each shown item must be there.
fn has(whole: &Value, shown: &Value) -> bool {
    match (whole, shown) {
        (Value::Object(whole), Value::Object(shown)) => shown
            .iter()
            .all(|(key, part)| whole.get(key).is_some_and(|value| has(value, part))),
        (Value::Array(whole), Value::Array(shown)) => shown
            .iter()
            .all(|part| whole.iter().any(|value| has(value, part))),
        _ => whole == shown,
    }
}

/// The first text between back-ticks of a line.
fn quoted(line: &str) -> Option<&str> {
    line.split('`').nth(1)
}

/// What the page has been followed to.
struct Reader {
    folder: TempDir,
    /// The last command.
    ran: Option<Ran>,
    bundles: usize,
    outputs: usize,
}

impl Reader {
    fn follow(&mut self, block: &Fenced, title: &str) {
        let at = format!("{PAGE}:{}", block.line);
        let folder = self.folder.path();
        if let Some(name) = quoted(title).filter(|_| title.ends_with("`:")) {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(file, &block.text).expect("written");
            return;
        }
        match block.language.as_str() {
            // A cluster is not at hand; what is said of one is not run.
            "sh" if block.text.starts_with("kubectl ") => self.ran = None,
            "sh" => self.ran = Some(run(folder, &block.text)),
            "json" => {
                let ran = self.ran.as_ref().expect("a command before it");
                assert!(ran.ok, "{at}: {}", ran.err);
                let shown: Value = serde_json::from_str(&block.text).expect("JSON");
                let bundle: Value = serde_json::from_str(&ran.out).expect("a bundle");
                let entries = bundle["entry"].as_array().expect("entries");
                let found = entries.iter().any(|entry| has(&entry["resource"], &shown));
                assert!(found, "{at}: {shown}\nis not in\n{bundle:#}");
                self.bundles += 1;
            }
            "text" => {
                let Some(ran) = &self.ran else { return };
                for line in block.text.lines() {
                    let there = ran.out.contains(line) || ran.err.contains(line);
                    assert!(there, "{at}: {line:?} is not in\n{}{}", ran.out, ran.err);
                }
                self.outputs += 1;
            }
            _ => {}
        }
    }
}

/// The line before a block that is not empty; the end of another block is one.
fn title<'p>(page: &'p str, block: &Fenced) -> &'p str {
    let before: Vec<&str> = page.lines().take(block.line - 2).collect();
    let line = before.into_iter().rev().find(|line| !line.is_empty());
    line.unwrap_or_default()
}

#[test]
fn each_step_of_the_page_does_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join(PAGE)).expect("the page");
    let mut reader = Reader {
        folder: TempDir::new().unwrap(),
        ran: None,
        bundles: 0,
        outputs: 0,
    };
    let mappings = reader.folder.path().join("mappings");
    std::os::unix::fs::symlink(root.join("mappings"), mappings).unwrap();
    let (blocks, _) = split(&page);
    for block in &blocks {
        reader.follow(block, title(&page, block));
    }
    let done = (reader.bundles, reader.outputs);
    assert_eq!(done, (7, 4), "bundles and outputs");

    // What the page says of it in words.
    let folder = reader.folder.path();
    let ledger = run(
        folder,
        "mllp-bridge convert --to fhir --mappings maps --ledger adt.hl7",
    );
    assert_eq!(ledger.out, "", "the ledger is empty");
    let checked = run(folder, "mllp-bridge check --config bridge.yaml");
    assert!(checked.ok, "{}{}", checked.out, checked.err);
    let wrong = fs::read_to_string(folder.join("bridge.yaml")).unwrap();
    let wrong = wrong.replace("mappings: maps", "mappings: wrong");
    fs::write(folder.join("bridge.yaml"), wrong).unwrap();
    let checked = run(folder, "mllp-bridge check --config bridge.yaml");
    let said = checked.out + &checked.err;
    assert!(!checked.ok, "{said}");
    assert!(said.contains("wrong/segments/ZPI.yaml:4: "), "{said}");
    let refused = run(folder, "mllp-bridge convert --to fhir z60.hl7");
    assert!(!refused.ok, "a message type that the bridge does not know");
}

/// An extension is an object of a URL and a value: without the value there must be none.
#[test]
fn what_is_empty_in_the_message_makes_no_extension() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join(PAGE)).expect("the page");
    let folder = TempDir::new().unwrap();
    let (blocks, _) = split(&page);
    for path in ["maps/segments/ZPI.yaml", "maps/messages/adt.yaml"] {
        let title = format!("`{path}`:");
        let block = blocks.iter().find(|block| block.before == title);
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, &block.expect(path).text).unwrap();
    }
    let message = blocks.iter().find(|block| block.before == "`adt.hl7`:");
    let message = message.expect("the message").text.clone();
    for (text, count) in [
        (message.clone(), 1),
        (message.replace("yes, by letter", ""), 0),
    ] {
        fs::write(folder.path().join("adt.hl7"), text).unwrap();
        let ran = run(
            folder.path(),
            "mllp-bridge convert --to fhir --mappings maps adt.hl7",
        );
        assert!(ran.ok, "{}", ran.err);
        assert_eq!(
            ran.out.matches("portal-consent").count(),
            count,
            "{}",
            ran.out
        );
    }
}

/// The copy of a built-in map differs from the original in the row that the page tells of, and in nothing else.
#[test]
fn the_changed_map_is_the_bridges_own_but_for_the_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join(PAGE)).expect("the page");
    let (blocks, _) = split(&page);
    let copy = blocks
        .iter()
        .find(|block| block.text.starts_with("NK1[Patient]"));
    let copy = &copy.expect("the copy").text;
    let own = fs::read_to_string(root.join("mappings/segments/NK1.yaml")).unwrap();
    let own = own.split("\n\n").next().expect("NK1[Patient]");
    let missing: Vec<&str> = own
        .lines()
        .map(str::trim)
        .filter(|line| !copy.contains(line))
        .collect();
    let row = r#"- {to: "telecom[]", from: NK1-6, as: "XTN[ContactPoint-Work]"}"#;
    assert_eq!(missing, [row]);
}
