//! Orders and results by specimen.

use super::orders::message;

const PID: &str = "PID|1||77^^^H&1.2.276.0.76.3.1.1&ISO||DOE^JANE\n";

#[test]
fn each_specimen_has_its_orders() {
    let bundle = message(
        "OML^O33^OML_O33",
        &format!(
            "{PID}SPM|1|S1&CL||SER\nORC|NW|O1^CL\nTQ1|1||||||||S\nOBR|1|O1^CL||GLU^Glucose^L\nORC|NW|O2^CL\nOBR|2|O2^CL||NA^Sodium^L\n\
            SPM|2|S2&CL||BLD\nORC|NW|O3^CL\nOBR|1|O3^CL||HB^Haemoglobin^L\n"
        ),
    );
    let requests = bundle.all("ServiceRequest");
    let of = |request: &serde_json::Value| {
        let specimens = request["specimen"].as_array().unwrap();
        assert_eq!(specimens.len(), 1, "{request}");
        bundle.at(&specimens[0])["identifier"][0]["value"].clone()
    };
    let found: Vec<_> = requests
        .iter()
        .map(|request| (request["code"]["text"].clone(), of(request)))
        .collect();
    let expected = [("Glucose", "S1"), ("Sodium", "S1"), ("Haemoglobin", "S2")];
    assert_eq!(
        found,
        expected.map(|(code, specimen)| (code.into(), specimen.into()))
    );
    assert_eq!(requests[0]["priority"], "stat");
    assert_eq!(requests[1].get("priority"), None, "TQ1 is of the first");
}

#[test]
fn results_belong_to_their_specimen_and_their_report() {
    for event in ["OUL^R22^OUL_R22", "OUL^R23^OUL_R23"] {
        let bundle = message(
            event,
            &format!(
                "{PID}SPM|1|S1&CL||BLD\nOBX|1|ST|COL^Colour^L||red||||||F\nOBR|1|O1^CL|F1^LAB|K^Potassium^L||||||||||||||||||||||F\nORC|RE|O1^CL|F1^LAB\n\
                NTE|1||checked\nOBX|1|NM|K^Potassium^L||4.1|mmol/L^^UCUM||N|||F\n\
                SPM|2|S2&CL||SER\nOBR|1|O2^CL|F2^LAB|NA^Sodium^L||||||||||||||||||||||F\nOBX|1|NM|NA^Sodium^L||140|mmol/L^^UCUM||N|||F\n"
            ),
        );
        let reports = bundle.all("DiagnosticReport");
        assert_eq!(reports.len(), 2, "{event}");
        for (report, (result, specimen)) in
            reports.iter().zip([("Potassium", "S1"), ("Sodium", "S2")])
        {
            let results = report["result"].as_array().unwrap();
            assert_eq!(results.len(), 1, "the specimen's colour is no result of it");
            let observation = bundle.at(&results[0]);
            assert_eq!(observation["code"]["text"], result);
            let of = bundle.at(&observation["specimen"]);
            assert_eq!(of["identifier"][0]["value"], specimen);
            assert_eq!(bundle.at(&report["subject"])["name"][0]["family"], "DOE");
        }
        let colour = bundle
            .all("Observation")
            .into_iter()
            .find(|observation| observation["code"]["text"] == "Colour");
        let colour = bundle.at(&colour.unwrap()["specimen"]);
        assert_eq!(colour["identifier"][0]["value"], "S1");
    }
}

#[test]
fn a_general_order_has_its_specimen() {
    let bundle = message(
        "OMG^O19^OMG_O19",
        &format!(
            "{PID}ORC|NW|O3^CL\nOBR|1|O3^CL||XR^Chest x-ray^L\nNTE|1||standing\nSPM|1|S1&CL||SER\n"
        ),
    );
    let request = bundle.one("ServiceRequest");
    assert_eq!(request["status"], "active");
    assert_eq!(request["note"][0]["text"], "standing");
    let specimen = bundle.at(&request["specimen"][0]);
    assert_eq!(specimen["identifier"][0]["value"], "S1");
}
