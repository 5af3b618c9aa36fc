//! Elements in objects: putting them in, asking for them, and FHIR's rules for some kinds of object.

use super::date;
use super::elements::R4;
use super::lists::Lists;
use super::program::{Asked, Body, Program, Target};
use super::raw::Finish;
use super::tree::{Node, Object};
use super::types::V2_TABLE;
use super::work;
use std::borrow::Cow;

/// Puts a value where a target says. False where something else is there: the first stays, and adds what it lacks from an
/// object that comes second. `lists` is what is known of the object's long lists.
pub(super) fn insert<'t>(
    out: &mut Object<'t>,
    lists: &mut Lists,
    target: &'t Target,
    value: Node<'t>,
) -> bool {
    let Some((last, way)) = target.steps.split_last() else {
        return false;
    };
    let mut at = out;
    for step in way {
        match at.or_insert(step, Node::Object(Object::default())) {
            Node::Object(inner) => at = inner,
            _ => return false,
        }
    }
    if target.list {
        return match at.or_insert(last, Node::List(Vec::new())) {
            Node::List(items) => {
                match counts(last, &value) {
                    true => items.push(value),
                    false => lists.add(&target.steps, items, value),
                }
                true
            }
            _ => false,
        };
    }
    match (at.get_mut(last), value) {
        (None, value) => {
            at.push(last, value);
            true
        }
        (Some(own), value) if *own == value => true,
        (Some(Node::Object(own)), Node::Object(value)) => {
            let before = own.len();
            for (name, value) in value {
                own.or_insert(name, value);
            }
            own.len() > before
        }
        _ => false,
    }
}

/// Whether an item that is in a list already says more by being there twice: of two pressures that are equal, of the steps of a
/// dose, of texts that are read one after the other. Of names, numbers and codes the same twice says nothing more.
fn counts(list: &str, item: &Node<'_>) -> bool {
    matches!(list, "component" | "dosageInstruction" | "note") || matches!(item, Node::Text(_))
}

/// What is where a target says.
pub(super) fn get<'o, 't>(object: &'o Object<'t>, steps: &[String]) -> Option<&'o Node<'t>> {
    let (first, rest) = steps.split_first()?;
    let inner = object.get(first)?;
    match rest.is_empty() {
        true => Some(inner),
        false => get(inner.as_object()?, rest),
    }
}

/// Adds what a second object says of the same thing: lists are joined, the first value stays, and what is not kept is returned. An
/// object stays as it is: the number of one segment is never given the unit of another, nor a test the code of another. `kind` is their
/// type: of a choice (`deceased[x]`) there is one.
pub(super) fn join<'t>(
    kind: &str,
    own: &mut Object<'t>,
    lists: &mut Lists,
    other: Object<'t>,
) -> Vec<Node<'t>> {
    let mut dropped = Vec::new();
    for (name, value) in other {
        work::done(1);
        match (own.get_mut(name), value) {
            (None, value) => match R4.choice(kind, name) {
                Some(choice) if own.names().any(|own| R4.choice(kind, own) == Some(choice)) => {
                    dropped.push(value);
                }
                _ => own.push(name, value),
            },
            (Some(Node::List(own)), Node::List(items)) => {
                for item in items {
                    lists.add(&[name], own, item);
                }
            }
            (Some(own), value) if *own == value => {}
            (Some(_), value) => dropped.push(value),
        }
    }
    dropped
}

/// Takes out what refers to one of these resources, and what is empty then or lacks what it needs. False where nothing of it is left.
pub(super) fn forget(value: &mut Node<'_>, gone: &impl Fn(usize) -> bool) -> bool {
    work::done(1);
    match value {
        Node::List(items) => {
            items.retain_mut(|item| forget(item, gone));
            !items.is_empty()
        }
        Node::Object(members) => {
            if matches!(members.get("reference"), Some(Node::Address(number)) if gone(*number)) {
                return false;
            }
            let before = members.len();
            members.retain(|_, member| forget(member, gone));
            let require = members.require.filter(|_| members.len() < before);
            !members.is_empty() && !require.is_some_and(|require| lacks(members, require))
        }
        _ => true,
    }
}

/// Whether an element is there.
pub(super) fn has(object: &Object<'_>, asked: &Asked) -> bool {
    match asked {
        Asked::Starts(start) => object.names().any(|name| name.starts_with(start)),
        Asked::Steps(steps) => get(object, steps).is_some(),
    }
}

/// Whether it lacks one of these, of each of which it needs one.
pub(super) fn lacks(object: &Object<'_>, require: &[Vec<Asked>]) -> bool {
    let mut require = require.iter();
    require.any(|one_of| !one_of.iter().any(|asked| has(object, asked)))
}

/// What stands for a value that is not known.
pub(super) fn absent(reason: &str) -> Node<'_> {
    let url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
    let extension = Object::from([("url", Node::text(url)), ("valueCode", Node::text(reason))]);
    let all = Node::List(vec![Node::Object(extension)]);
    Node::Object(Object::from([("extension", all)]))
}

/// Applies a rule; the system that was taken out by it.
pub(super) fn finish<'t>(
    object: &mut Object<'t>,
    rule: Finish,
    program: &Program,
) -> Option<Cow<'t, str>> {
    match rule {
        Finish::Coding => coding(object, program),
        Finish::Quantity => quantity(object, program),
        Finish::Appointment => {
            appointment(object);
            None
        }
    }
}

