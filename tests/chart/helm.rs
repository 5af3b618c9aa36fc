//! Runs the tools, and reads what they print. Knows nothing of the chart's content.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

pub(crate) const CHART: &str = "charts/mllp-bridge";
/// The release that is rendered, and its namespace.
pub(crate) const RELEASE: &str = "mllp-bridge";

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A tool, or `None` and a word on why, where it is missing.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let kept = root().join("target/tools/bin").join(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(kept)
        .chain(std::env::split_paths(&path).map(|folder| folder.join(name)))
        .find(|file| file.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{name} is missing: `make chart-tools`"
        );
        eprintln!("skipped: {name} is missing; `make chart-tools` fetches it");
    }
    found
}

/// Helm 4 and helm 3.
pub(crate) fn helms() -> Vec<PathBuf> {
    ["helm4", "helm3"].into_iter().filter_map(tool).collect()
}

pub(crate) fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .current_dir(root())
        // Settings of whoever runs the tests must not matter.
        .env("HELM_NAMESPACE", RELEASE)
        .env("KUBECONFIG", "/dev/null")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// What helm renders for values (YAML) and further arguments, or what it says against them.
pub(crate) fn template(helm: &Path, values: &str, args: &[&str]) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), values).expect("values written");
    let file = file.path().display().to_string();
    let mut all = vec![
        "template",
        RELEASE,
        CHART,
        "--namespace",
        RELEASE,
        "--values",
        &file,
    ];
    all.extend(args);
    let output = run(helm, &all);
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).expect("UTF-8"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

pub(crate) fn parse(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! { strict_booleans: true };
    let all: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    all.into_iter().filter(|value| !value.is_null()).collect()
}

/// The objects of a rendering that must succeed.
pub(crate) fn objects(helm: &Path, values: &str) -> Vec<Value> {
    let text = template(helm, values, &["--kube-version", "1.33.0"])
        .unwrap_or_else(|error| panic!("{values}\n{error}"));
    parse(&text)
}
