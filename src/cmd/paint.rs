//! Colours of the commands' output: on a terminal only, and never where `NO_COLOR` is set (no-color.org).

use std::io::IsTerminal;

/// Whether and how words are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// For standard output.
    pub fn stdout() -> Self {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            on: !forbidden && std::io::stdout().is_terminal(),
        }
    }

    /// No colours.
    pub fn off() -> Self {
        Self { on: false }
    }

    /// For a heading.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// For what stands aside.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// For what went well.
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// For what did not.
    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_added_without_colours() {
        assert_eq!(Paint::off().bad("AE"), "AE");
        assert_eq!(Paint { on: true }.bad("AE"), "\x1b[31mAE\x1b[0m");
    }
}
