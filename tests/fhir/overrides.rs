//! A site's own maps, in a directory that is mounted beside a bridge that nobody has built anew: what they change is read back from
//! the real server.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::feed::{Feed, adt, found};

const WARD_EXTENSION: &str = "https://general.example.org/fhir/portal-consent";

/// What this site sends beside the standard: `W` for a woman, and a segment of its own.
fn admission(control_id: &str, number: &str) -> String {
    let message = adt("A01", control_id, number, "MUSTER").replace("|19700131|F", "|19700131|W");
    message + "ZPI|1|yes, by letter\r"
}

fn write(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

/// As a site makes one: a copy of the program's, with a line or two of its own.
fn copy(folder: &Path, path: &str, after: &str, own: &str) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let text = std::fs::read_to_string(program.join(path)).unwrap();
    assert_eq!(text.matches(after).count(), 1, "{path} has {after:?} once");
    write(folder, path, &text.replace(after, &format!("{after}{own}")));
}

/// The segment and where it stands; its code for a sex; whose numbers `GENHOSP` are, by who sends them.
fn maps(folder: &Path) {
    copy(
        folder,
        "messages/ADT_A01.yaml",
        "        - {map: \"PD1[Observation-LivingWill]\", into: living-will}\n",
        "    - segment: ZPI\n      maps:\n        - {map: \"ZPI[Patient]\", into: patient}\n",
    );
    write(
        folder,
        "segments/ZPI.yaml",
        &format!(
            "ZPI[Patient]:\n  resource: Patient\n  rows:\n    - {{skip: [ZPI-1]}}\n    - to: extension[]\n      rows:\n        \
             - {{to: url, value: \"{WARD_EXTENSION}\"}}\n        - {{to: valueString, from: ZPI-2}}\n"
        ),
    );
    write(
        folder,
        "vocabularies/site.yaml",
        "AdministrativeSex:\n  table: \"0001\"\n  system: http://hl7.org/fhir/administrative-gender\n  codes:\n    \
         W: {code: female, display: Female}\n    M: {code: male, display: Male}\n\
         AssigningAuthority:\n  codes:\n    GENHOSP@GENHOSP: https://general.example.org/fhir/numbers\n    \
         GENHOSP@OTHER: https://other.example.org/fhir/numbers\n",
    );
}

fn patient(number: &str) -> Value {
    let [patients, _] = found(number);
    let [patient] = patients.try_into().expect("one patient");
    patient
}

fn number_system(patient: &Value) -> &str {
    patient["identifier"][0]["system"].as_str().unwrap()
}

#[test]
fn a_mounted_directory_gives_a_z_segment_a_local_code_and_a_namespace_their_meaning() {
    let Some(mut plain) = Feed::start("") else {
        return;
    };
    plain
        .peer
        .exchange(admission("O1", "7201"))
        .expect("AA", "O1");
    let without = patient("7201");
    assert_eq!(without["extension"], Value::Null, "{without}");
    assert_eq!(without["gender"], Value::Null, "{without}");
    assert!(
        number_system(&without).starts_with("urn:hl7-v2:"),
        "{without}"
    );

    let folder = TempDir::new().unwrap();
    maps(folder.path());
    let mappings = format!("mappings: '{}'", folder.path().display());
    let Some(mut site) = Feed::start(&mappings) else {
        return;
    };
    site.peer
        .exchange(admission("O2", "7202"))
        .expect("AA", "O2");
    let with = patient("7202");
    assert_eq!(
        with["extension"],
        json!([{"url": WARD_EXTENSION, "valueString": "yes, by letter"}])
    );
    assert_eq!(with["gender"], "female");
    assert_eq!(
        number_system(&with),
        "https://general.example.org/fhir/numbers"
    );
    // Another hospital's numbers of the same name are its own.
    let other = admission("O3", "7203").replace("REGADT|GENHOSP", "REGADT|OTHER");
    site.peer.exchange(other).expect("AA", "O3");
    assert_eq!(
        number_system(&patient("7203")),
        "https://other.example.org/fhir/numbers"
    );

    // What the site changes while messages come is in force without a restart.
    let file = folder.path().join("segments/ZPI.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replace("from: ZPI-2", "text: \"consent: {ZPI-2}\""),
    )
    .unwrap();
    let applied = [("result", "applied")];
    site.bridge
        .wait_for_metric("mllp_bridge_config_reloads_total", &applied, 1.0);
    site.peer
        .exchange(admission("O4", "7204"))
        .expect("AA", "O4");
    let changed = patient("7204");
    assert_eq!(
        changed["extension"][0]["valueString"],
        "consent: yes, by letter"
    );
    assert_eq!(patient("7202"), with, "what is stored stays as it is");
}

/// 422: what a map makes is the site's own, and the server says which field it was made of. Of a row with `when` nobody asks which codes
/// it lets through, as this one of the site lets `W`.
#[test]
fn what_the_server_finds_invalid_is_told_by_its_field_and_not_stored() {
    let folder = TempDir::new().unwrap();
    write(
        folder.path(),
        "segments/PID.yaml",
        "PID[Patient]:\n  extends: true\n  rows:\n    \
         - {to: gender, from: PID-8, as: code, when: PID-8 valued}\n",
    );
    let mappings = format!("mappings: '{}'", folder.path().display());
    let Some(mut site) = Feed::start(&mappings) else {
        return;
    };
    let ack = site.peer.exchange(admission("O5", "7205"));
    ack.expect("AE", "O5");
    let told = ack.err();
    assert_eq!(told[0].component(3, 1), "102", "{ack}");
    assert!(told.iter().any(|err| err.field(2) == "PID^1^8"), "{ack}");
    assert!(found("7205").iter().all(Vec::is_empty));
}
