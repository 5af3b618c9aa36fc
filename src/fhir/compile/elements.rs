//! The elements that rows name.

use super::{Compiler, Here};
use crate::fhir::program::{Patched, Row, Target, VALUE, Written};
use crate::fhir::raw;

impl Compiler {
    /// `name[]`, `period.start`; nothing is the object itself.
    pub(super) fn target(&mut self, here: Here<'_>, to: Option<&str>) -> Option<Target> {
        let text = to.unwrap_or_default();
        let (path, list) = match text.strip_suffix("[]") {
            Some(path) => (path, true),
            None => (text, false),
        };
        let steps: Vec<String> = match path {
            "" => Vec::new(),
            path => path.split('.').map(str::to_owned).collect(),
        };
        let fits = |step: &String| {
            !step.is_empty() && step.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if path != VALUE && !steps.iter().all(fits) || (list && steps.is_empty()) {
            let what = format!("`to`: `{text}` is no element; write one as name[] or period.start");
            self.error(here.file, here.at, what);
            return None;
        }
        Some(Target { steps, list })
    }
}

/// The element that holds a primitive's extensions.
pub(super) fn beside(target: &Target) -> Target {
    let mut steps = target.steps.clone();
    if let Some(last) = steps.last_mut() {
        last.insert(0, '_');
    }
    Target { steps, list: false }
}

/// Steps to the periods of which rows give a part by a way of two steps and more. Those of one step are looked at anyway.
pub(super) fn periods(rows: &[Row]) -> Vec<Vec<String>> {
    let ways = rows.iter().filter_map(|row| match &row.to.steps[..] {
        [way @ .., last] if way.len() > 1 && matches!(last.as_str(), "start" | "end") => {
            Some(way.to_vec())
        }
        _ => None,
    });
    let mut ways: Vec<Vec<String>> = ways.collect();
    ways.dedup();
    ways
}

/// A code is the parameter's `valueCode`.
fn parameter(of_type: &str) -> String {
    let (first, rest) = of_type.split_at_checked(1).unwrap_or_default();
    format!("value{}{rest}", first.to_ascii_uppercase())
}

pub(super) fn patched((element, how): (&String, &raw::Patch)) -> Patched {
    let written = match how {
        raw::Patch::Type(of_type) => Written::Value(parameter(of_type)),
        raw::Patch::Items(raw::Items {
            instead_of,
            members,
        }) => {
            let own = instead_of.as_ref();
            let own = own.map(|own| format!("{element}.where({own})"));
            let members = members.iter();
            let members = members.map(|(name, of_type)| (name.clone(), parameter(of_type)));
            Written::Items {
                instead_of: own.unwrap_or_else(|| element.clone()),
                members: members.collect(),
            }
        }
    };
    Patched {
        element: element.clone(),
        written,
    }
}
