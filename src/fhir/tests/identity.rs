//! Who and what is one and the same, and who must not be: a wrong answer is a patient with another's data.

use super::{Bundle, Mapper, Options, convert_with, mapper};
use crate::fhir::{MapError, NotCovered};
use crate::hl7::{Payload, peek};
use serde_json::Value;
use std::collections::BTreeSet;

/// A message of this sender (MSH-3 and MSH-4) and event.
fn message(sender: &str, event: &str, segments: &str) -> String {
    format!("MSH|^~\\&|{sender}|X|Y|20260301101500+0100||{event}|M1|P|2.5.1\n{segments}")
}

fn bundle(sender: &str, event: &str, segments: &str) -> Bundle {
    Bundle::of(&message(sender, event, segments))
}

pub(super) fn with(maps: &[(&str, &str)], message: &str) -> Result<Bundle, NotCovered> {
    let mut files = crate::fhir::embedded::FILES.to_vec();
    files.extend(maps);
    let mapper = Mapper::new(&files).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(MapError::to_string).collect();
        panic!("{}", errors.join("\n"))
    });
    let text = message.replace('\n', "\r");
    let Payload::V2(header) = peek(text.as_bytes()) else {
        panic!("no header")
    };
    let made = mapper.convert(text.as_bytes(), &header, true, &Options::default())?;
    Ok(Bundle(serde_json::from_slice(&made.bundle).unwrap()))
}

/// What each resource of a type is stored under: what its request asks by.
fn addresses(bundle: &Bundle, kind: &str) -> Vec<String> {
    let entries = bundle.entries().iter();
    let of_kind = entries.filter(|entry| {
        let changed = entry["request"]["url"].as_str().unwrap_or_default();
        let changed = changed.split(['?', '/']).next() == Some(kind);
        entry["resource"]["resourceType"] == kind || changed
    });
    let address = |entry: &Value| {
        let request = &entry["request"];
        match request["ifNoneExist"].as_str() {
            Some(query) => format!("{kind}?{query}"),
            None => request["url"].as_str().unwrap().to_owned(),
        }
    };
    of_kind.map(address).collect()
}

#[track_caller]
fn address(bundle: &Bundle, kind: &str) -> String {
    let all = addresses(bundle, kind);
    assert_eq!(all.len(), 1, "{kind} in {}", bundle.0);
    all[0].clone()
}

/// Each hospital has its own `MR`, and its own numbers without any authority.
#[test]
fn one_number_of_two_hospitals_is_two_patients() {
    for pid in ["PID|1||123^^^MR^MR||DOE\n", "PID|1||123||DOE\n"] {
        for event in ["ADT^A01", "ORU^R01"] {
            let of = |sender: &str| address(&bundle(sender, event, pid), "Patient");
            let north = of("REG|NORTH");
            assert_ne!(north, of("REG|SOUTH"), "{event} {pid}");
            assert_ne!(
                of("REG|NORTH^1.2.826.0.1^ISO"),
                of("REG|NORTH^1.2.826.0.2^ISO")
            );
            assert_ne!(of("NORTH|"), north, "an application is no facility");
            assert_eq!(of("REG|NORTH"), north);
        }
    }
    let of = |sender: &str| {
        let pid = "PID|1||123^^^H&2.16.840.1.113883.19.4.6&ISO^MR||DOE\n";
        address(&bundle(sender, "ADT^A01", pid), "Patient")
    };
    assert_eq!(of("REG|NORTH"), of("REG|SOUTH"), "an OID says whose it is");
}

/// The mere name of a place or of a program is its hospital's.
#[test]
fn what_is_named_by_a_bare_name_is_its_senders() {
    for kind in ["Organization", "Device", "Practitioner", "Location"] {
        let of = |sender: &str| {
            let segments = "PID|1||1^^^MR\nPV1|1|I|W^1^2||||8^SMITH^A\n";
            let text = message(sender, "ADT^A01", segments);
            let found: BTreeSet<String> = addresses(&Bundle::of(&text), kind).into_iter().collect();
            assert!(!found.is_empty(), "no {kind}");
            found
        };
        let (north, south) = (of("REG|NORTH"), of("REG|SOUTH"));
        assert!(north.is_disjoint(&south), "{kind}: {north:?} {south:?}");
    }
}

