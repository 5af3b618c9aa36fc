//! The layering rule of ARCHITECTURE.md, as a test: single-crate programs grow module cycles unless something stops
//! them. It reads the sources, so that it holds for code that no other test reaches.
//!
//! Where it stands in your way, the tables below are where to argue: each exception carries its reason.

#![allow(clippy::expect_used, reason = "helpers of a test")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path as FsPath;

mod scan;
use scan::{Path, Source};

/// Top-level modules, lowest layer first. A module imports from the layers above its own line only.
const LAYERS: &[&[&str]] = &[
    &["config"],
    &["telemetry", "runtime", "net"],
    &["mllp", "hl7"],
    &["xml"],
    &["envelope", "fhir"],
    &["deliver", "journal", "state", "awaited"],
    &["inbound", "outbound", "injector", "admin"],
    &["cli"],
    &["cmd"],
];

/// Modules of one layer are strangers, but for these: (from, to, why).
const SIBLINGS: &[(&str, &str, &str)] = &[(
    "injector",
    "admin",
    "the webhook's health and metrics are served by the same server",
)];

/// Modules that import less than their layer would allow.
const ONLY: &[(&str, &[&str])] = &[("cli", &["config"])];

/// Modules, and files of modules, that do no I/O: bytes and plain data in and out. What is below them is pure with them.
const PURE: &[&str] = &[
    "mllp",
    "hl7",
    "xml",
    "envelope",
    "fhir",
    "injector::annotation",
    "injector::container",
    "injector::error",
    "injector::inject",
    "injector::manifest",
    "injector::patch",
    "injector::pod",
    "injector::quantity",
    "injector::review",
    "injector::settings",
];
const IMPURE_PATHS: &[&str] = &[
    "tokio",
    "reqwest",
    "axum",
    "hyper",
    "socket2",
    "std::net",
    "std::fs",
    "std::process",
    "std::thread",
];
/// Addresses are plain data.
const PURE_AFTER_ALL: &[&str] = &[
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
];

/// Longest file, in lines outside `#[cfg(test)]`; some are to be read at one glance.
const MAX_LINES: usize = 500;
const MAX_LINES_OF: &[(&str, usize)] = &[("src/main.rs", 100), ("src/inbound/exchange.rs", 150)];

/// The library's name, as the binary imports it.
const CRATE: &str = "mllp_bridge";

#[test]
fn modules_import_only_downwards() {
    let root = FsPath::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    read_sources(root, FsPath::new("src"), &mut files);
    assert!(
        files.iter().any(|(name, _)| name == "src/lib.rs"),
        "no src/lib.rs under {}",
        root.display()
    );
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let broken = check(&files);
    assert!(
        broken.is_empty(),
        "{} layering rule(s) broken:\n\n{}\n",
        broken.len(),
        broken.join("\n\n")
    );
}

/// A row that names nothing would hold nothing.
#[test]
fn every_pure_part_is_there() {
    let root = FsPath::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for part in PURE {
        let path = root.join(part.replace("::", "/"));
        assert!(
            path.join("mod.rs").exists() || path.with_extension("rs").exists(),
            "{part} is no module"
        );
    }
}

