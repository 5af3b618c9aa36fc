//! Elements in objects: putting them in, asking for them, and FHIR's rules for some kinds of object.

use super::date;
use super::lists::Lists;
use super::program::{Program, Row, Target};
use super::raw::Finish;
use super::types::V2_TABLE;
use super::work;
use serde_json::{Map, Value, json};

/// Puts a value where a target says. False where something else is there: the first stays, and adds what it lacks from an
/// object that comes second. `lists` is what is known of the object's long lists.
pub(super) fn insert(
    out: &mut Map<String, Value>,
    lists: &mut Lists,
    target: &Target,
    value: Value,
) -> bool {
    let Some((last, way)) = target.steps.split_last() else {
        return false;
    };
    let mut at = out;
    for step in way {
        let next = at
            .entry(step.as_str())
            .or_insert_with(|| Value::Object(Map::new()));
        match next {
            Value::Object(inner) => at = inner,
            _ => return false,
        }
    }
    if target.list {
        let list = at
            .entry(last.as_str())
            .or_insert_with(|| Value::Array(Vec::new()));
        return match list {
            Value::Array(items) => {
                lists.add(&target.steps, items, value);
                true
            }
            _ => false,
        };
    }
    match (at.get_mut(last), value) {
        (None, value) => {
            at.insert(last.clone(), value);
            true
        }
        (Some(own), value) if *own == value => true,
        (Some(Value::Object(own)), Value::Object(value)) => {
            let before = own.len();
            for (name, value) in value {
                own.entry(name).or_insert(value);
            }
            own.len() > before
        }
        _ => false,
    }
}

/// What is where a target says.
pub(super) fn get<'o>(object: &'o Map<String, Value>, steps: &[String]) -> Option<&'o Value> {
    let (first, rest) = steps.split_first()?;
    let inner = object.get(first)?;
    match rest.is_empty() {
        true => Some(inner),
        false => get(inner.as_object()?, rest),
    }
}

/// Adds what a second object says of the same thing: lists are joined, the first value stays, and what is not kept is returned.
pub(super) fn join(
    own: &mut Map<String, Value>,
    lists: &mut Lists,
    other: Map<String, Value>,
) -> Vec<Value> {
    let mut dropped = Vec::new();
    join_at(&mut Vec::new(), own, lists, other, &mut dropped);
    dropped
}

/// The same of the objects at the end of these steps.
fn join_at(
    steps: &mut Vec<String>,
    own: &mut Map<String, Value>,
    lists: &mut Lists,
    other: Map<String, Value>,
    dropped: &mut Vec<Value>,
) {
    for (name, value) in other {
        work::done(1);
        match (own.get_mut(&name), value) {
            (None, value) => {
                own.insert(name, value);
            }
            (Some(Value::Array(own)), Value::Array(items)) => {
                steps.push(name);
                for item in items {
                    lists.add(steps, own, item);
                }
                steps.pop();
            }
            (Some(Value::Object(own)), Value::Object(inner)) if !is_reference(own) => {
                steps.push(name);
                join_at(steps, own, lists, inner, dropped);
                steps.pop();
            }
            (Some(own), value) if *own == value => {}
            (Some(_), value) => dropped.push(value),
        }
    }
}

fn is_reference(object: &Map<String, Value>) -> bool {
    object.contains_key("reference")
}

/// Takes out what refers to one of these resources, and what is empty then. False where nothing of it is left.
pub(super) fn forget(value: &mut Value, gone: &impl Fn(&str) -> bool) -> bool {
    work::done(1);
    match value {
        Value::Array(items) => {
            items.retain_mut(|item| forget(item, gone));
            !items.is_empty()
        }
        Value::Object(members) => {
            if text(members, "reference").is_some_and(gone) {
                return false;
            }
            members.retain(|_, member| forget(member, gone));
            !members.is_empty()
        }
        _ => true,
    }
}

/// Whether an element is there; `value*` is any that begins so.
pub(super) fn has(object: &Map<String, Value>, name: &str) -> bool {
    if let Some(start) = name.strip_suffix('*') {
        return object.keys().any(|key| key.starts_with(start));
    }
    let mut at = object;
    let mut steps = name.split('.').peekable();
    while let Some(step) = steps.next() {
        match at.get(step) {
            None => return false,
            Some(_) if steps.peek().is_none() => return true,
            Some(Value::Object(inner)) => at = inner,
            Some(_) => return false,
        }
    }
    false
}

/// The first of the requirements that an object does not meet.
pub(super) fn missing<'r>(
    object: &Map<String, Value>,
    require: &'r [Vec<String>],
) -> Option<&'r [String]> {
    require
        .iter()
        .find(|one_of| !one_of.iter().any(|name| has(object, name)))
        .map(Vec::as_slice)
}

/// What stands for a value that is not known.
pub(super) fn absent(reason: &str) -> Value {
    json!({"extension": [{
        "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
        "valueCode": reason,
    }]})
}

/// Applies a rule; the system that was taken out by it.
pub(super) fn finish(
    object: &mut Map<String, Value>,
    rule: Finish,
    program: &Program,
) -> Option<String> {
    match rule {
        Finish::Coding => coding(object, program),
        Finish::Quantity => quantity(object, program),
        Finish::Appointment => {
            appointment(object);
            None
        }
    }
}

fn text<'o>(object: &'o Map<String, Value>, name: &str) -> Option<&'o str> {
    object.get(name).and_then(Value::as_str)
}

