//! `convert --to fhir`.

use super::{Converter, refused};
use crate::deliver::maps::{self, BadMaps};
use crate::envelope::Head;
use crate::fhir::{Converted, Mapper, Options};
use crate::hl7::charset::as_text;
use crate::inbound::admit::{Kind, admit, head_of};
use crate::inbound::frame::Frame;
use crate::telemetry::labels::Refusal;
use serde_json::Value;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

/// XML and CDA have no rows.
const NOT_ER7: &str = "XML: FHIR bundles are made of ER7 only";

/// The maps, and what is asked of them.
pub(super) struct Fhir {
    mapper: Mapper,
    options: Options,
}

impl Fhir {
    /// With the program's maps, and those of a directory over them.
    pub(super) fn new(options: Options, own: Option<&Path>) -> anyhow::Result<Self> {
        let mapper = maps::compile(own).map_err(|error| match error {
            BadMaps::Maps(errors) => {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                anyhow::anyhow!("the mapping files:\n{}", errors.join("\n"))
            }
            other => other.into(),
        })?;
        Ok(Self { mapper, options })
    }
}

impl<W: Write> Converter<W> {
    /// Each message's bundle, or what is to be said of how it is made.
    pub(super) fn bundles(&mut self, file: &[u8], fhir: &Fhir) -> io::Result<Vec<String>> {
        let options = &fhir.options;
        self.each(file, |converter, bytes| {
            let transcoded = OnceLock::new();
            let (message, payload) = as_text(bytes, converter.session.charset, &transcoded);
            let (head, kind) = match head_of(message, payload) {
                Ok(known) => known,
                Err(refusal) => return Ok(Err(refused(refusal, false))),
            };
            let Head::Er7(header) = &head else {
                return Ok(Err(NOT_ER7.into()));
            };
            if !matches!(kind, Kind::Message) {
                return Ok(Err(refused(Refusal::Batch, true)));
            }
            let frame = Frame::Whole(0..bytes.len());
            let session = &converter.session;
            let transcoded = transcoded.get();
            let mut deviations = Vec::new();
            let admitted = admit(
                message,
                &head,
                &frame,
                kind,
                transcoded,
                session,
                &mut deviations,
            );
            let utf8 = match admitted {
                Ok(reading) => reading.is_utf8,
                Err(refusal) => return Ok(Err(refused(refusal, head.is_answered()))),
            };
            match fhir.mapper.convert(message, header, utf8, options) {
                Err(error) => Ok(Err(error.to_string())),
                Ok(converted) => {
                    converter.bundle(&converted, options)?;
                    Ok(Ok(()))
                }
            }
        })
    }

    fn bundle(&mut self, converted: &Converted, options: &Options) -> io::Result<()> {
        self.tally.values += converted.ledger.values;
        self.tally.lost += converted.ledger.lost.len();
        for one in &converted.explained {
            writeln!(self.out, "{}\t{}\t{}", one.path, one.element, one.rows)?;
        }
        for lost in &converted.ledger.lost {
            let why = lost.why.map_or("no row reads it", |why| why.text());
            writeln!(self.out, "{}\t{why}", lost.path)?;
        }
        if options.explain || options.ledger {
            return Ok(());
        }
        if self.pretty {
            let value: Value = serde_json::from_slice(&converted.bundle)?;
            serde_json::to_writer_pretty(&mut self.out, &value)?;
        } else {
            self.out.write_all(&converted.bundle)?;
        }
        self.out.write_all(b"\n")
    }
}