fn read_sources(root: &FsPath, folder: &FsPath, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(root.join(folder)).expect("source folder") {
        let entry = entry.expect("directory entry");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("file type").is_dir() {
            read_sources(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(root.join(&path)).expect("UTF-8 source");
            files.push((path.display().to_string(), text));
        }
    }
}

/// Everything that is wrong with these (path, text) files.
fn check(files: &[(&str, &str)]) -> Vec<String> {
    let tree = Tree::read(files);
    let mut broken = Vec::new();
    tree.check_files(&mut broken);
    let edges = tree.edges(&mut broken);

    let (mut between, mut within) = (Graph::new(), Graph::new());
    for edge in &edges {
        let at = format!("{}:{}", edge.file, edge.line);
        let (from, to) = (edge.from.first(), edge.to.first());
        match (from, to) {
            (Some(from), Some(to)) if from == to => {
                within
                    .entry(edge.from.join("::"))
                    .or_default()
                    .entry(edge.to.join("::"))
                    .or_insert(at);
            }
            (Some(from), Some(to)) => {
                broken.extend(
                    forbidden(from, to).map(|why| format!("{at}: `{}`\n  {why}", edge.path)),
                );
                between
                    .entry(from.clone())
                    .or_default()
                    .entry(to.clone())
                    .or_insert(at);
            }
            _ => {} // the crate's root sees everything, and nobody imports the root
        }
    }
    for graph in [between, within] {
        broken.extend(
            cycles(&graph)
                .into_iter()
                .map(|cycle| format!("import cycle:\n{cycle}")),
        );
    }
    broken
}

/// Why a top-level module must not import another, if it must not.
fn forbidden(from: &str, to: &str) -> Option<String> {
    let (source, target) = (layer(from)?, layer(to)?); // unknown modules are reported as files
    if let Some((_, only)) = ONLY.iter().find(|row| row.0 == from)
        && !only.contains(&to)
    {
        return Some(format!("`{from}` may import only {only:?}"));
    }
    if source == target && !SIBLINGS.iter().any(|pair| (pair.0, pair.1) == (from, to)) {
        return Some(format!(
            "`{from}` and `{to}` are of one layer: neither may import the other"
        ));
    }
    (source < target).then(|| {
        format!(
            "upward: `{from}` is in layer {source} {:?}, `{to}` in layer {target} {:?}",
            LAYERS[source], LAYERS[target]
        )
    })
}

/// The row of PURE that a module is, or is below.
fn pure(module: &[String]) -> Option<&'static str> {
    (1..=module.len()).find_map(|n| {
        let path = module[..n].join("::");
        PURE.iter().copied().find(|row| *row == path)
    })
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// From one file's module to another's.
struct Edge<'a> {
    from: &'a [String],
    to: Vec<String>,
    file: &'a str,
    line: usize,
    path: String,
}

/// The sources, by the module that each file is.
struct Tree<'a> {
    /// lib.rs and main.rs are both the empty path.
    files: Vec<(&'a str, Vec<String>, Source)>,
    modules: BTreeSet<Vec<String>>,
    /// (module, name) of each re-export → what it stands for.
    reexports: BTreeMap<(Vec<String>, String), Vec<String>>,
}

