//! Small synthetic HL7 v2 messages. Every name, number and address is made up.

/// Starts a block.
pub const VT: u8 = 0x0B;
/// Ends a block, with CR after it.
pub const FS: u8 = 0x1C;
/// Ends a segment, and a block after FS.
pub const CR: u8 = 0x0D;

/// `VT message FS CR`.
pub fn frame(message: impl AsRef<[u8]>) -> Vec<u8> {
    let message = message.as_ref();
    let mut framed = Vec::with_capacity(message.len() + 3);
    framed.push(VT);
    framed.extend_from_slice(message);
    framed.extend_from_slice(&[FS, CR]);
    framed
}

/// An ADT^A01 of version 2.5.1, about 500 bytes.
pub fn adt(control_id: &str) -> String {
    adt_version("2.5.1", control_id)
}

/// An ADT^A01 of a given version; from 2.7 on with the truncation character as fifth in MSH-2.
pub fn adt_version(version: &str, control_id: &str) -> String {
    adt_with(
        version,
        control_id,
        "4711^^^GENHOSP&1.2.3.4&ISO^MR~99-12^^^CITY^PI",
    )
}

/// An ADT^A01 of version 2.5.1 whose PID-3, which is required, is empty.
pub fn adt_without_pid3(control_id: &str) -> String {
    adt_with("2.5.1", control_id, "")
}

/// An ADT^A01 of 2.5.1 with MSH-15 and MSH-16 set: enhanced mode.
pub fn adt_enhanced(control_id: &str, accept: &str, application: &str) -> String {
    adt(control_id).replacen(
        "|P|2.5.1\r",
        &format!("|P|2.5.1|||{accept}|{application}\r"),
        1,
    )
}

/// An ADT^A01 of 2.5.1 of exactly this many bytes: filled up in an NTE segment at its end.
pub fn adt_of_size(control_id: &str, bytes: usize) -> String {
    let mut message = adt(control_id);
    message.push_str("NTE|1|L|");
    let fill = bytes
        .checked_sub(message.len() + 1)
        .expect("a size that an ADT fits in");
    message.extend(std::iter::repeat_n('x', fill));
    message.push('\r');
    message
}

fn adt_with(version: &str, control_id: &str, pid3: &str) -> String {
    let encoding = if is_2_7_or_later(version) {
        r"^~\&#"
    } else {
        r"^~\&"
    };
    let trigger = if version == "2.3" {
        "ADT^A01"
    } else {
        "ADT^A01^ADT_A01"
    };
    [
        format!(
            "MSH|{encoding}|REGADT|GENHOSP|BRIDGE|CLOUD|20261122101500+0100||{trigger}|{control_id}|P|{version}"
        ),
        "EVN|A01|20261122101459".to_owned(),
        format!("PID|1||{pid3}||MUSTER^ERIKA^M^^DR.||19700131|F|||1 SAMPLE ST^^TESTTOWN^^12345||555-0100"),
        "NK1|1|MUSTER^MAX|SPO||555-0101".to_owned(),
        r"PV1|1|I|WARD4^101^B||||0042^HEAL^SAM|||MED||||||||V0815|||||||||||||||||||||||||20261122101000"
            .to_owned(),
        "AL1|1|DA|^PENICILLIN|SV|RASH".to_owned(),
        r"OBX|1|TX|NOTE^Free text||seen in A\T\E, 2\S\3 days||||||F".to_owned(),
    ]
    .join("\r")
        + "\r"
}

/// An ORU^R01 of version 2.5.1 with two results.
pub fn oru(control_id: &str) -> String {
    [
        format!(r"MSH|^~\&|LAB|GENHOSP|BRIDGE|CLOUD|20261122111500||ORU^R01^ORU_R01|{control_id}|P|2.5.1").as_str(),
        "PID|1||4711^^^GENHOSP^MR||MUSTER^ERIKA||19700131|F",
        "OBR|1|ORD1|LAB1|24323-8^Metabolic panel^LN|||20261122100000",
        "OBX|1|NM|2345-7^Glucose^LN||95|mg/dL|70-99|N|||F",
        "OBX|2|NM|2160-0^Creatinine^LN||0.9|mg/dL|0.6-1.3|N|||F",
    ]
    .join("\r")
        + "\r"
}

fn is_2_7_or_later(version: &str) -> bool {
    version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse::<u8>().ok())
        .is_some_and(|minor| minor >= 7)
}