fn coding(object: &mut Map<String, Value>, program: &Program) -> Option<String> {
    let system = text(object, "system")?;
    let known = match system.strip_prefix(V2_TABLE) {
        Some(table) => program.tables.get(table).copied(),
        None if system == UCUM => program.units,
        None => return None,
    };
    let code = text(object, "code").unwrap_or_default();
    let is_one = known.is_some_and(|number| program.vocabularies[number].codes.contains_key(code));
    // Also where the table is not known here: the validators know all of them.
    match is_one {
        true => None,
        false => take_text(object, "system"),
    }
}

fn take_text(object: &mut Map<String, Value>, name: &str) -> Option<String> {
    match object.shift_remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The system of units.
const UCUM: &str = "http://unitsofmeasure.org";

fn quantity(object: &mut Map<String, Value>, program: &Program) -> Option<String> {
    let is_ucum = text(object, "system") == Some(UCUM);
    let unit = text(object, "code").or_else(|| text(object, "unit"));
    let known = unit.is_some_and(|unit| {
        program
            .units
            .is_some_and(|number| program.vocabularies[number].codes.contains_key(unit))
    });
    let removed = match is_ucum && !known {
        true => take_text(object, "system"),
        false => None,
    };
    // qty-3: a code needs its system.
    if object.contains_key("code") && !object.contains_key("system") {
        let code = object.shift_remove("code");
        if let Some(code) = code {
            object.entry("unit").or_insert(code);
        }
    }
    removed
}

/// app-2 and app-3.
fn appointment(object: &mut Map<String, Value>) {
    if !object.contains_key("end")
        && let Some(start) = text(object, "start")
        && let Some(minutes) = object.get("minutesDuration").and_then(Value::as_i64)
        && let Some(end) = date::later(start, minutes)
    {
        object.insert("end".into(), json!(end));
    }
    if object.contains_key("start") && object.contains_key("end") {
        return;
    }
    object.shift_remove("start");
    object.shift_remove("end");
    let status = match text(object, "status") {
        Some("proposed" | "cancelled" | "waitlist") => return,
        // It does not take place, and of these only a cancelled one needs no time.
        Some("entered-in-error" | "noshow") => "cancelled",
        _ => "proposed",
    };
    object.insert("status".into(), json!(status));
}

/// per-1, in each element that is a period, and in those further inside to which a row has given an end: an end before the start is
/// taken out. So is one of which that cannot be told.
pub(super) fn periods(object: &mut Map<String, Value>, rows: &[Row]) -> Vec<String> {
    let inner = object.values_mut().filter_map(Value::as_object_mut);
    let mut ends: Vec<String> = inner.filter_map(period).collect();
    for row in rows {
        if let [way @ .., _, last] = &row.to.steps[..]
            && matches!(last.as_str(), "start" | "end")
            && !way.is_empty()
        {
            let mut at = Some(&mut *object);
            for step in row.to.steps.iter().take(way.len() + 1) {
                let inner = at.and_then(|at| at.get_mut(step));
                at = inner.and_then(Value::as_object_mut);
            }
            ends.extend(at.and_then(period));
        }
    }
    ends
}

fn period(object: &mut Map<String, Value>) -> Option<String> {
    let (start, end) = (text(object, "start")?, text(object, "end")?);
    match date::in_order(start, end) {
        true => None,
        false => take_text(object, "end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        let (path, list) = text
            .strip_suffix("[]")
            .map_or((text, false), |path| (path, true));
        Target {
            steps: path.split('.').map(str::to_owned).collect(),
            list,
            primitive: false,
        }
    }

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            _ => panic!("not an object"),
        }
    }

    #[test]
    fn the_first_value_stays() {
        let mut out = Map::new();
        for (at, value, done) in [
            ("period.start", json!("a"), true),
            ("period.start", json!("b"), false),
            ("name[]", json!({"text": "x"}), true),
            ("name[]", json!({"text": "x"}), true),
            ("period", json!({"start": "c", "end": "d"}), true),
            ("name.text", json!("x"), false),
        ] {
            let lists = &mut Lists::default();
            assert_eq!(insert(&mut out, lists, &target(at), value), done, "{at}");
        }
        assert_eq!(
            Value::Object(out),
            json!({"period": {"start": "a", "end": "d"}, "name": [{"text": "x"}]})
        );
    }

    #[test]
    fn elements_are_asked_for() {
        let object = object(json!({"valueString": "x", "code": {"text": "y"}}));
        for (name, there) in [
            ("value*", true),
            ("code.text", true),
            ("code.coding", false),
            ("valueString.x", false),
            ("period", false),
        ] {
            assert_eq!(has(&object, name), there, "{name}");
        }
        let require = |text: &str| vec![text.split('|').map(str::to_owned).collect::<Vec<_>>()];
        assert!(missing(&object, &require("name|code")).is_none());
        assert!(missing(&object, &require("name|telecom")).is_some());
    }

    #[test]
    fn a_period_does_not_end_before_it_begins() {
        for (start, end, kept) in [
            ("2020-01-02", "2020-01-01", false),
            ("2020-01-01", "2020-01-02", true),
            (
                "2020-01-01T10:00:00+00:00",
                "2020-01-01T09:00:00+00:00",
                false,
            ),
            (
                "2020-01-01T10:00:00+00:00",
                "2020-01-01T09:00:00-05:00",
                true,
            ),
            (
                "2020-01-01T10:00:00-05:00",
                "2020-01-01T10:00:00+00:00",
                false,
            ),
            ("2020-01-01T10:00:00+00:00", "2020-01-01", false),
            ("2020", "2020-01-01", false),
            ("2020", "2020", true),
            ("2020", "2019", false),
        ] {
            let mut object = object(json!({"start": start, "end": end}));
            let _ = period(&mut object);
            assert_eq!(object.contains_key("end"), kept, "{start} {end}");
        }
    }
}