impl<'a> Tree<'a> {
    fn read(files: &[(&'a str, &str)]) -> Self {
        let mut files: Vec<_> = files
            .iter()
            .map(|(name, text)| (*name, module_of(name), Source::scan(text)))
            .collect();
        files.sort_by(|a, b| a.0.cmp(b.0));
        let mut tests: BTreeSet<Vec<String>> = BTreeSet::new();
        for (_, module, source) in &files {
            tests.extend(
                source
                    .test_modules
                    .iter()
                    .map(|name| join(module, std::slice::from_ref(name))),
            );
            tests.extend(source.is_test.then(|| module.clone()));
        }
        files.retain(|(_, module, _)| !(0..=module.len()).any(|n| tests.contains(&module[..n])));

        let modules = files.iter().map(|file| file.1.clone()).collect();
        let mut tree = Self {
            files,
            modules,
            reexports: BTreeMap::new(),
        };
        let mut reexports = BTreeMap::new();
        for (_, module, source) in &tree.files {
            for path in source
                .paths
                .iter()
                .filter(|path| path.reexport && path.inline.is_empty())
            {
                if let Some(to) = tree.absolute(module, path) {
                    reexports.insert((module.clone(), path.binds.clone()), to);
                }
            }
        }
        tree.reexports = reexports;
        tree
    }

    /// The rules that concern one file by itself.
    fn check_files(&self, broken: &mut Vec<String>) {
        for (name, module, source) in &self.files {
            let max = MAX_LINES_OF
                .iter()
                .find(|row| row.0 == *name)
                .map_or(MAX_LINES, |row| row.1);
            if source.lines > max {
                broken.push(format!(
                    "{name}: {} lines outside tests, at most {max}: split it",
                    source.lines
                ));
            }
            let Some(top) = module.first() else { continue };
            if layer(top).is_none() {
                broken.push(format!("{name}: module `{top}` has no layer: give it its place in LAYERS of tests/layers/main.rs"));
            }
            let Some(pure) = pure(module) else { continue };
            for path in source
                .paths
                .iter()
                .filter(|path| self.absolute(module, path).is_none())
            {
                let text = path.segments.join("::");
                let below =
                    |prefix: &&&str| text == **prefix || text.starts_with(&format!("{prefix}::"));
                if let Some(what) = IMPURE_PATHS.iter().find(below)
                    && !PURE_AFTER_ALL.iter().any(|plain| below(&plain))
                {
                    broken.push(format!(
                        "{name}:{}: `{text}`\n  `{pure}` is pure: no `{what}` in it",
                        path.line
                    ));
                }
            }
        }
    }

    /// Which file's module uses which.
    fn edges(&self, broken: &mut Vec<String>) -> Vec<Edge<'_>> {
        let mut edges = Vec::new();
        for (name, module, source) in &self.files {
            for path in &source.paths {
                let Some(target) = self.absolute(module, path) else {
                    continue;
                };
                let to = self.home(&target);
                // A parent that shows its children's items under its own name does not use them.
                let shows_child = path.reexport && to.starts_with(module);
                // A file's children are parts of it that were split off for length; they may use what it defines.
                let part_of = !to.is_empty() && module.starts_with(&to);
                if to.is_empty() && !target.is_empty() && !module.is_empty() {
                    broken.push(format!(
                        "{name}:{}: `{}`\n  names no module of this crate: import from where it is defined",
                        path.line,
                        path.segments.join("::"),
                    ));
                } else if !part_of && !shows_child {
                    let path_text = path.segments.join("::");
                    edges.push(Edge {
                        from: module,
                        to,
                        file: name,
                        line: path.line,
                        path: path_text,
                    });
                }
            }
        }
        edges
    }

    /// The path from the crate's root; `None` for paths into other crates, and for names in scope.
    fn absolute(&self, module: &[String], path: &Path) -> Option<Vec<String>> {
        let here = join(module, &path.inline);
        let (first, rest) = path.segments.split_first()?;
        match first.as_str() {
            "crate" | CRATE => Some(rest.to_vec()),
            "self" => Some(join(&here, rest)),
            "super" => {
                let ups = path
                    .segments
                    .iter()
                    .take_while(|segment| *segment == "super")
                    .count();
                Some(join(
                    &here[..here.len().saturating_sub(ups)],
                    &path.segments[ups..],
                ))
            }
            // A child module is in scope by its name.
            _ if self
                .modules
                .contains(&join(&here, std::slice::from_ref(first))) =>
            {
                Some(join(&here, &path.segments))
            }
            _ => None,
        }
    }

    /// The module whose file defines a path, looking through re-exports.
    fn home(&self, path: &[String]) -> Vec<String> {
        let mut path = path.to_vec();
        for _ in 0..16 {
            let module = (0..=path.len())
                .rev()
                .map(|n| &path[..n])
                .find(|module| self.modules.contains(*module));
            let Some(module) = module.map(<[String]>::to_vec) else {
                return Vec::new();
            };
            let name = path.get(module.len()).cloned().unwrap_or_default();
            match self.reexports.get(&(module.clone(), name)) {
                Some(to) if path.len() > module.len() => path = join(to, &path[module.len() + 1..]),
                _ => return module,
            }
        }
        panic!("a re-export of {path:?} stands for itself");
    }
}

fn join(module: &[String], rest: &[String]) -> Vec<String> {
    [module, rest].concat()
}

/// `src/mllp/decode.rs` → `["mllp", "decode"]`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    if matches!(
        module.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        module.pop();
    }
    module
}

