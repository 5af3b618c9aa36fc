//! What the documentation says, held against the program: links, metrics, labels, configuration keys, commands, examples.
//!
//! Each check is a function from texts to a list of faults, so that it can be shown to find one.

#![allow(
    clippy::expect_used,
    clippy::string_slice,
    reason = "helpers of tests, on text of ours"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use mllp_bridge::cli::Cli;
use mllp_bridge::config::{Source, load};
use mllp_bridge::outbound::api::problem::{BASE, Kind};
use mllp_bridge::telemetry::labels::{
    AckLabel, Attempt, CertificateFault, Closed, Connect, Deviation, Label, LinkClosed, Outcome,
    Refusal, Reload, Renewed, ReviewResult, Sent, Unsent, Unused, Which,
};
use mllp_bridge::telemetry::{InjectorMetrics, Metrics};
use page::{anchors, blocks, code_spans, links, normal, split};
use serde_json::Value;
use support::app::TestApp;
use support::bridge::Bridge;
use support::messages::frame;
use support::peer::RawPeer;

mod page;
#[path = "../support/mod.rs"]
mod support;

/// Linked to, and made by somebody else: may be missing until it arrives. To be emptied then.
const COMING: &[&str] = &[];

// What is read.

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Markdown file of the repository, as (path, text); but for those under tests/, which are parts of others.
fn pages() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let skipped = name.starts_with('.') || name == "target" || name == "tests";
            if path.is_dir() && !skipped {
                walk(&path, found);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(root(), &mut found);
    found.sort();
    let pages: Vec<_> = found
        .iter()
        .map(|path| {
            let path = path.strip_prefix(root()).expect("inside");
            let path = path.display().to_string();
            let text = read(&path);
            (path, text)
        })
        .collect();
    assert!(pages.len() > 10, "where are the pages?");
    pages
}

fn assert_none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} fault(s):\n  {}",
        faults.len(),
        faults.join("\n  ")
    );
}

// Links.

/// Relative links of a page that lead nowhere. `look` gives a file's text, or `None` if there is none.
fn dead_links(path: &str, page: &str, look: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for link in links(page) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = match link.split_once('#') {
            Some((file, anchor)) => (file, Some(anchor)),
            None => (link.as_str(), None),
        };
        let target = if file.is_empty() {
            PathBuf::from(path)
        } else {
            normal(&Path::new(path).parent().unwrap_or(Path::new("")).join(file))
        };
        let Some(text) = look(&target) else {
            faults.push(format!("{path}: {link}: no such file"));
            continue;
        };
        if anchor.is_some_and(|anchor| !anchors(&text).contains(anchor)) {
            faults.push(format!("{path}: {link}: no such heading"));
        }
    }
    faults
}

#[test]
fn every_link_leads_somewhere() {
    let look = |path: &Path| {
        let full = root().join(path);
        if COMING.iter().any(|coming| Path::new(coming) == path) || full.is_dir() {
            return Some(String::new());
        }
        fs::read_to_string(full).ok()
    };
    let faults: Vec<_> = pages()
        .iter()
        .flat_map(|(path, page)| dead_links(path, page, look))
        .collect();
    assert_none(&faults);
}

#[test]
fn every_decision_is_in_the_index() {
    let index = read("docs/adr/README.md");
    for entry in fs::read_dir(root().join("docs/adr")).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy().into_owned();
        let (number, _) = name.split_once('-').unwrap_or((&name, ""));
        assert!(
            name == "README.md" || index.contains(number),
            "{name} is not in docs/adr/README.md"
        );
    }
}

#[test]
fn a_dead_link_is_found() {
    let page = "# Über `x`, twice\n[a](b.md) [b](gone.md) `[c](code.md)`\n[d](b.md#two-words) [e](b.md#three) [f](#über-x-twice)\n\
                [g](https://x.org/y)\n```text\n[h](fenced.md)\n```\n";
    let look = |path: &Path| match path.to_str() {
        Some("docs/a.md") => Some(page.to_owned()),
        Some("docs/b.md") => Some("## Two words\n## Two words\n".to_owned()),
        _ => None,
    };
    assert_eq!(
        dead_links("docs/a.md", page, look),
        [
            "docs/a.md: gone.md: no such file",
            "docs/a.md: b.md#three: no such heading"
        ]
    );
    assert!(anchors("## Two words\n## Two words\n").contains("two-words-1"));
}

// Metrics and labels.

/// Names of metrics in a text, without what a histogram adds to its own.
fn metric_names(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find("mllp_bridge_") {
        let name = &rest[at..];
        let end = name.find(|c: char| !c.is_ascii_lowercase() && c != '_');
        let (name, after) = name.split_at(end.unwrap_or(name.len()));
        let histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix));
        found.insert(histogram.unwrap_or(name).to_owned());
        rest = after;
    }
    found
}

