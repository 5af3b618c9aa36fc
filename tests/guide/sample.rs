//! Values of v2 data types.

use crate::draft::{Draft, Place};

const ASSIGNER: &str = "AUTH&1.2.3.4.5&ISO";

/// A value of this type. `code` is what a vocabulary has, if one is asked.
pub fn sample(kind: &str, code: &str) -> String {
    let coded = match code {
        "" => "CODE^Some text^99LOC".to_owned(),
        code => code.to_owned(),
    };
    match kind {
        "CWE" | "CE" | "CNE" | "CF" => coded,
        "ID" | "IS" | "FC" => if code.is_empty() { "C1" } else { code }.to_owned(),
        "CX" => format!("ID7^^^{ASSIGNER}^AN"),
        "EI" => "E7^NS^1.2.3.4.6^ISO".to_owned(),
        "EIP" => "E7&NS&1.2.3.4.6&ISO^E8&NS&1.2.3.4.6&ISO".to_owned(),
        "HD" => "NAME7^1.2.3.4.7^ISO".to_owned(),
        "XCN" => format!("X7^FAMILY^GIVEN^^^^^^{ASSIGNER}"),
        "XON" => format!("ORG7^^^^^{ASSIGNER}^^^^O7"),
        "XPN" => "FAMILY^GIVEN".to_owned(),
        "XAD" => "7 STREET^^CITY^ST^12345".to_owned(),
        "XTN" => "555-1237".to_owned(),
        "PL" => "WARD^ROOM^BED^SITE".to_owned(),
        "NM" | "SI" => "7".to_owned(),
        "DTM" | "TS" => "20260107030405+0000".to_owned(),
        "DT" => "20260107".to_owned(),
        "TM" => "030405".to_owned(),
        "DR" => "20260107030405+0000^20260108030405+0000".to_owned(),
        "CQ" => "7^mL&mL&UCUM".to_owned(),
        "NDL" => "X7&FAMILY&GIVEN^20260107^20260108".to_owned(),
        "DLD" => "PLACE7^20260107".to_owned(),
        "DLN" => "D7^ST^20280101".to_owned(),
        "PLN" => "P7^AUTH^NPI".to_owned(),
        "PT" => "D^A".to_owned(),
        "RPT" => "Q4H^^^^4^h".to_owned(),
        "TQ" => "1^^^20260107030405+0000^20260107040405+0000^S".to_owned(),
        "SPS" => "BLD^^METHOD^ARM".to_owned(),
        "OG" => "1^2".to_owned(),
        _ => "TEXT7".to_owned(),
    }
}

/// A value for OBX-5, whose type OBX-2 says.
pub fn observed(draft: &Draft) -> String {
    let kind = draft.code(&Place::parse("OBX-2").unwrap());
    match kind.as_str() {
        "SN" => "^10".to_owned(),
        "NR" | "VR" => "10^20".to_owned(),
        "NA" => "10^20^30".to_owned(),
        "ED" => "^AP^PDF^Base64^aGVsbG8=".to_owned(),
        "RP" => "https://example.org/report.pdf^^AP^PDF".to_owned(),
        "" => "TEXT7".to_owned(),
        kind => sample(kind, ""),
    }
}
