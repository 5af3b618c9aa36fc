//! Data type maps inside each other: none inside itself, and no deeper than the engine goes.

use super::{Compiler, MapError};
use crate::fhir::engine::DEEPEST;
use crate::fhir::program::{Body, Conversion, Origin, Source};

impl Compiler {
    /// Finds what would never end.
    pub(super) fn nesting(&mut self) {
        let uses: Vec<Vec<(Origin, usize)>> = (self.program.blocks.iter())
            .map(|block| {
                let mut uses = Vec::new();
                of_body(&block.body, &mut uses);
                of_body(&block.defaults, &mut uses);
                uses
            })
            .collect();
        // From those that use no other outwards: how many levels each has. What is left at the end is in a circle, or leads to one.
        let mut levels: Vec<Option<usize>> = vec![None; uses.len()];
        loop {
            let mut found = false;
            for (block, used) in uses.iter().enumerate() {
                let inner = used
                    .iter()
                    .map(|(_, to)| levels.get(*to).copied().flatten());
                let deepest = inner.collect::<Option<Vec<_>>>();
                if let (None, Some(all)) = (levels[block], deepest) {
                    levels[block] = Some(all.into_iter().max().map_or(0, |deepest| deepest + 1));
                    found = true;
                }
            }
            if !found {
                break;
            }
        }
        for (block, used) in uses.iter().enumerate() {
            let back = used
                .iter()
                .find(|(_, to)| reaches(&uses, &levels, *to, block));
            if let Some((origin, to)) = back {
                let (name, other) = (self.name(block), self.name(*to));
                self.at(
                    *origin,
                    format!("`{name}` is inside itself by way of `{other}`"),
                );
            }
            let too_deep = levels[block] == Some(DEEPEST);
            if let Some((origin, _)) = used.first().filter(|_| too_deep) {
                let what = format!(
                    "`{}` has more than {DEEPEST} levels of maps",
                    self.name(block)
                );
                self.at(*origin, what);
            }
        }
    }

    pub(super) fn name(&self, block: usize) -> String {
        let block = self.program.blocks.get(block);
        block.map_or_else(String::new, |block| block.name.clone())
    }

    pub(super) fn at(&mut self, origin: Origin, what: String) {
        let file = self.program.files.get(usize::from(origin.file));
        self.errors.push(MapError {
            file: file.cloned().unwrap_or_default(),
            line: u64::from(origin.line),
            what,
        });
    }
}

/// Whether a way of maps that are in circles leads from one to the other.
fn reaches(
    uses: &[Vec<(Origin, usize)>],
    levels: &[Option<usize>],
    from: usize,
    to: usize,
) -> bool {
    let mut seen = vec![false; uses.len()];
    let mut open = vec![from];
    while let Some(block) = open.pop() {
        let fresh = seen
            .get_mut(block)
            .is_some_and(|seen| !std::mem::replace(seen, true));
        if !fresh || levels[block].is_some() {
            continue;
        }
        if block == to {
            return true;
        }
        open.extend(uses[block].iter().map(|(_, next)| *next));
    }
    false
}

fn of_body(body: &Body, uses: &mut Vec<(Origin, usize)>) {
    for row in &body.rows {
        match &row.source {
            Source::Place {
                conversion: Conversion::Block(block),
                ..
            } => uses.push((row.origin, *block)),
            Source::Rows(_, inner) => of_body(inner, uses),
            _ => {}
        }
    }
}
