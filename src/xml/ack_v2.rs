//! The acknowledgement in v2.xml.
//!
//! ```text
//! <ACK xmlns="urn:hl7-org:v2xml">
//!   <MSH><MSH.1>|</MSH.1> … <MSH.9><MSG.1>ACK</MSG.1><MSG.2>A01</MSG.2><MSG.3>ACK</MSG.3></MSH.9> … </MSH>
//!   <MSA><MSA.1>AE</MSA.1><MSA.2>…</MSA.2></MSA>
//!   <ERR><ERR.2><ERL.1>PID</ERL.1> … </ERR.2><ERR.3><CWE.1>101</CWE.1> … </ERR.3><ERR.4>E</ERR.4><ERR.8>…</ERR.8></ERR>
//! </ACK>
//! ```
//!
//! Data types are named as the version names them; those of a field that is echoed, as the message does.

use super::ack::Ack;
use super::reader::V2_NAMESPACE;
use super::v2::{component, field};
use super::write::{Writer, cut};
use crate::hl7::ack::{
    ERR5, ERR8, Fault, Kind, MAX_ERRORS, MSA3, Severity, Verdict, code, condition_text,
};
use crate::hl7::header::parse_version;
use crate::hl7::path::Path;
use crate::telemetry::labels::Label as _;

/// Writes the acknowledgement.
pub(super) fn acknowledge(ack: &Ack<'_>, out: &mut Writer<'_>) {
    let version = match ack.message.version() {
        "" => ack.default_version,
        own => own,
    };
    let version = parse_version(version.as_bytes()).unwrap_or((2, 5, 0));
    let since_2_5 = version >= (2, 5, 0);
    out.open("ACK", &[("xmlns", V2_NAMESPACE)]);
    msh(ack, out, version);
    out.open("MSA", &[]);
    out.leaf("MSA.1", code(ack.kind, ack.verdict).label());
    out.leaf("MSA.2", ack.message.control_id());
    let first = ack.faults.first().map(|fault| fault.text.as_str());
    let refused = ack.verdict != Verdict::Accepted;
    if let Some(text) = ack.text.or(first.filter(|_| !since_2_5 && refused)) {
        out.leaf("MSA.3", cut(text, MSA3));
    }
    out.close("MSA");
    if refused && !ack.faults.is_empty() {
        let faults = &ack.faults[..ack.faults.len().min(MAX_ERRORS)];
        match since_2_5 {
            true => faults.iter().for_each(|fault| err(out, fault)),
            false => err_before_2_5(out, faults, version),
        }
    }
    out.close("ACK");
}

fn msh(ack: &Ack<'_>, out: &mut Writer<'_>, version: (u8, u8, u8)) {
    let root = &ack.message.root;
    let echo = |out: &mut Writer<'_>, to: &str, from: usize| {
        if let Some(node) = field(root, from).filter(|node| !node.is_empty()) {
            out.inside(to, node);
        }
    };
    let text = |number: usize, usual| match component(root, number, 1) {
        "" => usual,
        own => own,
    };
    out.open("MSH", &[]);
    out.leaf("MSH.1", text(1, "|"));
    out.leaf("MSH.2", text(2, "^~\\&"));
    // The receiver answers as the sender, whole fields and not only their first components.
    for (to, from) in [("MSH.3", 5), ("MSH.4", 6), ("MSH.5", 3), ("MSH.6", 4)] {
        echo(out, to, from);
    }
    out.open("MSH.7", &[]);
    if version >= (2, 6, 0) {
        out.text(ack.time);
    } else {
        // TS became DTM in 2.6.
        out.leaf("TS.1", ack.time);
    }
    out.close("MSH.7");
    let named = field(root, 9).and_then(|kind| kind.children.first());
    let old = named.is_some_and(|part| part.name.starts_with("CM_MSG."));
    out.open("MSH.9", &[]);
    out.leaf(if old { "CM_MSG.1" } else { "MSG.1" }, "ACK");
    match component(root, 9, 2) {
        "" => {}
        event => out.leaf(if old { "CM_MSG.2" } else { "MSG.2" }, event),
    }
    // As in ER7: before 2.5 the field is too short for it.
    if version >= (2, 5, 0) {
        out.leaf("MSG.3", "ACK");
    }
    out.close("MSH.9");
    out.leaf("MSH.10", ack.control_id);
    echo(out, "MSH.11", 11);
    match component(root, 12, 1) {
        "" => {
            out.open("MSH.12", &[]);
            out.leaf("VID.1", ack.default_version);
            out.close("MSH.12");
        }
        _ => echo(out, "MSH.12", 12),
    }
    // As in ER7: an application acknowledgement of enhanced mode wants no answer.
    if ack.kind == Kind::Application {
        out.leaf("MSH.15", "NE");
        out.leaf("MSH.16", "NE");
    }
    out.close("MSH");
}

fn err(out: &mut Writer<'_>, fault: &Fault) {
    out.open("ERR", &[]);
    if let Some(place) = &fault.location {
        out.open("ERR.2", &[]);
        out.leaf("ERL.1", &place.segment);
        let numbers = [
            Some(place.occurrence),
            place.field,
            place.repetition.or(place.component.and(Some(1))),
            place.component,
            place.subcomponent,
        ];
        let names = ["ERL.2", "ERL.3", "ERL.4", "ERL.5", "ERL.6"];
        for (name, number) in names.into_iter().zip(numbers.into_iter().map_while(|n| n)) {
            out.leaf(name, &number.to_string());
        }
        out.close("ERR.2");
    }
    out.open("ERR.3", &[]);
    condition(out, ["CWE.1", "CWE.2", "CWE.3"], fault.condition);
    out.close("ERR.3");
    let severity = match fault.severity {
        Severity::Error => "E",
        Severity::Warning => "W",
        Severity::Information => "I",
    };
    out.leaf("ERR.4", severity);
    if !fault.app_code.is_empty() {
        out.open("ERR.5", &[]);
        out.leaf("CWE.1", cut(&fault.app_code, ERR5));
        out.close("ERR.5");
    }
    if !fault.text.is_empty() {
        out.leaf("ERR.8", cut(&fault.text, ERR8));
    }
    out.close("ERR");
}

/// One ERR, whose first field repeats.
fn err_before_2_5(out: &mut Writer<'_>, faults: &[Fault], version: (u8, u8, u8)) {
    let names = match version >= (2, 3, 1) {
        true => ["ELD.1", "ELD.2", "ELD.3", "ELD.4"],
        false => ["CM_ELD.1", "CM_ELD.2", "CM_ELD.3", "CM_ELD.4"],
    };
    out.open("ERR", &[]);
    for fault in faults {
        out.open("ERR.1", &[]);
        if let Some(Path {
            segment,
            occurrence,
            field,
            ..
        }) = &fault.location
        {
            out.leaf(names[0], segment);
            out.leaf(names[1], &occurrence.to_string());
            out.leaf(names[2], &field.unwrap_or_default().to_string());
        }
        out.open(names[3], &[]);
        condition(out, ["CE.1", "CE.2", "CE.3"], fault.condition);
        out.close(names[3]);
        out.close("ERR.1");
    }
    out.close("ERR");
}

fn condition(out: &mut Writer<'_>, names: [&str; 3], number: u16) {
    out.leaf(names[0], &number.to_string());
    out.leaf(names[1], condition_text(number));
    out.leaf(names[2], "HL70357");
}
