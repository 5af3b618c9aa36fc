//! How the parts are run: what a program that fails leaves to be read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::parts::process::Process;

fn shell(script: &str) -> Process {
    Process::start(Path::new("/bin/sh"), &["-c", script])
}

/// The message that this fails with.
fn failure<T>(test: impl FnOnce() -> T) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(test)) else {
        panic!("expected it to fail")
    };
    *panic.downcast::<String>().expect("a message")
}

#[test]
fn each_line_has_its_answer() {
    let mut echo = shell("while read -r line; do echo \"<$line>\"; done");
    let questions = ["a".to_owned(), String::new(), "b c".to_owned()];
    assert_eq!(echo.ask(&questions), ["<a>", "<>", "<b c>"]);
    assert_eq!(echo.ask(&[]), [""; 0]);
    assert_eq!(echo.ask(&questions[2..]), ["<b c>"]);
}

#[test]
fn a_program_that_ends_too_early_is_told_with_its_last_words() {
    let mut program = shell("read -r line; echo one; echo 'it broke' >&2");
    let questions = ["a".to_owned(), "b".to_owned()];
    let message = failure(|| program.ask(&questions));
    assert!(message.contains("it broke"), "{message}");
    let message = failure(|| shell("exit 0").line());
    assert!(message.contains("no line"), "{message}");
}
