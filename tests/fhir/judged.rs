//! The validators themselves: they take what is good, and of what is broken each says what the table says.

use serde_json::{Value, json};

use crate::cases::{BROKEN, GOOD, Seen};
use crate::parts::validators::{Issue, Severity, Validator, check};
use crate::parts::{self};

fn parse(resource: &str) -> Value {
    serde_json::from_str(resource).expect("JSON")
}

#[test]
fn what_is_good_passes_all_three() {
    if !parts::installed() {
        return;
    }
    let resources = GOOD.map(|(_, resource)| parse(resource));
    let verdicts = check(&resources);
    assert_eq!(verdicts.len(), GOOD.len());
    for ((what, _), verdict) in GOOD.iter().zip(&verdicts) {
        assert!(verdict.is_valid(), "{what}:\n{verdict}");
    }
}

/// Whether it is what a row says: the place is among those of the worst severity.
fn is(issues: &[Issue], seen: Seen) -> bool {
    let refused = issues.iter().any(|issue| issue.severity >= Severity::Error);
    let at = |place: &str, severity: fn(Severity) -> bool| {
        let mut issues = issues.iter();
        issues.any(|issue| severity(issue.severity) && issue.location == place)
    };
    match seen {
        Seen::Nothing => issues.is_empty(),
        Seen::Warned(place) => !refused && at(place, |severity| severity == Severity::Warning),
        Seen::Refused(place) => at(place, |severity| severity >= Severity::Error),
    }
}

#[test]
fn of_what_is_broken_each_validator_sees_what_the_table_says() {
    if !parts::installed() {
        return;
    }
    let resources = BROKEN.map(|broken| parse(broken.resource));
    let verdicts = check(&resources);
    assert_eq!(verdicts.len(), BROKEN.len());
    let mut wrong = String::new();
    for (broken, verdict) in BROKEN.iter().zip(&verdicts) {
        for (validator, seen) in Validator::ALL.into_iter().zip(broken.seen) {
            if !is(verdict.of(validator), seen) {
                let name = validator.name();
                let what = broken.what;
                wrong.push_str(&format!("{what}: {name} is not {seen:?}:\n{verdict}\n"));
            }
        }
    }
    assert_eq!(wrong, "");
}

/// A validator that nothing fails before would be of no use.
#[test]
fn each_validator_refuses_something_that_another_does_not() {
    for (index, validator) in Validator::ALL.into_iter().enumerate() {
        let refused = |seen: &Seen| matches!(seen, Seen::Refused(_));
        for other in (0..3).filter(|other| *other != index) {
            let alone = BROKEN
                .iter()
                .filter(|broken| refused(&broken.seen[index]) && !refused(&broken.seen[other]));
            assert!(
                alone.count() > 0,
                "{validator:?} finds nothing that {other} does not"
            );
        }
    }
}

/// One process answers question after question, and more of them than a pipe holds.
#[test]
fn verdicts_come_in_the_order_of_the_resources_however_many_they_are() {
    if !parts::installed() {
        return;
    }
    let patient = |index: usize| {
        let birth = match index % 7 {
            0 => "19700102",
            _ => "1970-01-02",
        };
        json!({ "resourceType": "Patient", "name": [{ "family": "f".repeat(index) }], "birthDate": birth })
    };
    let patients: Vec<Value> = (1..600).map(patient).collect();
    for (index, verdict) in check(&patients).iter().enumerate() {
        assert_eq!(
            verdict.is_valid(),
            (index + 1) % 7 != 0,
            "{index}:\n{verdict}"
        );
    }
    assert!(check(&[]).is_empty());
    assert!(check(&patients[..1])[0].is_valid());
}
