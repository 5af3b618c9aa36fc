//! Maps that make a single value instead of an object: all their rows have `to: $value`, and whoever uses them says where it goes.

use super::Compiler;
use crate::fhir::program::{Block, Body, Conversion, Origin, Source, VALUE};

impl Compiler {
    /// Finds `$value` where it does not belong, and maps of single values that are used as if they made objects.
    pub(super) fn single_values(&mut self) {
        let mut found = Vec::new();
        for block in &self.program.blocks {
            let whole = block.resource.is_some() || !is_value(block);
            in_body(&block.body, whole, &mut found);
            in_body(&block.defaults, true, &mut found);
        }
        for origin in found {
            let what = "`$value` stands in all rows of a data type map and in no other, and makes a single value";
            self.at(origin, what.to_owned());
        }
        let mut bare = Vec::new();
        for block in &self.program.blocks {
            for body in [&block.body, &block.defaults] {
                uses(body, &mut bare);
            }
        }
        for (origin, used) in bare {
            if self.program.blocks.get(used).is_some_and(is_value) {
                let what = format!(
                    "`{}` makes a single value: `to` is missing",
                    self.name(used)
                );
                self.at(origin, what);
            }
        }
    }
}

fn is_value(block: &Block) -> bool {
    let mut rows = block.body.rows.iter();
    rows.any(|row| row.to.steps.first().is_some_and(|step| step == VALUE))
}

/// Rows that have `$value` where an object is made, or that have not where none is.
fn in_body(body: &Body, object: bool, found: &mut Vec<Origin>) {
    for row in &body.rows {
        let value = row.to.steps.first().is_some_and(|step| step == VALUE);
        if value == object {
            found.push(row.origin);
        }
        if let Source::Rows(_, inner) = &row.source {
            in_body(inner, true, found);
        }
    }
}

/// Uses of maps that do not say where what they make goes.
fn uses(body: &Body, found: &mut Vec<(Origin, usize)>) {
    for row in &body.rows {
        match &row.source {
            Source::Rows(_, inner) => uses(inner, found),
            Source::Place {
                conversion: Conversion::Block(block),
                ..
            } if row.to.steps.is_empty() => found.push((row.origin, *block)),
            _ => {}
        }
    }
}
