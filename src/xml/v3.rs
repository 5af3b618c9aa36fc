//! v3: the transmission wrapper (`MCCI_MT000100UV01`).

use super::node::Node;
use crate::hl7::mode::Condition;

/// `root`, `extension`, or both with a `^` between them.
pub(super) fn id(node: &Node) -> String {
    match [node.attribute("root"), node.attribute("extension")] {
        [root, ""] => root.to_owned(),
        ["", extension] => extension.to_owned(),
        [root, extension] => format!("{root}^{extension}"),
    }
}

/// The IDs of the sending device, and of its organisation.
pub(super) fn sender(root: &Node) -> [String; 2] {
    let device = root.at(&["sender", "device"]);
    let own = device.and_then(|device| device.child("id"));
    let organisation = device.and_then(|device| organisation(device)?.child("id"));
    [own, organisation].map(|node| node.map_or(String::new(), id))
}

/// The organisation that a device acts for.
pub(super) fn organisation(device: &Node) -> Option<&Node> {
    let agent = device.at(&["asAgent", "representedOrganization"]);
    agent.or_else(|| device.child("representedOrganization"))
}

/// When an accept acknowledgement is wanted. The element is mandatory; a message without it is answered, as one in v2 is.
pub(super) fn accept(root: &Node) -> Condition {
    match root.attribute_at(&["acceptAckCode"], "code").trim_ascii() {
        "NE" => Condition::Never,
        "ER" => Condition::OnError,
        _ => Condition::Always,
    }
}

/// Whether it acknowledges and says nothing else. A response to a query acknowledges too, and has a control act.
pub(super) fn is_acknowledgement(root: &Node, has_control_act: bool) -> bool {
    let acknowledges = root.child("acknowledgement").is_some();
    root.name.starts_with("MCCI_IN000002") || acknowledges && !has_control_act
}
