//! Good resources, which all three validators take, and broken ones: the table of who sees what.

use Seen::{Nothing, Refused, Warned};

/// What a validator says of a broken resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Not even a warning.
    Nothing,
    /// It is valid, with a warning at this place.
    Warned(&'static str),
    /// It is not valid, because of what is at this place.
    Refused(&'static str),
}

pub(crate) struct Broken {
    pub(crate) what: &'static str,
    /// JSON.
    pub(crate) resource: &'static str,
    /// By `Validator::ALL`: @medplum/core, npm's fhir, HL7's own.
    pub(crate) seen: [Seen; 3],
    /// The server's answer.
    pub(crate) status: u16,
}

/// What shows more of the validators than that they take it: a type with its reason, a precision, a line separator in a string.
pub(crate) const GOOD: [(&str, &str); 7] = [
    (
        "a patient, with a line separator in its name and a birth date without a day",
        r#"{"resourceType":"Patient","identifier":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"http://hospital.example.org/mrn","value":"4711"}],"name":[{"use":"official","family":"Müller\u2028x","given":["Anna"]}],"gender":"female","birthDate":"1970-01","address":[{"line":["Teststraße 1"],"city":"Berlin","country":"DE"}]}"#,
    ),
    (
        "a value that is absent, with the reason",
        r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"dataAbsentReason":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"unknown"}]}}"#,
    ),
    (
        "a reason where a Coding is required",
        r#"{"resourceType":"Encounter","status":"unknown","class":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}}"#,
    ),
    (
        "a transaction",
        r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9","resource":{"resourceType":"Patient","identifier":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"http://hospital.example.org/mrn","value":"4711"}],"name":[{"use":"official","family":"Müller","given":["Anna"]}],"gender":"female","birthDate":"1970-01","address":[{"line":["Teststraße 1"],"city":"Berlin","country":"DE"}]},"request":{"method":"PUT","url":"Patient?identifier=http://hospital.example.org/mrn|4711"}},{"fullUrl":"urn:uuid:8b0f7a80-12b2-4d4d-9d1e-0d7c3a1f4a11","resource":{"resourceType":"Encounter","identifier":[{"system":"http://hospital.example.org/visit","value":"V1"}],"status":"in-progress","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"IMP"},"subject":{"reference":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9"},"period":{"start":"2026-11-22T10:15:00+01:00"}},"request":{"method":"POST","url":"Encounter","ifNoneExist":"identifier=http://hospital.example.org/visit|V1"}},{"fullUrl":"urn:uuid:3f1b2c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d","resource":{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"subject":{"reference":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9"},"effectiveDateTime":"2026-11-22","valueQuantity":{"value":13.5,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"},"encounter":{"reference":"urn:uuid:8b0f7a80-12b2-4d4d-9d1e-0d7c3a1f4a11"}},"request":{"method":"POST","url":"Observation"}}]}"#,
    ),
    (
        "a message",
        r#"{"resourceType":"Bundle","type":"message","timestamp":"2026-11-22T10:15:00+01:00","entry":[{"fullUrl":"urn:uuid:11111111-2222-4333-8444-555555555555","resource":{"resourceType":"MessageHeader","eventCoding":{"system":"http://terminology.hl7.org/CodeSystem/v2-0003","code":"A01"},"source":{"name":"ADT1","endpoint":"urn:oid:2.16.840.1.113883.3.72"},"focus":[{"reference":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9"}]}},{"fullUrl":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9","resource":{"resourceType":"Patient","identifier":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"http://hospital.example.org/mrn","value":"4711"}],"name":[{"use":"official","family":"Müller","given":["Anna"]}],"gender":"female","birthDate":"1970-01","address":[{"line":["Teststraße 1"],"city":"Berlin","country":"DE"}]}}]}"#,
    ),
    (
        "a report in a collection",
        r#"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9","resource":{"resourceType":"Patient","identifier":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"http://hospital.example.org/mrn","value":"4711"}],"name":[{"use":"official","family":"Müller","given":["Anna"]}],"gender":"female","birthDate":"1970-01","address":[{"line":["Teststraße 1"],"city":"Berlin","country":"DE"}]}},{"fullUrl":"urn:uuid:3f1b2c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d","resource":{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"subject":{"reference":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9"},"effectiveDateTime":"2026-11-22","valueQuantity":{"value":13.5,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"}}},{"fullUrl":"urn:uuid:f0a1b2c3-d4e5-4f60-8a7b-9c8d7e6f5a4b","resource":{"resourceType":"DiagnosticReport","status":"final","code":{"text":"Blutbild"},"subject":{"reference":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9"},"issued":"2026-11-22T10:15:00.000+01:00","result":[{"reference":"urn:uuid:3f1b2c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d"}]}}]}"#,
    ),
    (
        "a conditional reference, escaped",
        r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9","resource":{"resourceType":"Observation","status":"final","code":{"text":"c"},"subject":{"reference":"Patient?identifier=http%3A%2F%2Fhospital.example.org%2Fmrn%7C4711"}},"request":{"method":"POST","url":"Observation"}}]}"#,
    ),
];