#[test]
fn a_site_gives_one_senders_name_a_system() {
    let vocabulary = "AssigningAuthority: {codes: {'MR@NORTH': 'urn:oid:2.16.840.1.113883.19.4.6', MR: 'http://mr.example.org'}}";
    let files = [("/site/vocabularies/site.yaml", vocabulary)];
    let of = |sender: &str| {
        let pid = "PID|1||123^^^MR^MR||DOE\n";
        let bundle = with(&files, &message(sender, "ADT^A01", pid)).unwrap();
        bundle.one("Patient")["identifier"][0]["system"].clone()
    };
    assert_eq!(of("REG|NORTH"), "urn:oid:2.16.840.1.113883.19.4.6");
    assert_eq!(of("REG|SOUTH"), "http://mr.example.org");
}

/// What an order or a result knows of a patient and of a visit must not replace what their own department knows.
#[test]
fn only_messages_about_the_record_overwrite_it() {
    let segments = "PID|1||123^^^MR^MR||DOE|||||||||||||ACC^^^H\nPV1|1|I|||||||||||||||||VN1^^^H\n";
    for event in [
        "ADT^A01", "ADT^A04", "ADT^A08", "ADT^A03", "ADT^A02", "ADT^A06",
    ] {
        let bundle = bundle("REG|NORTH", event, segments);
        for kind in ["Patient", "Encounter"] {
            assert_eq!(bundle.request(kind)["method"], "PUT", "{event} {kind}");
        }
        // An account that a mother and her child share stays whose it was.
        assert_eq!(bundle.request("Account")["method"], "POST", "{event}");
    }
    for pid in ["123^^^MR^MR", "123"] {
        // Without an authority too, where the key is asked by.
        let mut segments = segments.replace("123^^^MR^MR", pid);
        if pid == "123" {
            segments = segments.replace("^^^H", "");
        }
        let order = format!("{segments}ORC|NW|P1^H\nOBR|1|P1^H||K\n");
        let asked = bundle("REG|NORTH", "ADT^A01", &segments);
        for (event, rest) in [
            ("ORU^R01", order.as_str()),
            ("ORM^O01", &order),
            ("OML^O21", &order),
            ("MDM^T02", &segments),
            ("VXU^V04", &segments),
            ("SIU^S12", &format!("SCH|1|2\n{segments}")),
        ] {
            let bundle = bundle("REG|NORTH", event, rest);
            for kind in ["Patient", "Encounter", "Account"] {
                assert_eq!(
                    bundle.request(kind)["method"],
                    "POST",
                    "{event} {kind} {pid}"
                );
                assert_eq!(
                    address(&bundle, kind),
                    address(&asked, kind),
                    "{event} {kind}"
                );
            }
        }
    }
    // A person's record: the visit is only named.
    let person = bundle("REG|NORTH", "ADT^A31", segments);
    assert_eq!(person.request("Patient")["method"], "PUT");
    assert_eq!(person.request("Encounter")["method"], "POST");
    let person = bundle(
        "REG|NORTH",
        "ADT^A28",
        "PID|1||123^^^MR^MR||DOE\nPV1|1|N\nDG1|1||E11\n",
    );
    assert!(person.all("Encounter").is_empty(), "PV1-2 N is no visit");
}

#[test]
fn a_patients_number_is_chosen_by_its_type_and_not_by_its_place() {
    let of = |pid3: &str| {
        let bundle = bundle("REG|NORTH", "ADT^A01", &format!("PID|1||{pid3}||DOE\n"));
        address(&bundle, "Patient")
    };
    let first = of("1^^^NORTH^MR~2^^^MPI^PI");
    for same in [
        "2^^^MPI^PI~1^^^NORTH^MR",
        "9^^^X^AN~1^^^NORTH^MR",
        "4^^^SOUTH^MR~1^^^NORTH^MR",
        "77^^^AETNA^MB~1^^^NORTH^MR",
        "5~1^^^NORTH^MR",
    ] {
        assert_eq!(of(same), first, "{same}");
    }
    assert_ne!(of("1^^^SOUTH^MR"), first);
    let order = "IdentifierChoice: {codes: {PI: '1', MR: '2'}}";
    let files = [("/site/vocabularies/site.yaml", order)];
    let pid = "PID|1||1^^^NORTH^MR~2^^^MPI^PI||DOE\n";
    let bundle = with(&files, &message("REG|NORTH", "ADT^A01", pid)).unwrap();
    assert!(
        address(&bundle, "Patient").ends_with("%7C2"),
        "a site's order"
    );
}

