//! Files of the repository that are made by tests, and kept: what is committed is what would be made now. `UPDATE_DOCS=1` writes them
//! (`make docs`).

#![allow(
    unreachable_pub,
    clippy::expect_used,
    reason = "shared by test binaries, exported by none"
)]

use std::path::{Path, PathBuf};

/// A path of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Fails where the committed file is not this, and names the first line that differs; or writes it.
#[track_caller]
pub fn compare(path: &str, generated: &str) {
    let file = repository(path);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("folder made");
        std::fs::write(&file, generated).expect("file written");
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    if committed != generated {
        let same = committed
            .lines()
            .zip(generated.lines())
            .take_while(|(a, b)| a == b)
            .count();
        let line = |text: &str| text.lines().nth(same).unwrap_or("(nothing)").to_owned();
        panic!(
            "{path} is not what is made now; run `make docs` and commit the result.\n\
             first difference, line {}:\n  committed: {}\n  made now: {}",
            same + 1,
            line(&committed),
            line(generated),
        );
    }
}
