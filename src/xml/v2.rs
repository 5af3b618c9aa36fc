//! v2.xml: MSH as elements.

use super::node::Node;

/// MSH-*n*.
pub(super) fn field(root: &Node, number: usize) -> Option<&Node> {
    root.child("MSH")?.child(&format!("MSH.{number}"))
}

/// A component of MSH-*n*, both from 1; empty where there is none.
pub(super) fn component(root: &Node, field: usize, component: usize) -> &str {
    self::field(root, field).map_or("", |node| node.component(component))
}

/// Whether it is an accept acknowledgement: `ACK` or `MCF` in MSH.9, and CA, CE or CR in MSA.1.
pub(super) fn is_accept_ack(root: &Node) -> bool {
    let code = root.at(&["MSA", "MSA.1"]).map_or("", |code| &code.text);
    matches!(component(root, 9, 1), "ACK" | "MCF") && matches!(code, "CA" | "CE" | "CR")
}