/// What is not FHIR, or not what R4 lets be.
pub(crate) const BROKEN: [Broken; 39] = [
    Broken {
        what: "a date that is none",
        resource: r#"{"resourceType":"Patient","birthDate":"1970-13-02"}"#,
        seen: [
            Refused("Patient.birthDate"),
            Nothing,
            Refused("Patient.birthDate"),
        ],
        status: 422,
    },
    Broken {
        what: "a date written as HL7 v2 does",
        resource: r#"{"resourceType":"Patient","birthDate":"19700102"}"#,
        seen: [
            Refused("Patient.birthDate"),
            Nothing,
            Refused("Patient.birthDate"),
        ],
        status: 422,
    },
    Broken {
        what: "a time without its zone",
        resource: r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"effectiveDateTime":"2026-11-22T10:15:00"}"#,
        seen: [
            Nothing,
            Nothing,
            Refused("Observation.effective.ofType(dateTime)"),
        ],
        status: 422,
    },
    Broken {
        what: "an instant without seconds",
        resource: r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"issued":"2026-11-22T10:15Z"}"#,
        seen: [
            Refused("Observation.issued"),
            Nothing,
            Refused("Observation.issued"),
        ],
        status: 422,
    },
    Broken {
        what: "a code that is not in a required binding",
        resource: r#"{"resourceType":"Patient","gender":"F"}"#,
        seen: [
            Nothing,
            Refused("Patient.gender"),
            Refused("Patient.gender"),
        ],
        status: 422,
    },
    Broken {
        what: "a code that its system does not have",
        resource: r#"{"resourceType":"Patient","identifier":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"ZZZZ"}]},"value":"4711"}]}"#,
        seen: [
            Nothing,
            Warned("Patient.identifier[0].type"),
            Refused("Patient.identifier[0].type"),
        ],
        status: 422,
    },
    Broken {
        what: "a missing element that is required",
        resource: r#"{"resourceType":"Observation","status":"final"}"#,
        seen: [
            Refused("Observation.code"),
            Refused("Observation.code"),
            Refused("Observation"),
        ],
        status: 422,
    },
    Broken {
        what: "the reason why it is absent, where a code is required",
        resource: r#"{"resourceType":"Observation","_status":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]},"code":{"text":"c"}}"#,
        seen: [
            Nothing,
            Refused("Observation.status"),
            Refused("Observation.status"),
        ],
        status: 422,
    },
    Broken {
        what: "an element that R4 does not have",
        resource: r#"{"resourceType":"Patient","race":"x"}"#,
        seen: [
            Refused("Patient.race"),
            Refused("Patient.race"),
            Refused("Patient"),
        ],
        status: 422,
    },
    Broken {
        what: "two values of one choice",
        resource: r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"valueString":"x","valueInteger":1}"#,
        seen: [Warned("valueInteger"), Nothing, Refused("Observation")],
        status: 422,
    },
    Broken {
        what: "an object where a list must be",
        resource: r#"{"resourceType":"Patient","name":{"family":"f"}}"#,
        seen: [
            Refused("Patient.name"),
            Refused("Patient.name"),
            Refused("Patient.name"),
        ],
        status: 422,
    },
    Broken {
        what: "a list where an object must be",
        resource: r#"{"resourceType":"Observation","status":"final","code":[{"text":"c"}]}"#,
        seen: [
            Refused("Observation.code"),
            Refused("Observation.code.0"),
            Refused("Observation.code"),
        ],
        status: 422,
    },
    Broken {
        what: "a string where a boolean must be",
        resource: r#"{"resourceType":"Patient","active":"true"}"#,
        seen: [
            Refused("Patient.active"),
            Refused("Patient.active"),
            Refused("Patient.active"),
        ],
        status: 422,
    },
    Broken {
        what: "a string where a decimal must be",
        resource: r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"valueQuantity":{"value":"1.5"}}"#,
        seen: [
            Refused("Observation.value[x].value"),
            Refused("Observation.valueQuantity.value"),
            Refused("Observation.value[x].value"),
        ],
        status: 422,
    },
    Broken {
        what: "a null",
        resource: r#"{"resourceType":"Patient","gender":null}"#,
        seen: [
            Refused("Patient.gender"),
            Refused("Patient.gender"),
            Refused("Patient.gender"),
        ],
        status: 422,
    },
    Broken {
        what: "an empty list",
        resource: r#"{"resourceType":"Patient","name":[]}"#,
        seen: [Nothing, Nothing, Refused("Patient.name")],
        status: 422,
    },
    Broken {
        what: "an empty object",
        resource: r#"{"resourceType":"Patient","name":[{}]}"#,
        seen: [
            Refused("Patient.name[0]"),
            Nothing,
            Refused("Patient.name[0]"),
        ],
        status: 422,
    },
    Broken {
        what: "an empty string",
        resource: r#"{"resourceType":"Patient","name":[{"family":""}]}"#,
        seen: [Nothing, Nothing, Refused("Patient.name[0].family")],
        status: 422,
    },
    Broken {
        what: "a string of blanks",
        resource: r#"{"resourceType":"Patient","name":[{"family":"  "}]}"#,
        seen: [
            Refused("Patient.name[0].family"),
            Nothing,
            Warned("Patient.name[0].family"),
        ],
        status: 201,
    },
    Broken {
        what: "a code with a blank in it that binds to nothing",
        resource: r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://hospital.example.org/codes","code":"a  b"}]}}"#,
        seen: [
            Refused("Observation.code.coding[0].code"),
            Warned("Observation.code"),
            Refused("Observation.code.coding[0].code"),
        ],
        status: 422,
    },
    Broken {
        what: "a reference that is no reference",
        resource: r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"subject":{"reference":"no reference"}}"#,
        seen: [
            Warned("Observation.subject"),
            Nothing,
            Refused("Observation.subject"),
        ],
        status: 422,
    },
    Broken {
        what: "a reference to what it cannot be",
        resource: r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"subject":{"reference":"Practitioner/1"}}"#,
        seen: [
            Warned("Observation.subject"),
            Refused("Observation.subject"),
            Nothing,
        ],
        status: 422,
    },
    Broken {
        what: "an OID that is too short",
        resource: r#"{"resourceType":"Patient","identifier":[{"system":"urn:oid:1.2.3","value":"4711"}]}"#,
        seen: [Nothing, Nothing, Refused("Patient.identifier[0].system")],
        status: 422,
    },
    Broken {
        what: "a URI with a blank",
        resource: r#"{"resourceType":"Patient","identifier":[{"system":"http://hospital.example.org/a b","value":"4711"}]}"#,
        seen: [
            Refused("Patient.identifier[0].system"),
            Nothing,
            Refused("Patient.identifier[0].system"),
        ],
        status: 422,
    },
    Broken {
        what: "a unit that UCUM does not have",
        resource: r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"valueQuantity":{"value":1.5,"system":"http://unitsofmeasure.org","code":"bogus"}}"#,
        seen: [
            Nothing,
            Nothing,
            Refused("Observation.value.ofType(Quantity)"),
        ],
        status: 422,
    },
    Broken {
        what: "a profile that nobody knows",
        resource: r#"{"resourceType":"Patient","meta":{"profile":["http://hospital.example.org/StructureDefinition/none"]},"name":[{"family":"f"}]}"#,
        seen: [Nothing, Nothing, Refused("Patient.meta.profile[0]")],
        status: 422,
    },
    Broken {
        what: "an extension with neither a value nor extensions",
        resource: r#"{"resourceType":"Patient","extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthPlace"}]}"#,
        seen: [
            Refused("Patient.extension[0]"),
            Nothing,
            Refused("Patient.extension[0]"),
        ],
        status: 422,
    },
    Broken {
        what: "an invariant that does not hold (obs-6)",
        resource: r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"valueString":"x","dataAbsentReason":{"text":"x"}}"#,
        seen: [Refused("Observation"), Nothing, Refused("Observation")],
        status: 422,
    },
    Broken {
        what: "a narrative that is no XHTML",
        resource: r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div>x"},"name":[{"family":"f"}]}"#,
        seen: [Nothing, Nothing, Refused("Patient.text.div")],
        status: 422,
    },
    Broken {
        what: "an id with a letter that it must not have",
        resource: r#"{"resourceType":"Patient","id":"a_b","name":[{"family":"f"}]}"#,
        seen: [Nothing, Nothing, Refused("Patient.id")],
        status: 422,
    },
    Broken {
        what: "a type that R4 does not have",
        resource: r#"{"resourceType":"Person2"}"#,
        seen: [Refused(""), Refused(""), Refused("Person2")],
        status: 404,
    },
    Broken {
        what: "a transaction's entry without a request",
        resource: r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9","resource":{"resourceType":"Patient","name":[{"family":"f"}]}}]}"#,
        seen: [Refused("Bundle"), Nothing, Refused("Bundle")],
        status: 422,
    },
    Broken {
        what: "two entries with one fullUrl",
        resource: r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9","resource":{"resourceType":"Patient","name":[{"family":"f"}]},"request":{"method":"POST","url":"Patient"}},{"fullUrl":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9","resource":{"resourceType":"Patient","name":[{"family":"g"}]},"request":{"method":"POST","url":"Patient"}}]}"#,
        seen: [Refused("Bundle"), Nothing, Refused("Bundle")],
        status: 422,
    },
    Broken {
        what: "a urn:uuid that no entry has",
        resource: r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9","resource":{"resourceType":"Observation","status":"final","code":{"text":"c"},"subject":{"reference":"urn:uuid:8b0f7a80-12b2-4d4d-9d1e-0d7c3a1f4a11"}},"request":{"method":"POST","url":"Observation"}}]}"#,
        seen: [
            Warned("Bundle.entry[0].resource.subject"),
            Nothing,
            Warned("Bundle.entry[0].resource.subject"),
        ],
        status: 400,
    },
    Broken {
        what: "a relative reference from an entry without fullUrl",
        resource: r#"{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Observation","status":"final","code":{"text":"c"},"subject":{"reference":"Patient/4711"}},"request":{"method":"POST","url":"Observation"}}]}"#,
        seen: [Nothing, Nothing, Refused("Bundle.entry[0]")],
        status: 422,
    },
    Broken {
        what: "a fullUrl that is not absolute",
        resource: r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"Patient/4711","resource":{"resourceType":"Patient","name":[{"family":"f"}]},"request":{"method":"POST","url":"Patient"}}]}"#,
        seen: [Nothing, Nothing, Refused("Bundle.entry[0]")],
        status: 422,
    },
    Broken {
        what: "an unknown code within a bundle",
        resource: r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9","resource":{"resourceType":"Patient","gender":"F"},"request":{"method":"POST","url":"Patient"}}]}"#,
        seen: [
            Nothing,
            Refused("Patient.gender"),
            Refused("Bundle.entry[0].resource.gender"),
        ],
        status: 422,
    },
    Broken {
        what: "a conditional reference that is not escaped",
        resource: r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9","resource":{"resourceType":"Observation","status":"final","code":{"text":"c"},"subject":{"reference":"Patient?identifier=http://hospital.example.org/mrn|4711"}},"request":{"method":"POST","url":"Observation"}}]}"#,
        seen: [Nothing, Refused("Observation.subject"), Nothing],
        status: 404,
    },
    Broken {
        what: "the same, and its system is a host alone",
        resource: r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9","resource":{"resourceType":"Observation","status":"final","code":{"text":"c"},"subject":{"reference":"Patient?identifier=http://hospital.example.org|4711"}},"request":{"method":"POST","url":"Observation"}}]}"#,
        seen: [Nothing, Refused("Observation.subject"), Refused("")],
        status: 500,
    },
];