/// From → to → where.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// One shortest cycle for each knot, as lines of `a → b (file:line)`.
fn cycles(graph: &Graph) -> Vec<String> {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for start in graph.keys() {
        let mut reached_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([start.as_str()]);
        while let Some(node) = queue.pop_front() {
            for next in graph
                .get(node)
                .into_iter()
                .flatten()
                .map(|edge| edge.0.as_str())
            {
                if !reached_from.contains_key(next) {
                    reached_from.insert(next, node);
                    queue.push_back(next);
                }
            }
        }
        if !reached_from.contains_key(start.as_str()) {
            continue;
        }
        let mut steps = Vec::new();
        let mut node = start.as_str();
        while steps.is_empty() || node != start {
            let before = reached_from[node];
            steps.push((before, node));
            node = before;
        }
        if steps.iter().any(|step| told.contains(step.1)) {
            continue;
        }
        told.extend(steps.iter().map(|step| step.1));
        let line = |(from, to): &(&str, &str)| format!("  {from} → {to} ({})", graph[*from][*to]);
        found.push(steps.iter().rev().map(line).collect::<Vec<_>>().join("\n"));
    }
    found
}

// The rule itself under test: a scanner that silently sees nothing would pass every tree.

/// Asserts that exactly one rule is broken, and that the message has all these parts.
#[track_caller]
fn assert_broken(files: &[(&str, &str)], parts: &[&str]) {
    let broken = check(files);
    assert_eq!(
        broken.len(),
        1,
        "expected one message with {parts:?}, got {broken:#?}"
    );
    for part in parts {
        assert!(broken[0].contains(part), "no {part:?} in {:?}", broken[0]);
    }
}

#[track_caller]
fn assert_fine(files: &[(&str, &str)]) {
    assert_eq!(check(files), Vec::<String>::new());
}

const DELIVER: (&str, &str) = ("src/deliver/mod.rs", "pub struct Outcome;");
const HL7: (&str, &str) = ("src/hl7.rs", "pub struct Ack;");

#[test]
fn an_upward_edge_is_found_however_it_is_written() {
    for text in [
        "use crate::deliver::Outcome;",
        "use crate::deliver;",
        "use crate::{config::{self, Limits}, deliver::{Outcome as O}};",
        "use crate::{\n    config,\n    deliver::*,\n};",
        "pub use crate::deliver::Outcome;",
        "use super::deliver::Outcome;",
        "use super::{deliver::Outcome};",
        "use mllp_bridge::deliver::Outcome;",
        "fn f() -> Vec::<crate::deliver::Outcome> { todo() }",
        "fn f() { let _ = <crate::deliver::Outcome as Default>::default(); }",
        "fn f() { super::deliver::f() }",
        "mod inner { use super::super::deliver::Outcome; }",
        "mod inner { fn f() {} } fn g() { super::deliver::f(); }",
        "fn f() { macro_rules! m { () => { $crate::deliver::f() } } }",
        "const C: char = '\"'; use crate::deliver::Outcome; const D: char = '\"';",
        "fn f<'a>(x: &'a str) { crate::deliver::f(x) }",
        "#[cfg(test)]\nuse std::io;\nuse crate::deliver::Outcome;",
        "#[cfg(not(test))]\nuse crate::deliver::Outcome;",
        "#[cfg(all(unix, not(test)))]\nuse crate::deliver::Outcome;",
        "#[cfg(test)]\nmod tests { fn f() { if true { } } }\nuse crate::deliver::Outcome;",
        "struct S { #[cfg(test)] a: u8, b: crate::deliver::Outcome }",
    ] {
        let broken = check(&[("src/hl7.rs", text), DELIVER, ("src/config.rs", "")]);
        assert_eq!(broken.len(), 1, "in {text:?}: {broken:#?}");
        assert!(broken[0].contains("upward: `hl7`"), "{broken:?}");
    }
}

#[test]
fn the_message_says_where_and_why() {
    assert_broken(
        &[
            (
                "src/hl7.rs",
                "//! ACKs.\n\nuse crate::{\n    config::Ack,\n    deliver::Outcome,\n};",
            ),
            DELIVER,
            ("src/config.rs", ""),
        ],
        &[
            "src/hl7.rs:5: `crate::deliver::Outcome`",
            "`hl7` is in layer 2",
            "`deliver` in layer 5",
        ],
    );
}