fn coding<'t>(object: &mut Object<'t>, program: &Program) -> Option<Cow<'t, str>> {
    let system = object.text("system")?;
    let known = match system.strip_prefix(V2_TABLE) {
        Some(table) => program.tables.get(table).copied(),
        None if system == UCUM => program.units,
        None => return None,
    };
    let code = object.text("code").unwrap_or_default();
    let is_one = known.is_some_and(|number| program.vocabularies[number].codes.contains_key(code));
    // Also where the table is not known here: the validators know all of them.
    match is_one {
        true => None,
        false => take_text(object, "system"),
    }
}

fn take_text<'t>(object: &mut Object<'t>, name: &str) -> Option<Cow<'t, str>> {
    match object.take(name) {
        Some(Node::Text(text)) => Some(text),
        _ => None,
    }
}

/// The system of units.
const UCUM: &str = "http://unitsofmeasure.org";

fn quantity<'t>(object: &mut Object<'t>, program: &Program) -> Option<Cow<'t, str>> {
    let is_ucum = object.text("system") == Some(UCUM);
    let unit = object.text("code").or_else(|| object.text("unit"));
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
    if object.has("code")
        && !object.has("system")
        && let Some(code) = object.take("code")
    {
        object.or_insert("unit", code);
    }
    removed
}

/// app-2 and app-3.
fn appointment(object: &mut Object<'_>) {
    let minutes = match object.get("minutesDuration") {
        Some(Node::Number(digits)) => digits.parse().ok(),
        _ => None,
    };
    if !object.has("end")
        && let (Some(start), Some(minutes)) = (object.text("start"), minutes)
        && let Some(end) = date::later(start, minutes)
    {
        object.push("end", Node::Text(Cow::Owned(end)));
    }
    if object.has("start") && object.has("end") {
        return;
    }
    object.take("start");
    object.take("end");
    let status = match object.text("status") {
        Some("proposed" | "cancelled" | "waitlist") => return,
        // It does not take place, and of these only a cancelled one needs no time.
        Some("entered-in-error" | "noshow") => "cancelled",
        _ => "proposed",
    };
    object.set("status", Node::text(status));
}

/// per-1, in each element that is a period, and in those further inside to which a row has given an end: an end before the start is
/// taken out. So is one of which that cannot be told.
pub(super) fn periods<'t>(object: &mut Object<'t>, body: &Body) -> Vec<Cow<'t, str>> {
    let inner = object.values_mut().filter_map(Node::as_object_mut);
    let mut ends: Vec<Cow<'_, str>> = inner.filter_map(period).collect();
    for way in &body.periods {
        let mut at = Some(&mut *object);
        for step in way {
            let inner = at.and_then(|at| at.get_mut(step));
            at = inner.and_then(Node::as_object_mut);
        }
        ends.extend(at.and_then(period));
    }
    ends
}

fn period<'t>(object: &mut Object<'t>) -> Option<Cow<'t, str>> {
    let (start, end) = (object.text("start")?, object.text("end")?);
    match date::in_order(start, end) {
        true => None,
        false => take_text(object, "end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn target(text: &str) -> Target {
        let (path, list) = text
            .strip_suffix("[]")
            .map_or((text, false), |path| (path, true));
        Target {
            steps: path.split('.').map(str::to_owned).collect(),
            list,
        }
    }

    fn object(value: &Value) -> Object<'_> {
        match Node::constant(value) {
            Node::Object(object) => object,
            _ => panic!("not an object"),
        }
    }

    #[test]
    fn the_first_value_stays() {
        let rows = [
            ("period.start", json!("a"), true),
            ("period.start", json!("b"), false),
            ("name[]", json!({"text": "x"}), true),
            ("name[]", json!({"text": "x"}), true),
            ("period", json!({"start": "c", "end": "d"}), true),
            ("name.text", json!("x"), false),
        ];
        let rows = rows.map(|(at, value, done)| (target(at), value, done));
        let mut out = Object::default();
        for (at, value, done) in &rows {
            let value = Node::constant(value);
            let inserted = insert(&mut out, &mut Lists::default(), at, value);
            assert_eq!(inserted, *done, "{at:?}");
        }
        let expected = json!({"period": {"start": "a", "end": "d"}, "name": [{"text": "x"}]});
        assert!(out == object(&expected));
    }

    #[test]
    fn elements_are_asked_for() {
        let value = json!({"valueString": "x", "code": {"text": "y"}});
        let object = object(&value);
        for (name, there) in [
            ("value*", true),
            ("code.text", true),
            ("code.coding", false),
            ("valueString.x", false),
            ("period", false),
        ] {
            assert_eq!(has(&object, &Asked::read(name)), there, "{name}");
        }
        let require = |text: &str| [text.split('|').map(Asked::read).collect::<Vec<_>>()];
        assert!(!lacks(&object, &require("name|code")));
        assert!(lacks(&object, &require("name|telecom")));
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
            let value = json!({"start": start, "end": end});
            let mut object = object(&value);
            let _ = period(&mut object);
            assert_eq!(object.has("end"), kept, "{start} {end}");
        }
    }
}
