//! The mapping files that are part of the program. A test says that none is missing.

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../mappings/", $name)))),*]
    };
}

/// Name and text of each file under `mappings/`.
pub const FILES: &[(&str, &str)] = files![
    "messages/ADT_A01.yaml",
    "messages/ADT_A05.yaml",
    "messages/ADT_A09.yaml",
    "messages/ADT_A17.yaml",
    "messages/ADT_A39.yaml",
    "messages/ADT_A52.yaml",
    "messages/ADT_A60.yaml",
    "messages/BAR_P01.yaml",
    "messages/DFT_P03.yaml",
    "messages/MDM_T02.yaml",
    "messages/OMG_O19.yaml",
    "messages/OML_O21.yaml",
    "messages/OML_O33.yaml",
    "messages/OMP_O09.yaml",
    "messages/ORM_O01.yaml",
    "messages/ORU_R01.yaml",
    "messages/OUL_R22.yaml",
    "messages/OUL_R24.yaml",
    "messages/PGL_PC6.yaml",
    "messages/PPR_PC1.yaml",
    "messages/RAS_O17.yaml",
    "messages/RDE_O11.yaml",
    "messages/RDS_O13.yaml",
    "messages/REF_I12.yaml",
    "messages/SIU_S12.yaml",
    "messages/VXU_V04.yaml",
    "segments/ACC.yaml",
    "segments/AL1.yaml",
    "segments/DG1.yaml",
    "segments/EVN.yaml",
    "segments/FT1.yaml",
    "segments/GOL.yaml",
    "segments/GT1.yaml",
    "segments/IN1.yaml",
    "segments/IN2.yaml",
    "segments/IN3.yaml",
    "segments/MRG-change.yaml",
    "segments/MRG.yaml",
    "segments/MSH.yaml",
    "segments/NK1.yaml",
    "segments/NTE-more.yaml",
    "segments/NTE.yaml",
    "segments/OBR.yaml",
    "segments/OBX.yaml",
    "segments/ORC-medication.yaml",
    "segments/ORC.yaml",
    "segments/PD1.yaml",
    "segments/PID-account.yaml",
    "segments/PID.yaml",
    "segments/PR1.yaml",
    "segments/PRB.yaml",
    "segments/PRT.yaml",
    "segments/PV1.yaml",
    "segments/PV2.yaml",
    "segments/RF1.yaml",
    "segments/ROL.yaml",
    "segments/RXA-medication.yaml",
    "segments/RXA.yaml",
    "segments/RXC.yaml",
    "segments/RXD.yaml",
    "segments/RXE.yaml",
    "segments/RXO.yaml",
    "segments/SAC.yaml",
    "segments/SCH.yaml",
    "segments/SPM.yaml",
    "segments/TQ1-medication.yaml",
    "segments/TQ1.yaml",
    "segments/TXA.yaml",
    "segments/patches.yaml",
    "segments/VAR.yaml",
    "datatypes/CWE.yaml",
    "datatypes/NDL.yaml",
    "datatypes/PL.yaml",
    "datatypes/PLN.yaml",
    "datatypes/PRT.yaml",
    "datatypes/ROL.yaml",
    "datatypes/identifiers.yaml",
    "datatypes/names.yaml",
    "datatypes/people.yaml",
    "datatypes/timing.yaml",
    "datatypes/values.yaml",
    "vocabularies/concepts.yaml",
    "vocabularies/orders.yaml",
    "vocabularies/systems.yaml",
    "vocabularies/v2-tables.yaml",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
        let mut there = BTreeSet::new();
        for folder in ["messages", "segments", "datatypes", "vocabularies"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = entry.unwrap().file_name();
                there.insert(format!("{folder}/{}", name.to_string_lossy()));
            }
        }
        let embedded: BTreeSet<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(embedded, there);
        assert_eq!(embedded.len(), FILES.len(), "one is named twice");
    }

    #[test]
    fn they_compile() {
        let errors = super::super::compile::compile(FILES)
            .err()
            .unwrap_or_default();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
    }
}