/// The social security number 999-99-9999 is many people's.
#[test]
fn who_has_only_a_number_that_others_have_too_is_nobody_known() {
    let of = |name: &str| {
        let pid = format!("PID|1||999999999^^^SSA^SS||{name}\n");
        address(&bundle("REG|NORTH", "ORU^R01", &pid), "Patient")
    };
    assert_ne!(of("ONE"), of("TWO"));
    assert_eq!(of("ONE"), of("ONE"));
}

fn oru(obx: &str) -> Bundle {
    let segments = format!("PID|1||1^^^H^MR\nOBR|1|P1|F1|PANEL|||20260301080000\n{obx}");
    bundle("LAB|NORTH", "ORU^R01", &segments)
}

#[test]
fn a_correction_reaches_its_result_and_no_other() {
    let two = |first: &str, second: &str| {
        addresses(
            &oru(&format!("OBX|1|{first}\nOBX|2|{second}\n")),
            "Observation",
        )
    };
    let one = |obx: &str| addresses(&oru(&format!("OBX|1|{obx}\n")), "Observation").remove(0);
    let at = |hour: &str, value: &str| format!("NM|GLU||{value}||||||F|||20260301{hour}0000");
    let part = |sub: &str, value: &str| format!("NM|GLU|{sub}|{value}||||||F|||20260301080000");
    let own = |id: &str, value: &str| format!("NM|GLU||{value}||||||F||||||||||{id}");
    for (a, b, corrected) in [
        (at("08", "1"), at("09", "2"), at("09", "3")),
        (part("1", "1"), part("2", "2"), part("2", "3")),
        (own("I1", "1"), own("I2", "2"), own("I2", "3")),
    ] {
        let both = two(&a, &b);
        assert_ne!(both[0], both[1], "{a} {b}");
        assert_eq!(one(&corrected), both[1], "{corrected}");
        assert_eq!(
            two(&b, &a),
            [both[1].clone(), both[0].clone()],
            "the order is nothing"
        );
    }
}

/// Nothing tells these apart. All together are the same again; one of them alone takes no other's place.
#[test]
fn what_nothing_tells_apart_is_told_by_order_only_while_they_are_as_many() {
    let lines = |texts: &[&str]| {
        let obx = texts.iter().map(|text| format!("OBX|1|TX|NOTE||{text}\n"));
        addresses(&oru(&obx.collect::<String>()), "Observation")
    };
    let both = lines(&["one", "two"]);
    assert_eq!(lines(&["one", "2"]), both);
    let alone = lines(&["2"]);
    assert!(
        !both.contains(&alone[0]),
        "it may be the second, and would overwrite the first"
    );
}

#[test]
fn a_result_is_its_patients_and_its_authoritys() {
    let of = |pid: &str, obr: &str| {
        let segments = format!("PID|1||{pid}\nOBR|1|{obr}|K\nOBX|1|ST|X||1\n");
        address(&bundle("LAB|NORTH", "ORU^R01", &segments), "Observation")
    };
    let first = of("1^^^H^MR", "|F1");
    assert_eq!(of("1^^^H^MR", "|F1"), first);
    assert_eq!(of("1^^^H^MR", "P1|F1"), first, "a filler number is enough");
    for (pid, obr) in [
        ("1^^^OTHER^MR", "|F1"),
        ("2^^^H^MR", "|F1"),
        ("1^^^H^MR", "|F1^LAB"),
        ("1^^^H^MR", "F1|"),
    ] {
        assert_ne!(of(pid, obr), first, "{pid} {obr}");
    }
}