#[test]
fn comments_strings_and_tests_do_not_import() {
    for text in [
        "// use crate::deliver::Outcome;",
        "/// [`crate::deliver::Outcome`]\nfn f() {}",
        "/* /* nested */ use crate::deliver::Outcome; */",
        "const S: &str = \"\\\"crate::deliver::f\";",
        "const S: &str = r##\"\"# crate::deliver::f()\"##;",
        "const S: &[u8] = b\"crate::deliver::f\"; const T: u8 = b'\"'; const U: &[u8] = br\"crate::deliver::f\";",
        "#[cfg(test)]\nmod tests { use crate::deliver::Outcome; fn f() { crate::deliver::f() } }",
        "#[cfg(test)]\n#[allow(dead_code)]\nfn f() -> [u8; 3] { crate::deliver::f() }",
        "#[cfg(all(test, unix))]\nuse crate::deliver::Outcome;",
        "#[cfg(test)]\nuse crate::deliver::{Outcome, f};",
        "pub(in crate::deliver) fn f() {}",
        "fn f(deliver: u8) { deliver::<u8>(); }",
    ] {
        assert_eq!(
            check(&[("src/hl7.rs", text), DELIVER]),
            Vec::<String>::new(),
            "in {text:?}"
        );
    }
}

#[test]
fn a_test_file_is_not_source() {
    let uses = "use crate::deliver::Outcome;";
    assert_fine(&[
        ("src/hl7/mod.rs", "#[cfg(test)]\nmod tests;"),
        ("src/hl7/tests.rs", uses),
        DELIVER,
    ]);
    assert_fine(&[
        ("src/hl7/mod.rs", "mod tests;"),
        ("src/hl7/tests.rs", &format!("#![cfg(test)]\n{uses}")),
        DELIVER,
    ]);
}

#[test]
fn siblings_are_strangers_unless_the_table_has_a_reason() {
    assert_broken(
        &[("src/mllp.rs", "use crate::hl7::Ack;"), HL7],
        &["`mllp` and `hl7` are of one layer"],
    );
    let admin = ("src/admin.rs", "pub struct Server;");
    assert_fine(&[("src/injector.rs", "use crate::admin::Server;"), admin]);
    assert_broken(
        &[("src/inbound.rs", "use crate::admin::Server;"), admin],
        &["of one layer"],
    );
}

#[test]
fn config_is_read_by_all_and_reads_nobody() {
    assert_fine(&[
        ("src/mllp.rs", "use crate::config::Framing;"),
        ("src/config.rs", "pub struct Framing;"),
    ]);
    assert_broken(
        &[("src/config.rs", "use crate::hl7::Ack;"), HL7],
        &["upward: `config`"],
    );
}

#[test]
fn cli_is_for_cmd_and_main_and_reads_config_only() {
    let cli = ("src/cli.rs", "use crate::config::Format;");
    let config = ("src/config.rs", "");
    assert_fine(&[
        cli,
        config,
        ("src/cmd/run.rs", "use crate::cli::Run;"),
        ("src/main.rs", "use mllp_bridge::cli::Cli;"),
    ]);
    assert_broken(
        &[cli, config, ("src/admin.rs", "use crate::cli::Run;")],
        &["upward: `admin`"],
    );
    assert_broken(
        &[("src/cli.rs", "use crate::hl7::Ack;"), HL7],
        &["`cli` may import only [\"config\"]"],
    );
}

#[test]
fn the_root_sees_everything_and_hides_nothing() {
    let lib = ("src/lib.rs", "pub mod deliver;\npub use deliver::Outcome;");
    assert_fine(&[lib, DELIVER, ("src/inbound.rs", "use crate::Outcome;")]);
    assert_broken(
        &[lib, DELIVER, ("src/hl7.rs", "use crate::Outcome;")],
        &["upward: `hl7`"],
    );
    assert_broken(
        &[lib, DELIVER, ("src/hl7.rs", "use crate::Version;")],
        &["names no module of this crate"],
    );
}

