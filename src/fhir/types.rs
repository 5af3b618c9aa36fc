//! What is known of FHIR R4's types without its definitions at hand.

/// Before the number of one of v2's own tables.
pub(super) const V2_TABLE: &str = "http://terminology.hl7.org/CodeSystem/v2-";

/// The resources that maps may make: those that v2 has anything for.
pub(super) const RESOURCES: &[&str] = &[
    "Account",
    "AllergyIntolerance",
    "Appointment",
    "Basic",
    "CarePlan",
    "CareTeam",
    "ChargeItem",
    "Communication",
    "Condition",
    "Consent",
    "Coverage",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "EpisodeOfCare",
    "FamilyMemberHistory",
    "Flag",
    "Goal",
    "Group",
    "HealthcareService",
    "ImagingStudy",
    "Immunization",
    "ImmunizationRecommendation",
    "Location",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationRequest",
    "MedicationStatement",
    "MessageHeader",
    "NutritionOrder",
    "Observation",
    "OperationOutcome",
    "Organization",
    "Parameters",
    "Patient",
    "Person",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RelatedPerson",
    "Schedule",
    "ServiceRequest",
    "Slot",
    "Specimen",
    "Substance",
    "Task",
    "VisionPrescription",
];

/// Whether maps may make it.
pub(super) fn is_resource(name: &str) -> bool {
    RESOURCES.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(RESOURCES.is_sorted());
        assert!(is_resource("Patient"));
        assert!(!is_resource("Patien"));
    }
}
