//! What became of everything, in one line.

use crate::cli::{ConvertArgs, Target};

/// Counts of a run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Messages that were read; with `--to er7`, envelopes.
    pub(super) read: usize,
    /// Those that nothing could be made of.
    pub(super) refused: usize,
    /// Values of the messages, with `--ledger`.
    pub(super) values: usize,
    /// Those that no resource has.
    pub(super) lost: usize,
}

impl Tally {
    /// `12 files, 30 messages, 28 bundles, 2 refused`
    pub(super) fn line(&self, files: usize, args: &ConvertArgs) -> String {
        let (read, made) = match (args.to, &args.get) {
            (_, Some(_)) => ("message", "value"),
            (Target::Envelope, _) => ("message", "envelope"),
            (Target::Er7, _) => ("envelope", "message"),
            (Target::Fhir, _) => ("message", "bundle"),
        };
        let mut parts = vec![
            number(files, "file"),
            number(self.read, read),
            number(self.read - self.refused, made),
            format!("{} refused", self.refused),
        ];
        if args.ledger && self.values > 0 {
            let used = self.values - self.lost;
            let share = used as f64 * 100.0 / self.values as f64;
            let values = number(self.values, "value");
            parts.push(format!("{share:.1} % of {values} used"));
        }
        parts.join(", ")
    }
}

fn number(count: usize, of: &str) -> String {
    match count {
        1 => format!("1 {of}"),
        _ => format!("{count} {of}s"),
    }
}
