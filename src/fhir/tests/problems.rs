//! Problems, goals and referrals.

use super::orders::message;

const PID: &str = "PID|1||77^^^H&1.2.276.0.76.3.1.1&ISO||DOE^JANE\n";

#[test]
fn a_problem_is_a_condition_of_the_problem_list() {
    let bundle = message(
        "PPR^PC1^PPR_PC1",
        &format!(
            "{PID}PRB|AD|20260301|J45^Asthma^I10|PB1^CL|||20260228||||||confirmed|||20200101\nNTE|1||since school\n\
            GOL|AD|20260301|G1^Better breathing^L|GI1^CL|||20260301|20261231\nORC|NW|O9^CL\nOBR|1|O9^CL||SPI^Spirometry^L\n"
        ),
    );
    let problem = bundle.one("Condition");
    let code = |element: &str| problem[element]["coding"][0]["code"].clone();
    assert_eq!(code("clinicalStatus"), "active");
    assert_eq!(code("verificationStatus"), "confirmed");
    assert_eq!(
        problem["category"][0]["coding"][0]["code"],
        "problem-list-item"
    );
    assert_eq!(problem["code"]["text"], "Asthma");
    assert_eq!(problem["identifier"][0]["value"], "PB1");
    assert_eq!(problem["onsetDateTime"], "2020-01-01");
    assert_eq!(problem["recordedDate"], "2026-02-28");
    assert_eq!(problem["note"][0]["text"], "since school");
    let goal = bundle.one("Goal");
    assert_eq!(goal["lifecycleStatus"], "active");
    assert_eq!(goal["description"]["text"], "Better breathing");
    assert_eq!(goal["startDate"], "2026-03-01");
    assert_eq!(goal["target"][0]["dueDate"], "2026-12-31");
    assert_eq!(bundle.at(&goal["addresses"][0]), problem);
    let request = bundle.one("ServiceRequest");
    assert_eq!(bundle.at(&request["reasonReference"][0]), problem);
}

/// con-3 to con-5: the statuses of a condition must agree.
#[test]
fn a_problem_that_is_deleted_or_over_is_not_active() {
    for (event, segment, clinical, verification) in [
        (
            "PC1",
            "PRB|DE||J45^Asthma^I10|PB1^CL",
            None,
            Some("entered-in-error"),
        ),
        (
            "PC3",
            "PRB|UP||J45^Asthma^I10|PB1^CL|||||20260301",
            None,
            Some("entered-in-error"),
        ),
        (
            "PC2",
            "PRB|UP||J45^Asthma^I10|PB1^CL|||||20260301",
            Some("resolved"),
            None,
        ),
        ("PC2", "PRB|UP||J45^Asthma^I10|PB1^CL", Some("active"), None),
    ] {
        let bundle = message(
            &format!("PPR^{event}^PPR_PC1"),
            &format!("{PID}{segment}\n"),
        );
        let problem = bundle.one("Condition");
        let code = |element: &str| problem[element]["coding"][0]["code"].as_str();
        assert_eq!(code("clinicalStatus"), clinical, "{event} {segment}");
        assert_eq!(
            code("verificationStatus"),
            verification,
            "{event} {segment}"
        );
        assert_eq!(
            problem.get("abatementDateTime").is_some(),
            clinical == Some("resolved")
        );
    }
}

/// The same instance of a problem is the same resource, whatever is said of it.
#[test]
fn a_problem_keeps_its_id() {
    let id = |event: &str, segment: &str| {
        let bundle = message(
            &format!("PPR^{event}^PPR_PC1"),
            &format!("{PID}{segment}\n"),
        );
        bundle.request("Condition")["url"].clone()
    };
    let added = id("PC1", "PRB|AD||J45^Asthma^I10|PB1^CL");
    assert_eq!(added, id("PC2", "PRB|UP||J45.1^Allergic asthma^I10|PB1^CL"));
    assert_eq!(added, id("PC3", "PRB|DE||J45^Asthma^I10|PB1^CL"));
    assert_ne!(added, id("PC1", "PRB|AD||J45^Asthma^I10|PB2^CL"));
}

#[test]
fn a_referral_has_who_refers_and_to_whom() {
    let message = |event: &str| {
        message(
            &format!("REF^{event}^REF_I12"),
            &format!(
                "RF1|A^Accepted|S^Stat|MED^Medical||O^Outpatient|R77^CL|20260301|20260401|20260228|2^second opinion^L|X88^SPEC\n\
                PRD|RP|JONES^BOB\nPRD|RT|WISE^WENDY\n{PID}DG1|1||J45^Asthma^I10\nNTE|1||please hurry\n"
            ),
        )
    };
    let bundle = message("I12");
    let referral = bundle.one("ServiceRequest");
    assert_eq!(referral["status"], "active");
    assert_eq!(referral["priority"], "stat");
    assert_eq!(referral["identifier"][0]["value"], "R77");
    assert_eq!(referral["occurrencePeriod"]["end"], "2026-04-01");
    let name = |element: &serde_json::Value| bundle.at(element)["name"][0]["family"].clone();
    assert_eq!(name(&referral["requester"]), "JONES");
    assert_eq!(name(&referral["performer"][0]), "WISE");
    assert_eq!(
        bundle.at(&referral["reasonReference"][0])["code"]["text"],
        "Asthma"
    );
    assert_eq!(referral["note"][0]["text"], "please hurry");
    let cancelled = message("I14");
    assert_eq!(cancelled.one("ServiceRequest")["status"], "revoked");
    assert_eq!(
        cancelled.request("ServiceRequest"),
        bundle.request("ServiceRequest"),
        "the same referral"
    );
}

/// PC6 to PC8 are about goals, as PC1 to PC3 are about problems.
#[test]
fn a_goal_has_the_problems_that_it_is_for() {
    let segments = format!(
        "{PID}GOL|AD|20260301|G1^Better breathing^L|GI1^CL|||20260301|20261231\nNTE|1||by summer\nOBX|1|NM|PEF^Peak flow^L||300|L/min\n\
        PRB|AD|20260301|J45^Asthma^I10|PB1^CL\nORC|NW|O9^CL\nOBR|1|O9^CL||SPI^Spirometry^L\n"
    );
    for (event, status) in [
        ("PC6", "active"),
        ("PC7", "active"),
        ("PC8", "entered-in-error"),
    ] {
        let bundle = message(&format!("PGL^{event}^PGL_PC6"), &segments);
        let goal = bundle.one("Goal");
        assert_eq!(goal["lifecycleStatus"], status, "{event}");
        assert_eq!(goal["note"][0]["text"], "by summer");
        let problem = bundle.at(&goal["addresses"][0]);
        assert_eq!(problem["code"]["text"], "Asthma");
        assert_eq!(
            problem["clinicalStatus"]["coding"][0]["code"], "active",
            "{event}: the problem stays"
        );
        assert_eq!(bundle.one("Observation")["valueQuantity"]["value"], 300);
        assert_eq!(bundle.one("ServiceRequest")["code"]["text"], "Spirometry");
        let same = message(
            "PPR^PC1^PPR_PC1",
            &segments.replace("GOL|", "PRB|AD||X|PB9^CL\nGOL|"),
        );
        assert_eq!(same.one("Goal")["id"], goal["id"], "{event}");
    }
}
