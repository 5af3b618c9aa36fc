//! What `convert` makes of other people's messages and of made-up ones: three validators find no error in any of the bundles, and
//! every process makes the same.

use std::fmt::Write as _;
use std::process::Command;

use mllp_bridge::fhir::{Mapper, Options};
use mllp_bridge::hl7::Payload;
use mllp_bridge::hl7::charset::{AS_IT_SAYS, as_text};
use serde_json::Value;

use crate::parts;
use crate::parts::validators::check;
use crate::support::corpus::corpus;
use crate::support::fhir_messages::messages;

/// Of each event.
const ROUNDS: u64 = 8;

fn bundle(mapper: &Mapper, bytes: &[u8]) -> Option<Vec<u8>> {
    let transcoded = std::sync::OnceLock::new();
    let (message, payload) = as_text(bytes, AS_IT_SAYS, &transcoded);
    let Payload::V2(header) = payload else {
        return None;
    };
    let utf8 = std::str::from_utf8(message).is_ok();
    let made = mapper.convert(message, &header, utf8, &Options::default());
    made.ok().map(|made| made.bundle)
}

/// The bundles of those that are covered, by name.
fn bundles(named: &[(String, Vec<u8>)]) -> Vec<(&str, Vec<u8>)> {
    let mapper = Mapper::embedded().expect("the maps");
    named
        .iter()
        .filter_map(|(name, bytes)| Some((name.as_str(), bundle(&mapper, bytes)?)))
        .collect()
}

fn own() -> Vec<(String, Vec<u8>)> {
    let own = messages(ROUNDS).into_iter();
    own.map(|message| {
        let name = message.split('\r').next().unwrap_or_default().to_owned();
        (name, message.into_bytes())
    })
    .collect()
}

fn public() -> Option<Vec<(String, Vec<u8>)>> {
    let samples = corpus()?.into_iter();
    Some(samples.map(|sample| (sample.name, sample.bytes)).collect())
}

#[track_caller]
fn all_valid(named: &[(String, Vec<u8>)], at_least: usize) {
    let made = bundles(named);
    assert!(made.len() >= at_least, "only {} bundles", made.len());
    let values: Vec<Value> = made
        .iter()
        .map(|(name, bundle)| serde_json::from_slice(bundle).expect(name))
        .collect();
    let mut wrong = String::new();
    let mut refused = 0;
    for ((name, _), verdict) in made.iter().zip(check(&values)) {
        if !verdict.is_valid() {
            refused += 1;
            let _ = writeln!(wrong, "{name}:");
            for (validator, issue) in verdict.errors() {
                let (at, text) = (&issue.location, &issue.text);
                let _ = writeln!(wrong, "  {}: {at}: {text}", validator.name());
            }
        }
    }
    println!("{} bundles, {refused} refused", made.len());
    assert!(wrong.is_empty(), "{refused} of {}:\n{wrong}", made.len());
}

#[test]
fn every_bundle_of_a_made_up_message_is_valid() {
    if parts::installed() {
        all_valid(&own(), 300);
    }
}