#[test]
fn an_order_is_known_by_its_placers_number_else_by_its_fillers() {
    let of = |event: &str, segments: &str| {
        let segments = format!("PID|1||1^^^H^MR\n{segments}");
        address(&bundle("EHR|NORTH", event, &segments), "ServiceRequest")
    };
    let order = of("ORM^O01", "ORC|NW|P1^E\nOBR|1|P1^E||GLU\n");
    for (event, segments) in [
        ("ORM^O01", "ORC|CA|P1^E\n"),
        ("ORM^O01", "ORC|CA|P1^E|F1^L\nOBR|1|||GLU\n"),
        ("OML^O21", "ORC|CA\nOBR|1|P1^E||GLU\n"),
        ("ORU^R01", "OBR|1|P1^E|F1^L|GLU\n"),
    ] {
        assert_eq!(of(event, segments), order, "{event} {segments}");
    }
    let filler = of("ORM^O01", "ORC|SN||F1^L\nOBR|1|||GLU\n");
    assert_eq!(of("ORM^O01", "ORC|OC||F1^L\n"), filler);
    assert_ne!(
        of("ORM^O01", "ORC|NW|F1^L\n"),
        filler,
        "two who count for themselves"
    );
    // Two tests under one number, and a result that names them.
    let two = "PID|1||1^^^H^MR\nORC|NW|P1^E\nOBR|1|P1^E||A\nOBR|2|P1^E||B\n";
    let two = addresses(&bundle("EHR|NORTH", "OML^O21", two), "ServiceRequest");
    assert_eq!(two.iter().collect::<BTreeSet<_>>().len(), 2, "{two:?}");
    let result = bundle("EHR|NORTH", "ORU^R01", "PID|1||1^^^H^MR\nOBR|1|P1^E|F1|A\n");
    assert_eq!(
        result.request("ServiceRequest")["method"],
        "POST",
        "the order is not its"
    );
}

#[test]
fn vaccinations_without_a_number_do_not_share_an_id() {
    let of = |segments: &str| {
        let segments = format!("PID|1||1^^^H^MR\n{segments}");
        addresses(&bundle("EHR|NORTH", "VXU^V04", &segments), "Immunization")
    };
    for number in ["", "9999", "9999^CDC"] {
        let one = |date: &str| of(&format!("ORC|RE||{number}\nRXA|0|1|{date}||207\n"));
        assert_ne!(one("20260301"), one("20260401"), "{number}");
        assert_eq!(one("20260301"), one("20260301"), "{number}");
    }
    let numbered = |date: &str| of(&format!("ORC|RE||F1^REG\nRXA|0|1|{date}||207\n"));
    assert_eq!(
        numbered("20260301"),
        numbered("20260302"),
        "its date is corrected"
    );
}

/// The same practitioner twice, with more said of them the second time.
#[test]
fn what_is_said_twice_of_one_is_joined_and_what_has_no_room_is_in_the_ledger() {
    let text = message(
        "EHR|NORTH",
        "ORM^O01",
        "PID|1||1^^^H^MR\nPV1|1|I|||||8^SMITH^ANN^^^^^^NPI|8^SMYTHE^ANN^^^^^^NPI\nORC|NW|P1\n",
    );
    let made = Bundle::of(&text);
    let names = made.one("Practitioner")["name"].as_array().unwrap();
    let families: Vec<&Value> = names.iter().map(|name| &name["family"]).collect();
    assert_eq!(families, ["SMITH", "SMYTHE"]);
    // One patient has one date of birth.
    let segments = "PID|1||1^^^H^MR||ONE^A||19700101|F\nMRG|2^^^H^MR\nPID|1||1^^^H^MR||ONE^A||19710101|F\nMRG|3^^^H^MR\n";
    let text = message("REG|NORTH", "ADT^A40", segments);
    let options = Options {
        ledger: true,
        ..Options::default()
    };
    let made = convert_with(&text, options);
    let lost: Vec<&str> = made
        .ledger
        .lost
        .iter()
        .map(|lost| lost.path.as_str())
        .collect();
    assert!(
        lost.contains(&"PID[2]-7"),
        "the second date of birth: {lost:?}"
    );
    let bundle = Bundle(serde_json::from_slice(&made.bundle).unwrap());
    let patient = &bundle.all("Patient")[0];
    assert_eq!(patient["birthDate"], "1970-01-01", "the first stays");
    assert_eq!(
        patient["link"].as_array().unwrap().len(),
        2,
        "both that it replaces"
    );
}

