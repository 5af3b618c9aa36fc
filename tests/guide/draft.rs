//! A message that is being made: each segment once, values at places.

use std::collections::BTreeMap;

/// `PV1-3.2` of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub segment: String,
    /// 0: the segment itself.
    pub field: usize,
    /// 0: the field itself.
    pub component: usize,
}

impl Place {
    /// Of `PV1-3.2`, `PV1.3`, `PV1`.
    pub fn parse(text: &str) -> Option<Self> {
        let (segment, rest) = match text.find(['-', '.']) {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, ""),
        };
        let mut numbers = rest.split('.').filter(|part| !part.is_empty());
        let mut next = || match numbers.next() {
            Some(number) => number.parse().ok(),
            None => Some(0),
        };
        let (field, component) = (next()?, next()?);
        let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        (segment.len() == 3 && segment.chars().all(upper)).then(|| Self {
            segment: segment.to_owned(),
            field,
            component,
        })
    }

    pub fn whole(&self) -> Self {
        Self {
            component: 0,
            ..self.clone()
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.segment)?;
        if self.field > 0 {
            write!(f, "-{}", self.field)?;
        }
        if self.component > 0 {
            write!(f, ".{}", self.component)?;
        }
        Ok(())
    }
}

/// Where a map is tried: an event, the order of its segments, and which are there in any case.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    pub event: &'static str,
    pub order: &'static str,
    pub there: &'static str,
}

/// The message.
#[derive(Debug, Clone)]
pub struct Draft {
    order: Vec<&'static str>,
    segments: BTreeMap<String, BTreeMap<usize, Vec<String>>>,
}

/// What a segment has that says no more than that it is there.
const BASE: &[(&str, &[(usize, &str)])] = &[
    (
        "MSH",
        &[
            (3, "APP"),
            (4, "FAC"),
            (7, "20260102030405+0000"),
            (10, "CONTROL1"),
            (11, "P"),
            (12, "2.9"),
        ],
    ),
    ("EVN", &[(2, "20260102030405")]),
    (
        "PID",
        &[(3, "PATIENT1^^^AUTH&1.2.3.4.5&ISO^MR"), (5, "DOE^JOHN")],
    ),
    ("PV1", &[(2, "I")]),
    ("PV2", &[]),
    ("PD1", &[]),
    ("NK1", &[(2, "ROE^JANE"), (3, "MTH")]),
    ("AL1", &[(3, "PEANUT^Peanut")]),
    ("IAM", &[(3, "PEANUT^Peanut")]),
    ("DG1", &[(3, "I10^Hypertension")]),
    ("PR1", &[(3, "CODE1^Procedure")]),
    ("GT1", &[(3, "ROE^JANE")]),
    ("IN1", &[(2, "PLAN1"), (3, "COMPANY1")]),
    ("ROL", &[(3, "AT"), (4, "R1^RO^RITA")]),
    ("ORC", &[(1, "XO")]),
    ("OBR", &[(4, "TEST1^Test")]),
    (
        "OBX",
        &[(2, "ST"), (3, "CODE1^Code"), (5, "text"), (11, "F")],
    ),
    ("SPM", &[(4, "BLD")]),
    ("TXA", &[(2, "CN"), (12, "DOC1"), (17, "AU")]),
    (
        "SCH",
        &[
            (1, "A1"),
            (11, "^^^20260102030405+0000^20260102040405+0000"),
        ],
    ),
    ("RXA", &[(3, "20260102"), (5, "107^Vaccine^CVX")]),
    ("RXO", &[(1, "DRUG1^Drug")]),
    ("RXE", &[(2, "DRUG1^Drug")]),
    ("MRG", &[(1, "PATIENT2^^^AUTH&1.2.3.4.5&ISO^MR")]),
    ("AIS", &[(3, "SERVICE1^Service")]),
    ("AIG", &[(3, "THING1^Thing")]),
    ("AIL", &[(3, "WARD")]),
    ("AIP", &[(3, "P1^POE^PAUL")]),
    ("RGS", &[(1, "1")]),
    ("SFT", &[(3, "Software")]),
    ("NTE", &[(3, "note")]),
];