#[test]
fn a_cycle_between_files_is_found() {
    assert_broken(
        &[
            ("src/hl7/mod.rs", "pub mod a; pub mod b; pub mod c;"),
            ("src/hl7/a.rs", "use super::b::B;"),
            ("src/hl7/b.rs", "fn f() { crate::hl7::c::f() }"),
            ("src/hl7/c.rs", "\nuse super::{a};"),
        ],
        &[
            "import cycle",
            "hl7::a → hl7::b (src/hl7/a.rs:1)",
            "hl7::b → hl7::c",
            "hl7::c → hl7::a (src/hl7/c.rs:2)",
        ],
    );
}

#[test]
fn a_file_and_the_parts_split_off_from_it_may_use_each_other() {
    let child = ("src/hl7/ack.rs", "use super::Message;");
    for uses in [
        "pub use ack::{Ack, build};",
        "use ack::build;",
        "use self::ack::build;",
        "fn f() { ack::build() }",
    ] {
        let parent = format!("pub mod ack;\npub struct Message;\n{uses}");
        assert_fine(&[("src/hl7/mod.rs", &parent), child]);
    }
}

#[test]
fn a_cycle_does_not_hide_behind_the_parents_names() {
    assert_broken(
        &[
            (
                "src/hl7/mod.rs",
                "mod a; mod b;\npub use a::A;\npub(crate) use b::B as Other;",
            ),
            ("src/hl7/a.rs", "use super::Other;"),
            ("src/hl7/b.rs", "use crate::hl7::A;"),
        ],
        &["import cycle", "hl7::a → hl7::b", "hl7::b → hl7::a"],
    );
}

#[test]
fn a_cycle_between_modules_is_found() {
    let graph: Graph = [("a", "b"), ("b", "c"), ("c", "b"), ("d", "a")]
        .map(|(from, to)| {
            (
                from.to_owned(),
                BTreeMap::from([(to.to_owned(), "x.rs:1".to_owned())]),
            )
        })
        .into();
    assert_eq!(cycles(&graph), ["  b → c (x.rs:1)\n  c → b (x.rs:1)"]);
}

#[test]
fn a_module_without_a_layer_is_found() {
    assert_broken(
        &[("src/utils/mod.rs", "")],
        &["module `utils` has no layer"],
    );
    assert_broken(&[("src/utils.rs", "")], &["module `utils` has no layer"]);
}

#[test]
fn a_long_file_is_found_and_its_tests_do_not_count() {
    let long = "fn f() {}\n".repeat(MAX_LINES + 1);
    assert_broken(&[("src/hl7.rs", &long)], &["src/hl7.rs: 501 lines"]);
    let tested = format!(
        "{}#[cfg(test)]\nmod tests {{\n{long}}}\n",
        "fn f() {}\n".repeat(MAX_LINES)
    );
    assert_fine(&[("src/hl7.rs", &tested)]);
    assert_broken(
        &[("src/main.rs", &"fn f() {}\n".repeat(101))],
        &["at most 100"],
    );
}

#[test]
fn a_pure_module_does_no_io() {
    for text in [
        "use tokio::io::AsyncRead;",
        "use ::tokio::io;",
        "fn f() { std::fs::read(\"x\"); }",
        "use std::{fmt, fs::File};",
        "use std::net::{IpAddr, TcpStream};",
        "use std::net;",
        "type C = reqwest::Client;",
        "mod inner { use axum::Router; }",
    ] {
        for module in PURE {
            let path = module.replace("::", "/");
            for file in [format!("src/{path}/mod.rs"), format!("src/{path}/part.rs")] {
                let broken = check(&[(&file, text)]);
                assert_eq!(broken.len(), 1, "in {text:?}: {broken:#?}");
                assert!(
                    broken[0].contains(&format!("`{module}` is pure")),
                    "{broken:?}"
                );
            }
        }
        assert_fine(&[("src/injector/webhook.rs", text)]);
        assert_fine(&[("src/inbound.rs", text)]);
    }
    assert_fine(&[(
        "src/mllp/mod.rs",
        "use std::net::{IpAddr, SocketAddr}; use std::{fmt, io}; #[cfg(test)] use std::fs;",
    )]);
    let own_child = [
        ("src/mllp/mod.rs", "mod tokio; use tokio::x;"),
        ("src/mllp/tokio.rs", ""),
    ];
    assert_fine(&own_child);
}