/// What the program has.
fn registered() -> BTreeSet<String> {
    let metrics = Metrics::new("0").expect("metrics");
    let _listener = metrics.listener("adt");
    let _destination = metrics.destination("ehr");
    let _unsent = metrics.unsent();
    let injector = InjectorMetrics::new("0").expect("metrics");
    let text = metrics.text().expect("text") + &injector.text().expect("text");
    let lines = text.lines().filter(|line| line.starts_with("# TYPE "));
    metric_names(&lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_metrics_page_has_each_metric_and_no_other() {
    assert_eq!(metric_names(&read("docs/metrics.md")), registered());
}

#[test]
fn no_page_names_a_metric_that_does_not_exist() {
    let registered = registered();
    for (path, page) in pages() {
        // `mllp_bridge::config` and the like are paths of the crate.
        let unknown: Vec<_> = metric_names(&page)
            .into_iter()
            .filter(|name| name != "mllp_bridge_" && !registered.contains(name))
            .collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
    }
}

#[test]
fn a_metric_is_found_in_a_text() {
    let found = metric_names("`mllp_bridge_a_total` rate(mllp_bridge_b_seconds_bucket[5m])");
    let found: Vec<_> = found.iter().map(String::as_str).collect();
    assert_eq!(found, ["mllp_bridge_a_total", "mllp_bridge_b_seconds"]);
}

/// Values of a label that a page does not name in a code span.
fn undocumented<L: Label>(page: &str) -> Vec<&'static str> {
    let spans = code_spans(page);
    let all = L::ALL.iter().map(|value| value.label());
    all.filter(|label| {
        let quoted = format!("\"{label}\"");
        !spans
            .iter()
            .any(|span| span == label || span.contains(&quoted))
    })
    .collect()
}

#[test]
fn every_value_of_a_label_is_documented() {
    let wire = read("docs/wire.md");
    let metrics = read("docs/metrics.md");
    assert_eq!(undocumented::<Deviation>(&wire), [""; 0], "deviations");
    assert_eq!(undocumented::<Closed>(&wire), [""; 0], "closed");
    assert_eq!(undocumented::<Refusal>(&wire), [""; 0], "refusals");
    assert_eq!(undocumented::<Attempt>(&metrics), [""; 0], "attempts");
    assert_eq!(undocumented::<Outcome>(&metrics), [""; 0], "outcomes");
    assert_eq!(undocumented::<Reload>(&metrics), [""; 0], "reloads");
    assert_eq!(undocumented::<AckLabel>(&metrics), [""; 0], "codes");
    assert_eq!(undocumented::<Sent>(&metrics), [""; 0], "sent");
    assert_eq!(undocumented::<Connect>(&metrics), [""; 0], "connects");
    assert_eq!(undocumented::<LinkClosed>(&metrics), [""; 0], "links");
    assert_eq!(undocumented::<Unsent>(&metrics), [""; 0], "unsent");
    assert_eq!(undocumented::<Unused>(&metrics), [""; 0], "unused");
    assert_eq!(undocumented::<ReviewResult>(&metrics), [""; 0], "reviews");
    assert_eq!(undocumented::<Renewed>(&metrics), [""; 0], "renewed");
    assert_eq!(undocumented::<Which>(&metrics), [""; 0], "certificates");
    assert_eq!(
        undocumented::<CertificateFault>(&metrics),
        [""; 0],
        "faults"
    );
    let trouble = read("docs/troubleshooting.md");
    assert_eq!(undocumented::<Refusal>(&trouble), [""; 0], "refusals");
}

/// Values that a text gives to a label (`kind="…"`, `code!="…"`, `outcome=~"a|b"`) and that it cannot have.
fn impossible(text: &str) -> Vec<String> {
    fn labels<L: Label>() -> Vec<&'static str> {
        L::ALL.iter().map(|value| value.label()).collect()
    }
    let reasons = [
        labels::<Closed>(),
        labels::<Refusal>(),
        labels::<Attempt>(),
        labels::<CertificateFault>(),
        labels::<LinkClosed>(),
        labels::<Unsent>(),
        labels::<Unused>(),
    ];
    let outcomes = [labels::<Outcome>(), labels::<Sent>()];
    let results = [
        labels::<Reload>(),
        labels::<ReviewResult>(),
        labels::<Connect>(),
    ];
    let known = [
        ("kind", labels::<Deviation>()),
        ("outcome", outcomes.concat()),
        ("result", results.concat()),
        ("code", labels::<AckLabel>()),
        ("reason", reasons.concat()),
        ("certificate", labels::<Which>()),
        ("what", labels::<Renewed>()),
    ];
    let mut faults = Vec::new();
    for (key, values) in known {
        for operator in ["=\"", "!=\"", "=~\""] {
            let pieces: Vec<&str> = text.split(&format!("{key}{operator}")).collect();
            for two in pieces.windows(2) {
                let [before, piece] = two else { continue };
                // `type.coding.code="…"` is an element of FHIR.
                if before.ends_with('.') {
                    continue;
                }
                let value = piece.split('"').next().unwrap_or_default();
                let wrong = value
                    .split('|')
                    .filter(|one| *one != "…" && !values.contains(one));
                faults.extend(wrong.map(|one| format!("{key}{operator}{one}\"")));
            }
        }
    }
    faults
}

