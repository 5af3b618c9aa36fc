//! Writes resources as JSON.

use super::tree::{Node, Object};

/// Appends `value`. `address` writes what stands for a resource of the bundle.
pub(super) fn write(
    out: &mut Vec<u8>,
    value: &Node<'_>,
    address: &mut dyn FnMut(&mut Vec<u8>, usize),
) {
    match value {
        Node::Null => out.extend_from_slice(b"null"),
        Node::Bool(true) => out.extend_from_slice(b"true"),
        Node::Bool(false) => out.extend_from_slice(b"false"),
        Node::Number(digits) => out.extend_from_slice(digits.as_bytes()),
        Node::Text(text) => write_text(out, text),
        Node::Address(number) => {
            out.push(b'"');
            address(out, *number);
            out.push(b'"');
        }
        Node::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(out, item, address);
            }
            out.push(b']');
        }
        Node::Object(members) => {
            out.push(b'{');
            write_members(out, members, address);
            out.push(b'}');
        }
    }
}

/// The members of an object without its braces.
pub(super) fn write_members(
    out: &mut Vec<u8>,
    members: &Object<'_>,
    address: &mut dyn FnMut(&mut Vec<u8>, usize),
) {
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(out, name);
        out.push(b':');
        write(out, value, address);
    }
}

/// A JSON string.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Without a way out in the middle, so that many bytes are looked at in one step.
    let plain = !bytes
        .iter()
        .fold(false, |found, byte| found | special(*byte));
    match plain {
        true => out.extend_from_slice(bytes),
        false => escape(out, bytes),
    }
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b" ",
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..at]);
        out.extend_from_slice(escape);
        start = at + 1;
    }
    out.extend_from_slice(&bytes[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::borrow::Cow;

    #[test]
    fn the_tree_is_written_and_numbers_keep_their_digits() {
        let value = json!({"a": [1, true, null, "x\"\\\n"]});
        let mut value = Node::constant(&value);
        let object = value.as_object_mut().unwrap();
        object.push("n", Node::Number(Cow::Borrowed("1.50")));
        object.push("r", Node::Address(1));
        let mut out = Vec::new();
        write(&mut out, &value, &mut |out, number| {
            out.extend(format!("urn:uuid:{number}").bytes());
        });
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a":[1,true,null,"x\"\\\n"],"n":1.50,"r":"urn:uuid:1"}"#
        );
    }
}