/// What is dropped leaves no reference to it.
#[test]
fn a_resource_that_lacks_what_it_requires_is_referred_to_by_nobody() {
    let map = "PV1[Encounter]: {resource: Encounter, key: [PV1-19 as CX], require: [period], rows: [{to: status, value: unknown}, {to: 'identifier[]', from: PV1-19, as: 'CX[Identifier]'}]}";
    let files = [("/site/segments/PV1.yaml", map)];
    let text = message(
        "REG|NORTH",
        "ADT^A01",
        "PID|1||1^^^H^MR\nPV1|1|I|||||||||||||||||V1\nOBX|1|ST|X||1\n",
    );
    // A file of one map replaces only that.
    let bundle = with(&files, &text).unwrap();
    assert!(bundle.all("Encounter").is_empty());
    assert_eq!(bundle.one("Observation").get("encounter"), None);
}

#[test]
fn the_embedded_maps_are_one_program() {
    assert!(
        mapper()
            .covers(&{
                let Payload::V2(header) = peek(b"MSH|^~\\&|A|B|||||ADT^A40|1|P|2.5\r") else {
                    panic!("no header")
                };
                header
            })
            .is_ok()
    );
}

/// The types that say what a visit's and an account's number are (VN, AN) are none of a patient's, and all of theirs.
#[test]
fn a_visit_and_an_account_are_the_same_in_the_next_message_whatever_type_their_numbers_have() {
    for (visit, account) in [("V1^^^H^VN", "A1^^^H^AN"), ("V1^^^H", "A1^^^H")] {
        let of = |name: &str| {
            let segments = format!(
                "PID|1||1^^^H^MR||{name}|||||||||||||{account}\n\
                 PV1|1|I|||||||||||||||||{visit}\nDG1|1||I10^X^I10\n"
            );
            let bundle = bundle("REG|NORTH", "ADT^A08", &segments);
            ["Encounter", "Account", "Condition"].map(|kind| address(&bundle, kind))
        };
        assert_eq!(of("MUSTER"), of("MEIER"), "{visit} {account}");
    }
}

/// The first map of a name says what identifies the resource, whichever segment comes first.
#[test]
fn all_maps_of_one_resource_say_the_same_of_its_identity() {
    let program = crate::fhir::compile::compile(crate::fhir::embedded::FILES).unwrap();
    for message in &program.messages {
        for (label, makers) in &message.makers {
            let first = &program.blocks[makers.blocks[0]];
            for block in makers.blocks.iter().map(|block| &program.blocks[*block]) {
                assert!(
                    block.key.is_empty() || block.key == first.key,
                    "{}: {label}: {} is known by another key than {}",
                    message.name,
                    block.name,
                    first.name
                );
            }
        }
    }
}

/// Where both segments are read, an IAM once had the key of an AL1 that was not there: each one took the place of the one before.
#[test]
fn two_allergies_of_a_patient_are_two_whichever_segment_tells_of_them() {
    let id = |event: &str, segment: &str| {
        let message =
            format!("MSH|^~\\&|A|B|||20260101101500||{event}|1|P|2.5\nPID|1||77^^^H^MR\n{segment}");
        let bundle = Bundle::of(&message);
        bundle.one("AllergyIntolerance")["id"].clone()
    };
    let penicillin = id("ADT^A08", "IAM|1|DA|PEN^Penicillin^L\n");
    assert_ne!(penicillin, id("ADT^A08", "IAM|1|FA|NUT^Nuts^L\n"));
    for event in ["ADT^A08", "ADT^A60", "ADT^A31", "REF^I12"] {
        assert_eq!(
            penicillin,
            id(event, "IAM|1|DA|PEN^Penicillin^L\n"),
            "{event}"
        );
    }
    assert_eq!(penicillin, id("ADT^A08", "AL1|1|DA|PEN^Penicillin^L\n"));
}