#[test]
fn no_page_gives_a_label_a_value_that_it_cannot_have() {
    for (path, page) in pages() {
        assert_eq!(impossible(&page), [""; 0], "{path}");
    }
}

#[test]
fn a_missing_and_an_invented_label_are_found() {
    assert_eq!(
        undocumented::<AckLabel>("`AA`, code=\"AE\" AR `CA` `CE` `CR`"),
        ["AE", "AR", "unwanted", "suppressed", "batch", "NAK"]
    );
    assert_eq!(
        impossible("x{outcome=~\"failed|lost\",code!=\"AA\"} y{kind=\"…\",kind=\"odd\"}"),
        ["kind=\"odd\"", "outcome=~\"lost\""]
    );
}

/// Kinds of problems that a page does not explain: a row of the table with the status, and a heading.
fn unexplained(page: &str) -> Vec<&'static str> {
    let headings = anchors(page);
    let is_explained = |kind: &Kind| {
        let slug = kind.slug();
        let row = format!("| [`{slug}`](#{slug}) | {} |", kind.status().as_u16());
        page.contains(&row) && headings.contains(slug)
    };
    let all = Kind::ALL.iter().filter(|kind| !is_explained(kind));
    all.map(|kind| kind.slug()).collect()
}

#[test]
fn every_problem_is_explained() {
    let page = read("docs/outbound.md");
    assert_eq!(unexplained(&page), [""; 0]);
    assert!(page.contains(&format!("`{BASE}`")), "{BASE}");
    let named = page.matches(BASE).count();
    assert!(named > 1, "no example of a problem");
}

#[test]
fn an_unexplained_problem_and_a_wrong_status_are_found() {
    let page = "| [`no-answer`](#no-answer) | 504 |\n| [`rejected`](#rejected) | 422 |\n### no-answer\n### rejected\n";
    let missing = unexplained(page);
    assert!(!missing.contains(&"no-answer"));
    assert!(missing.contains(&"rejected"), "its status is 502");
    assert!(missing.contains(&"draining"));
}

