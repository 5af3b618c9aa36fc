//! Tells other protocols from MLLP by a connection's first bytes.
//!
//! Load balancers send PROXY headers, people point browsers and health checks at the wrong port, and senders
//! switch on TLS for one side only. Each of these is worth a name in a log instead of "junk".

/// A protocol that is not MLLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// An HTTP request line, or the HTTP/2 preface.
    Http,
    /// A TLS ClientHello record.
    Tls,
    /// A PROXY protocol header, version 1 or 2.
    Proxy,
    /// More junk than a peer that speaks MLLP would send.
    Nothing,
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniff {
    /// They could still become one of the signatures.
    Undecided,
    /// None of the signatures.
    Clear,
    /// This one.
    Foreign(Foreign),
}

const SIGNATURES: &[(&[u8], Foreign)] = &[
    (&[0x16, 0x03], Foreign::Tls),
    (b"\r\n\r\n\0\r\nQUIT\n", Foreign::Proxy),
    (b"PROXY ", Foreign::Proxy),
    (b"GET ", Foreign::Http),
    (b"POST ", Foreign::Http),
    (b"PUT ", Foreign::Http),
    (b"HEAD ", Foreign::Http),
    (b"PATCH ", Foreign::Http),
    (b"DELETE ", Foreign::Http),
    (b"OPTIONS ", Foreign::Http),
    (b"CONNECT ", Foreign::Http),
    (b"TRACE ", Foreign::Http),
    (b"PRI * HTTP/2", Foreign::Http),
];

/// Looks at the bytes from the very start of a connection.
pub fn sniff(bytes: &[u8]) -> Sniff {
    let mut undecided = bytes.is_empty();
    for (signature, foreign) in SIGNATURES {
        if bytes.starts_with(signature) {
            return Sniff::Foreign(*foreign);
        }
        undecided |= signature.starts_with(bytes);
    }
    if undecided {
        Sniff::Undecided
    } else {
        Sniff::Clear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_is_undecided_until_its_last_byte() {
        for (signature, foreign) in SIGNATURES {
            for cut in 0..signature.len() {
                assert_eq!(
                    sniff(&signature[..cut]),
                    Sniff::Undecided,
                    "{cut} bytes of {signature:?}"
                );
            }
            assert_eq!(sniff(signature), Sniff::Foreign(*foreign));
        }
        assert_eq!(sniff(b"\x0bMSH"), Sniff::Clear);
        assert_eq!(sniff(b"\r\n\x0bMSH"), Sniff::Clear);
    }
}
