//! The elements of FHIR R4's resources and data types, of a text that `tests/fhir/elements.py` makes from the definitions.

use std::collections::HashMap;
use std::sync::LazyLock;

/// All of them.
pub(super) static R4: LazyLock<Elements> = LazyLock::new(|| Elements::read(TEXT));
const TEXT: &str = include_str!("elements.txt");

/// By type; an object inside a type has the name of its place (`Patient.contact`).
#[derive(Default)]
pub(super) struct Elements {
    types: HashMap<&'static str, Vec<Element>>,
    /// The codes of required bindings.
    sets: HashMap<&'static str, Vec<&'static str>>,
}

/// One element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    /// `birthDate`; of a choice the name with its type, `deceasedBoolean`.
    pub name: &'static str,
    /// There may be several.
    pub list: bool,
    /// Its type.
    pub kind: &'static str,
    /// For a code: where all that it can be are listed.
    set: Option<&'static str>,
}

impl Elements {
    fn read(text: &'static str) -> Self {
        let mut all = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            let name = words.next().unwrap_or_default();
            match name.strip_prefix('=') {
                Some(set) => all.sets.insert(set, words.collect()).map_or((), drop),
                None => {
                    let elements = words.filter_map(Element::read).collect();
                    all.types.insert(name, elements);
                }
            }
        }
        all
    }

    /// A type by its own copy of the name, if it has elements.
    pub(super) fn named(&self, kind: &str) -> Option<&'static str> {
        self.types.get_key_value(kind).map(|(name, _)| *name)
    }

    /// The elements of a type; none of a primitive.
    pub(super) fn of(&self, kind: &str) -> &[Element] {
        self.types.get(kind).map_or(&[], Vec::as_slice)
    }

    /// An element of a type. One with `_` before its name holds what is beside a primitive.
    pub(super) fn element(&self, kind: &str, name: &str) -> Option<Element> {
        let bare = name.strip_prefix('_');
        let wanted = bare.unwrap_or(name);
        let mut all = self.of(kind).iter().copied();
        let found = all.find(|element| element.name == wanted)?;
        match bare {
            None => Some(found),
            Some(_) if self.is_complex(found.kind) => None,
            Some(_) => Some(Element {
                kind: "Element",
                ..found.of_any_code()
            }),
        }
    }

    /// What an element is a choice of: `deceased` of `deceasedBoolean`, if it may be one.
    pub(super) fn choice<'n>(&self, kind: &str, name: &'n str) -> Option<&'n str> {
        let of_type = self
            .of(kind)
            .iter()
            .find(|element| element.name == name)?
            .kind;
        let (stem, end) = name.split_at_checked(name.len().checked_sub(of_type.len())?)?;
        let begins = |text: &str| text.starts_with(|first: char| first.is_ascii_uppercase());
        (begins(end) && end.eq_ignore_ascii_case(of_type)).then_some(stem)
    }

    /// Whether it is no primitive. Of a resource inside another no more is known.
    pub(super) fn is_complex(&self, kind: &str) -> bool {
        kind == "Resource" || self.types.contains_key(kind)
    }

    /// What a code can be, if that is listed.
    pub(super) fn codes(&self, element: Element) -> Option<&[&'static str]> {
        let set = self.sets.get(element.set?);
        set.map(Vec::as_slice)
    }
}

impl Element {
    /// The same without what its codes can be.
    pub(super) fn of_any_code(self) -> Self {
        Self { set: None, ..self }
    }

    /// `gender:code=administrative-gender`, `name*:HumanName`.
    fn read(word: &'static str) -> Option<Self> {
        let (name, kind) = word.split_once(':')?;
        let (kind, set) = match kind.split_once('=') {
            Some((kind, set)) => (kind, Some(set)),
            None => (kind, None),
        };
        let bare = name.strip_suffix('*');
        Some(Self {
            name: bare.unwrap_or(name),
            list: bare.is_some(),
            kind,
            set,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::types::RESOURCES;

    #[test]
    fn the_elements_of_what_maps_make_are_known() {
        for resource in RESOURCES {
            assert!(R4.named(resource).is_some(), "{resource}");
        }
        for (kind, name, list, of) in [
            ("Patient", "name", true, "HumanName"),
            ("Patient", "gender", false, "code"),
            ("Patient", "deceasedDateTime", false, "dateTime"),
            ("Patient", "contact", true, "Patient.contact"),
            ("Patient.contact", "period", false, "Period"),
            ("HumanName", "_given", true, "Element"),
            ("Extension", "valueCode", false, "code"),
            ("Parameters.parameter", "part", true, "Parameters.parameter"),
        ] {
            let element = R4.element(kind, name).unwrap();
            assert_eq!((element.list, element.kind), (list, of), "{kind}.{name}");
        }
        for (kind, name) in [
            ("Patient", "deceased"),
            ("Patient", "_name"),
            ("Patient", "resourceType"),
            ("code", "x"),
        ] {
            assert!(R4.element(kind, name).is_none(), "{kind}.{name}");
        }
        for (kind, name, choice) in [
            ("Patient", "deceasedBoolean", Some("deceased")),
            ("Patient", "multipleBirthInteger", Some("multipleBirth")),
            ("Condition", "onsetAge", Some("onset")),
            ("Observation", "valueCodeableConcept", Some("value")),
            ("Patient", "active", None),
            ("Encounter", "period", None),
        ] {
            assert_eq!(R4.choice(kind, name), choice, "{kind}.{name}");
        }
        let gender = R4.element("Patient", "gender").unwrap();
        assert_eq!(
            R4.codes(gender),
            Some(&["female", "male", "other", "unknown"][..])
        );
    }

    /// Each type that an element has is one of the table's, or a primitive.
    #[test]
    fn every_type_of_the_table_is_there() {
        for elements in R4.types.values() {
            for element in elements {
                let primitive = element.kind.starts_with(|c: char| c.is_ascii_lowercase());
                let known = primitive || R4.is_complex(element.kind);
                assert!(known, "{element:?}");
                assert!(
                    element.set.is_none_or(|set| R4.sets.contains_key(set)),
                    "{element:?}"
                );
            }
        }
    }
}