/// The message of each log line in a source: the last text of a `tracing` macro's arguments.
fn log_messages(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for level in ["error", "warn", "info", "debug", "trace"] {
        for call in source.split(&format!("tracing::{level}!(")).skip(1) {
            let arguments = call.split(");").next().unwrap_or_default();
            let text = arguments.split('"').skip(1).step_by(2).last();
            found.extend(text.map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_log_line_is_explained() {
    let mut all = String::new();
    sources(&root().join("src"), &mut all);
    let messages = log_messages(&all);
    assert!(messages.len() > 10, "only {messages:?}");
    let spans = code_spans(&read("docs/troubleshooting.md"));
    let mut missing = messages;
    missing.retain(|message| !spans.contains(message));
    assert_eq!(missing, [""; 0]);
}

#[test]
fn a_log_line_is_found_in_a_source() {
    let source = "tracing::warn!(a = %b, reason = \"x\", \"it broke\");\ntracing::info!(\"done\");";
    assert_eq!(log_messages(source), ["it broke", "done"]);
}

// Configuration and commands.

/// Keys in code spans that are written like configuration keys and are none. `reference` is docs/config.md.
fn unknown_keys(page: &str, reference: &str) -> Vec<String> {
    const TOPS: &[&str] = &[
        "framing.",
        "limits.",
        "deliver.",
        "outbound.",
        "connect.",
        "queue.",
        "fill.",
        "ack.",
        "charset.",
        "admin.",
        "shutdown.",
        "log.",
        "webhook.",
        "certificates.",
        "kubernetes.",
    ];
    let known = code_spans(reference);
    let is_known = |key: &str| {
        let full = ["listeners[]", "destinations[]"].map(|list| format!("{list}.{key}"));
        known.iter().any(|one| {
            one == key
                || full.contains(one)
                || full.iter().any(|full| one.starts_with(&format!("{full}.")))
                || one.starts_with(&format!("{key}."))
                || one == &format!("listeners[0].{key}")
        })
    };
    code_spans(page)
        .into_iter()
        .map(|span| {
            let key = span.split(':').next().unwrap_or_default();
            key.trim_start_matches("listeners[].")
                .trim_start_matches("listeners[0].")
                .trim_start_matches("destinations[].")
                .to_owned()
        })
        .filter(|key| TOPS.iter().any(|top| key.starts_with(top)))
        .filter(|key| !is_known(key))
        .collect()
}

#[test]
fn every_configuration_key_that_a_page_names_exists() {
    // The chart's page is made from its values, whose names are keys as well.
    let reference: String = [
        "docs/config.md",
        "docs/injector-config.md",
        "charts/mllp-bridge/README.md",
    ]
    .map(read)
    .concat();
    for (path, page) in pages() {
        // troubleshooting.md shows a key that is misspelt on purpose.
        let unknown: Vec<_> = unknown_keys(&page, &reference)
            .into_iter()
            .filter(|key| key != "deliver.timout")
            .collect();
        assert_eq!(unknown, [""; 0], "{path}");
    }
}

/// Why a YAML block cannot be right: not YAML, or a whole configuration (it has `listeners`) that does not load.
fn bad_yaml(block: &str) -> Option<String> {
    let value: Value = match serde_saphyr::from_str(block) {
        Ok(value) => value,
        Err(error) => return Some(error.to_string()),
    };
    value.get("listeners")?;
    let loaded = load(&Source::new().text(block));
    loaded.err().map(|errors| errors.to_string())
}

#[test]
fn every_yaml_block_can_be_read_and_every_configuration_loads() {
    let mut configurations = 0;
    for (path, page) in pages() {
        for block in blocks(&page, "yaml") {
            let fault = bad_yaml(&block.text);
            assert_eq!(fault, None, "{path}:{}", block.line);
            configurations += usize::from(block.text.contains("listeners:"));
        }
    }
    assert!(configurations >= 4, "only {configurations} configurations");
}

/// The arguments of a line that runs the program, or `None` if it does not.
fn command(line: &str) -> Option<Vec<String>> {
    let line = line.split(" #").next().unwrap_or_default();
    let line = line.rsplit(" | ").next().unwrap_or_default().trim();
    let line = line.replace("cargo run --release -- ", "mllp-bridge ");
    let words: Vec<String> = line
        .split_whitespace()
        .map(|word| word.trim_matches(['\'', '"']).to_owned())
        .collect();
    (words.first()? == "mllp-bridge").then_some(words)
}

#[test]
fn every_command_line_is_one_that_the_program_takes() {
    let mut seen = 0;
    for (path, page) in pages() {
        for block in blocks(&page, "sh") {
            for words in block.text.lines().filter_map(command) {
                seen += 1;
                if let Err(error) = Cli::try_parse_from(&words) {
                    panic!("{path}:{}: {}\n{error}", block.line, words.join(" "));
                }
            }
        }
    }
    assert!(seen > 10, "only {seen} command lines");
}

#[test]
fn a_bad_key_a_bad_configuration_and_a_bad_command_are_found() {
    let reference = "`listeners[].deliver.url` `log.level` `listeners[].deliver.retry.max`";
    let page = "`deliver.url` `deliver.retry` `log.level: debug` `log.colour` `data.raw`";
    assert_eq!(unknown_keys(page, reference), ["log.colour"]);
    assert_eq!(bad_yaml("kind: Pod\n"), None);
    assert_eq!(bad_yaml("listeners: [{}]\n"), None);
    let fault = bad_yaml("listeners: [{colour: red}]\n").unwrap_or_default();
    assert!(fault.contains("listeners[0].colour"), "{fault}");
    assert!(bad_yaml("a: [b\n").is_some());
    let words = command("cat x | mllp-bridge drain --now  # ends").unwrap_or_default();
    assert_eq!(words, ["mllp-bridge", "drain", "--now"]);
    assert!(Cli::try_parse_from(&words).is_err());
    assert_eq!(command("make test"), None);
}

// Examples.

/// Blocks behind "from [file](…):" and the like that are not a part of that file.
fn not_of_its_file(
    path: &str,
    page: &str,
    look: impl Fn(&Path) -> Option<String>,
) -> (usize, Vec<String>) {
    let (blocks, _) = split(page);
    let (mut seen, mut faults) = (0, Vec::new());
    for block in blocks {
        let from = block.before.to_lowercase().contains("from [");
        let Some(file) = links(&block.before).pop().filter(|_| from) else {
            continue;
        };
        seen += 1;
        let file = normal(&Path::new(path).parent().unwrap_or(Path::new("")).join(file));
        if !look(&file).is_some_and(|text| text.contains(&block.text)) {
            faults.push(format!("{path}:{}: not in {}", block.line, file.display()));
        }
    }
    (seen, faults)
}

#[test]
fn what_is_shown_of_a_program_is_in_it() {
    let look = |path: &Path| fs::read_to_string(root().join(path)).ok();
    let mut seen = 0;
    for (path, page) in pages() {
        let (of_page, faults) = not_of_its_file(&path, &page, look);
        seen += of_page;
        assert_none(&faults);
    }
    assert!(seen >= 5, "only {seen} blocks");
}

#[test]
fn what_is_not_in_the_program_is_found() {
    let page = "From [a.py](../a.py):\n\n```python\nx = 1\n```\nFrom [a.py](../a.py):\n```python\nx = 2\n```\n";
    let look = |path: &Path| (path == Path::new("a.py")).then(|| "x = 1\ny = 2\n".to_owned());
    let (seen, faults) = not_of_its_file("docs/p.md", page, look);
    assert_eq!(
        (seen, faults),
        (2, vec!["docs/p.md:8: not in a.py".to_owned()])
    );
}

#[test]
fn every_json_block_can_be_read() {
    let mut seen = 0;
    for (path, page) in pages() {
        for block in blocks(&page, "json") {
            seen += 1;
            if let Err(error) = serde_json::from_str::<Value>(&block.text) {
                panic!("{path}:{}: {error}", block.line);
            }
        }
    }
    assert!(seen > 4, "only {seen} blocks of JSON");
}

/// The text block that stands before each JSON block of a page: a message, and what the app gets of it.
fn shown_in_envelope_md() -> Vec<(String, Value)> {
    let (all, _) = split(&read("docs/envelope.md"));
    let pairs = all
        .windows(2)
        .filter(|pair| pair[0].language == "text" && pair[1].language == "json");
    let pairs = pairs.map(|pair| {
        let json = serde_json::from_str(&pair[1].text).expect("JSON");
        (pair[0].text.replace('\n', "\r"), json)
    });
    pairs.collect()
}

/// What an app gets of a message, through a running bridge whose listener is called adt.
fn delivered(message: &str) -> Value {
    let app = TestApp::start();
    let bridge = Bridge::start(&format!(
        "listeners: [{{name: adt, bind: '127.0.0.1:0', deliver: {{url: '{}'}}}}]",
        app.url()
    ));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(message));
    peer.ack();
    drop(peer);
    bridge.stop();
    app.last().json()
}

#[test]
fn the_envelopes_that_are_shown_are_what_an_app_gets() {
    let shown = shown_in_envelope_md();
    assert_eq!(shown.len(), 2, "a whole one, and segments");
    let (message, mut whole) = shown[0].clone();
    let mut got = delivered(&message);
    got["time"] = Value::Null;
    assert!(whole["time"].take().is_string());
    assert_eq!(got, whole);

    let (rest, segments) = &shown[1];
    let got = delivered(&format!("{message}{rest}"));
    let got = got["data"]["segments"].as_array().expect("segments");
    let shown = segments.as_array().expect("segments");
    assert_eq!(&got[got.len() - shown.len()..], shown.as_slice());
}

// ARCHITECTURE.md.

#[test]
fn the_architecture_fits_in_150_lines() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(lines <= 150, "{lines} lines");
}

/// Names in code spans that look like tests (three underscores or more) and stand after no `fn` in the sources.
fn unknown_tests(page: &str, sources: &str) -> Vec<String> {
    let is_name = |span: &String| {
        span.matches('_').count() >= 3
            && span
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let mut names = code_spans(page);
    names.retain(is_name);
    names.retain(|name| !sources.contains(&format!("fn {name}(")));
    names
}

fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(path).expect("UTF-8"));
        }
    }
}

#[test]
fn every_test_that_the_architecture_names_exists() {
    let mut all = String::new();
    sources(&root().join("src"), &mut all);
    sources(&root().join("tests"), &mut all);
    assert_eq!(unknown_tests(&read("ARCHITECTURE.md"), &all), [""; 0]);
}

#[test]
fn an_invented_test_is_found() {
    let page = "`it_is_there_now` `it_is_not_there` `Not_A_Test_Name` `max_bytes`";
    assert_eq!(
        unknown_tests(page, "fn it_is_there_now() {}"),
        ["it_is_not_there"]
    );
}