/// What random messages hardly say: a state alone, one that is not known, and what is taken out or back.
#[test]
fn every_bundle_of_a_state_that_changes_is_valid() {
    if !parts::installed() {
        return;
    }
    let obr =
        "OBR|1|P1^HIS|F1^LAB|GLU^Glucose^L|||202601010800|||||||||||||||202601010900||LAB|F\r";
    let rxa = "RXA|0|1|20260101||08^HepB^CVX|1";
    let obx = |value: &str, state: &str| {
        format!("OBX|1|NM|GLU^Glucose^L||{value}|mmol/L^^UCUM|||||{state}\r")
    };
    let messages = [
        ("ORU^R01", format!("{obr}{}", obx("", "U"))),
        ("ORU^R01", format!("{obr}{}", obx("5.4", "U"))),
        ("VXU^V04", format!("ORC|RE||V1^R\r{rxa}||||||||||||00^Parental^NIP002\r")),
        ("VXU^V04", format!("ORC|DE||V1^R\r{rxa}\r")),
        ("VXU^V04", "ORC|RE||V1^R\r".to_owned()),
        ("OML^O21", "ORC|HD|P1^HIS\r".to_owned()),
        ("RDE^O11", "ORC|SC|P1^HIS|||DC\r".to_owned()),
        ("ORM^O01", "ORC|SC|P1^HIS|||A\r".to_owned()),
        ("MDM^T06", "TXA|1|CN^Consult^L|||||||||||D2^D|D1^D||||||AV\r".to_owned()),
        ("MDM^T11", "TXA|1|CN^Consult^L||||||||||D2^D|||||||AV\r".to_owned()),
        ("PPR^PC1", "PRB|AD|20260101|E11^Diabetes^I10|1^H||||||||||LOCAL\r".to_owned()),
        ("PPR^PC1", "PRB|AD|20260101|E11^Diabetes^I10|1^H||||||||||Resolved\r".to_owned()),
        ("ADT^A60", "IAM|1|DA|ASP^Aspirin^L|||A|||IN\r".to_owned()),
        ("ADT^A16", "PV1|1|I|W^1||||||||||||||||77^^^H^VN||||||||||||||||||||||||||202601020800\r".to_owned()),
        ("SIU^S14", "SCH|A1^P|||||||||||||||||||||||||Booked\rRGS|1\rAIP|1|D|8^GONE^D\rAIP|2|A|9^DOE^D|||||||||Cancelled\r".to_owned()),
    ];
    let named = messages.map(|(event, segments)| {
        let header =
            format!("MSH|^~\\&|LAB|GENERAL|BR|CL|20260101120000+0100||{event}|R1|P|2.5.1\r");
        let message = format!("{header}PID|1||4711^^^GENERAL^MR||DOE^JOHN\r{segments}");
        (message.replace('\r', "/"), message.into_bytes())
    });
    all_valid(&named, named.len());
}

#[test]
fn every_bundle_of_the_public_messages_is_valid() {
    if let (true, Some(messages)) = (parts::installed(), public()) {
        all_valid(&messages, 400);
    }
}

/// 20 times here, each with maps compiled anew, and by two processes of the program.
#[test]
fn the_same_message_makes_the_same_bundle_in_every_run_and_process() {
    let mut named = own();
    named.extend(public().unwrap_or_default());
    let first = bundles(&named);
    for _ in 1..20 {
        let again = bundles(&named);
        assert_eq!(again.len(), first.len());
        for ((name, first), (_, again)) in first.iter().zip(&again) {
            assert!(first == again, "{name} makes another bundle");
        }
    }
    // The program admits a message before it converts it, so that fewer are left.
    let folder = tempfile::TempDir::new().expect("a folder");
    for (number, (_, bytes)) in named.iter().enumerate() {
        let file = folder.path().join(format!("{number:05}.hl7"));
        std::fs::write(file, bytes).expect("written");
    }
    let process = || {
        let output = Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
            .args(["convert", "--to", "fhir", "--quiet"])
            .arg(folder.path())
            .output()
            .expect("the program runs");
        output.stdout
    };
    let (one, two) = (process(), process());
    assert!(one.iter().filter(|byte| **byte == b'\n').count() > 300);
    assert!(one == two, "two processes make different bundles");
    let own: std::collections::HashSet<&[u8]> =
        first.iter().map(|(_, bundle)| bundle.as_slice()).collect();
    // A blank at the end of a file is not part of its message, and of the public ones some have one.
    let made_up = one.split(|byte| *byte == b'\n').filter(|line| {
        let line = String::from_utf8_lossy(line);
        line.contains("\"value\":\"seed-")
    });
    for line in made_up {
        assert!(
            own.contains(line),
            "the program makes another bundle than the library: {}",
            String::from_utf8_lossy(line)
        );
    }
}