impl Draft {
    pub fn new(context: &Context) -> Self {
        let mut draft = Self {
            order: context.order.split(' ').collect(),
            segments: BTreeMap::new(),
        };
        for segment in context.there.split(' ') {
            draft.add(segment);
        }
        let event = context.event.replace('^', "|");
        let (kind, trigger) = event.split_once('|').unwrap();
        draft.set(
            &Place::parse("MSH-9").unwrap(),
            &format!("{kind}^{trigger}"),
        );
        draft
    }

    /// A segment, with what it has at least.
    pub fn add(&mut self, segment: &str) {
        if self.segments.contains_key(segment) {
            return;
        }
        let base = BASE.iter().find(|row| row.0 == segment);
        let fields = base.map_or(&[][..], |row| row.1);
        let fields = fields
            .iter()
            .map(|(n, text)| (*n, vec![(*text).to_owned()]));
        self.segments.insert(segment.to_owned(), fields.collect());
    }

    pub fn drop_segment(&mut self, segment: &str) {
        self.segments.remove(segment);
    }

    /// The first repetition's text.
    pub fn get(&self, place: &Place) -> String {
        let Some(fields) = self.segments.get(&place.segment) else {
            return String::new();
        };
        if place.field == 0 {
            return place.segment.clone();
        }
        let first = fields.get(&place.field).and_then(|all| all.first());
        let first = first.cloned().unwrap_or_default();
        match place.component {
            0 => first,
            number => first
                .split('^')
                .nth(number - 1)
                .unwrap_or_default()
                .to_owned(),
        }
    }

    /// What a comparison reads: the first component.
    pub fn code(&self, place: &Place) -> String {
        let text = self.get(place);
        text.split(['^', '&']).next().unwrap_or_default().to_owned()
    }

    pub fn valued(&self, place: &Place) -> bool {
        self.get(place).chars().any(|c| !"^&~".contains(c))
    }

    pub fn count(&self, place: &Place) -> usize {
        let fields = self.segments.get(&place.segment);
        let all = fields.and_then(|fields| fields.get(&place.field));
        all.map_or(0, |all| all.iter().filter(|one| !one.is_empty()).count())
    }

    pub fn set(&mut self, place: &Place, text: &str) {
        self.add(&place.segment);
        if place.field == 0 {
            return;
        }
        let fields = self.segments.get_mut(&place.segment).unwrap();
        let all = fields.entry(place.field).or_default();
        if all.is_empty() {
            all.push(String::new());
        }
        match place.component {
            0 => text.clone_into(&mut all[0]),
            number => {
                let mut parts: Vec<String> = all[0].split('^').map(str::to_owned).collect();
                parts.resize(parts.len().max(number), String::new());
                text.clone_into(&mut parts[number - 1]);
                all[0] = parts.join("^");
            }
        }
    }

    /// Sets the repetitions.
    pub fn repeat(&mut self, place: &Place, texts: &[&str]) {
        self.add(&place.segment);
        let fields = self.segments.get_mut(&place.segment).unwrap();
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        fields.insert(place.field, texts);
    }

    pub fn clear(&mut self, place: &Place) {
        match (place.field, place.component) {
            (0, _) if place.segment == "MSH" => {}
            (0, _) => self.drop_segment(&place.segment),
            (field, 0) => {
                if let Some(fields) = self.segments.get_mut(&place.segment) {
                    fields.remove(&field);
                }
            }
            _ => self.set(place, ""),
        }
    }

    /// Whether the order has this segment.
    pub fn takes(&self, segment: &str) -> bool {
        self.order.contains(&segment)
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for segment in &self.order {
            let Some(fields) = self.segments.get(*segment) else {
                continue;
            };
            let first = match *segment {
                "MSH" => {
                    text.push_str("MSH|^~\\&");
                    3
                }
                _ => {
                    text.push_str(segment);
                    1
                }
            };
            let last = fields.keys().max().copied().unwrap_or(0);
            for number in first..=last {
                let all = fields.get(&number).cloned().unwrap_or_default();
                text.push('|');
                text.push_str(&all.join("~"));
            }
            text.push('\r');
        }
        text
    }
}
