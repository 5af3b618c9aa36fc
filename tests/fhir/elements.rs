//! The table of R4's elements that maps are checked by.

use std::path::Path;
use std::process::Command;

use crate::parts;

#[test]
fn the_table_of_elements_is_that_of_the_definitions() {
    if !parts::installed() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::TempDir::new().unwrap();
    let made = folder.path().join("elements.txt");
    let ran = Command::new("python3")
        .arg(root.join("tests/fhir/elements.py"))
        .arg(&made)
        .status();
    assert!(ran.expect("python3").success());
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file");
    let same = read(&made) == read(&root.join("src/fhir/elements.txt"));
    assert!(
        same,
        "python3 tests/fhir/elements.py writes another src/fhir/elements.txt"
    );
}
