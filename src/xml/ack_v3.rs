//! The acknowledgement in v3 (`MCCI_MT000200UV01`).
//!
//! ```text
//! <MCCI_IN000002UV01 xmlns="urn:hl7-org:v3" ITSVersion="XML_1.0">
//!   <id root="(a UUID)"/> <creationTime value="…"/> <interactionId root="2.16.840.1.113883.1.6" extension="MCCI_IN000002UV01"/>
//!   <processingCode code="P"/> <processingModeCode code="T"/> <acceptAckCode code="NE"/>
//!   <receiver typeCode="RCV">…the message's sender…</receiver> <sender typeCode="SND">…its receiver…</sender>
//!   <acknowledgement> <typeCode code="CA"/> <targetMessage><id …/></targetMessage> <acknowledgementDetail …/> </acknowledgement>
//! </MCCI_IN000002UV01>
//! ```
//!
//! `typeCode` is an element, as in the editions that IHE's profiles are made of (2008); later ones have an attribute of that name. Both
//! are read.

use super::ack::Ack;
use super::node::Node;
use super::reader::V3_NAMESPACE;
use super::v3::organisation;
use super::write::{Writer, cut};
use crate::hl7::ack::{ERR8, Fault, MAX_ERRORS, Severity, Verdict, code, condition_text};
use crate::telemetry::labels::Label as _;

const ACKNOWLEDGEMENT: &str = "MCCI_IN000002UV01";
/// HL7's interactions.
const INTERACTIONS: &str = "2.16.840.1.113883.1.6";
/// AcknowledgementDetailCode.
const DETAILS: &str = "2.16.840.1.113883.5.1100";

/// Writes the acknowledgement.
pub(super) fn acknowledge(ack: &Ack<'_>, out: &mut Writer<'_>) {
    let root = &ack.message.root;
    out.open(
        ACKNOWLEDGEMENT,
        &[("xmlns", V3_NAMESPACE), ("ITSVersion", "XML_1.0")],
    );
    out.empty("id", &[("root", &uuid())]);
    out.empty("creationTime", &[("value", ack.time)]);
    if !ack.message.version().is_empty() {
        out.empty("versionCode", &[("code", ack.message.version())]);
    }
    out.empty(
        "interactionId",
        &[("root", INTERACTIONS), ("extension", ACKNOWLEDGEMENT)],
    );
    for (name, usual) in [("processingCode", "P"), ("processingModeCode", "T")] {
        let own = root.attribute_at(&[name], "code");
        out.empty(name, &[("code", if own.is_empty() { usual } else { own })]);
    }
    out.empty("acceptAckCode", &[("code", "NE")]);
    for (name, kind, from) in [("receiver", "RCV", "sender"), ("sender", "SND", "receiver")] {
        out.open(name, &[("typeCode", kind)]);
        device(out, root.at(&[from, "device"]));
        out.close(name);
    }
    out.open("acknowledgement", &[]);
    out.empty("typeCode", &[("code", code(ack.kind, ack.verdict).label())]);
    out.open("targetMessage", &[]);
    identifiers(out, root.child("id"));
    out.close("targetMessage");
    match (ack.verdict, ack.text) {
        (Verdict::Accepted, Some(text)) => {
            out.open("acknowledgementDetail", &[("typeCode", "I")]);
            out.leaf("text", cut(text, ERR8));
            out.close("acknowledgementDetail");
        }
        (Verdict::Accepted, None) => {}
        (Verdict::Error | Verdict::Rejected, _) => {
            ack.faults
                .iter()
                .take(MAX_ERRORS)
                .for_each(|fault| detail(out, fault));
        }
    }
    out.close("acknowledgement");
    out.close(ACKNOWLEDGEMENT);
}

/// The other end's device, as far as it is identified.
fn device(out: &mut Writer<'_>, device: Option<&Node>) {
    let instance = |class| [("classCode", class), ("determinerCode", "INSTANCE")];
    out.open("device", &instance("DEV"));
    match device {
        Some(device) if device.child("id").is_some() => {
            device.all("id").for_each(|id| identifiers(out, Some(id)));
        }
        _ => identifiers(out, None),
    }
    if let Some(organisation) = device.and_then(organisation) {
        out.open("asAgent", &[("classCode", "AGNT")]);
        out.open("representedOrganization", &instance("ORG"));
        organisation
            .all("id")
            .for_each(|id| identifiers(out, Some(id)));
        out.close("representedOrganization");
        out.close("asAgent");
    }
    out.close("device");
}

/// An `id`, as it was; one that is not known where there was none.
fn identifiers(out: &mut Writer<'_>, id: Option<&Node>) {
    let known = ["root", "extension", "assigningAuthorityName", "nullFlavor"];
    let own: Vec<(&str, &str)> = known
        .into_iter()
        .filter_map(|key| {
            let value = id?.attribute(key);
            (!value.is_empty()).then_some((key, value))
        })
        .collect();
    match own.is_empty() {
        true => out.empty("id", &[("nullFlavor", "NI")]),
        false => out.empty("id", &own),
    }
}

fn detail(out: &mut Writer<'_>, fault: &Fault) {
    let severity = match fault.severity {
        Severity::Error => "E",
        Severity::Warning => "W",
        Severity::Information => "I",
    };
    out.open("acknowledgementDetail", &[("typeCode", severity)]);
    let code = detail_code(fault.condition);
    if let Some(code) = code {
        out.empty("code", &[("code", code), ("codeSystem", DETAILS)]);
    }
    // What has no code of v3's is said in words.
    let condition = condition_text(fault.condition);
    let condition = if code.is_none() { condition } else { "" };
    let said: Vec<&str> = [condition, &fault.app_code, &fault.text]
        .into_iter()
        .map(str::trim_ascii)
        .filter(|part| !part.is_empty())
        .collect();
    let text = match said.as_slice() {
        [] => condition_text(fault.condition).to_owned(),
        said => said.join(" "),
    };
    out.leaf("text", cut(&text, ERR8));
    if let Some(place) = &fault.location {
        out.leaf("location", &place.to_string());
    }
    out.close("acknowledgementDetail");
}

/// v3's word for a condition of table 0357, where it has one.
fn detail_code(condition: u16) -> Option<&'static str> {
    Some(match condition {
        100 => "SYN100",
        101 => "SYN101",
        102 => "SYN102",
        103 => "SYN103",
        104 | 198 => "SYN",
        200 | 201 => "NS200",
        202 => "NS202",
        203 => "NS203",
        207 => "INTERR",
        _ => return None,
    })
}

/// A new one (version 4), in capitals as v3 writes them: an ID of our own without an OID that somebody would have to own.
fn uuid() -> String {
    let bits = fastrand::u128(..) & !(0xF << 76) & !(0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    let digits = format!("{bits:032X}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts = parts.map(|part| digits.get(part).unwrap_or_default());
    parts.join("-")
}
