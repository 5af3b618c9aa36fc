//! Every value that a metric label or a log field of a fixed set can take.
//!
//! They are enums, and they live here rather than with the code that detects them, so that nothing that came
//! off a wire can become a label: a label is one of these, or a name from the configuration.

/// A fixed set of label values.
pub trait Label: Copy + 'static {
    /// All values, in the order of their [`index`](Label::index).
    const ALL: &'static [Self];
    /// As it appears in metrics and logs: `snake_case`.
    fn label(self) -> &'static str;
    /// Its place in [`ALL`](Label::ALL).
    fn index(self) -> usize;
}

macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn label(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

labels! {
    /// What a peer did that the standard does not say, and the bridge put up with or refused.
    Deviation {
        /// Bytes outside a block.
        JunkBeforeStart = "junk_before_start",
        /// `FS` and then `LF`.
        EndLf = "end_lf",
        /// `FS CR LF`.
        EndCrLf = "end_cr_lf",
        /// `FS` with no CR before the next block, an idle spell or the end of the connection.
        EndWithoutCr = "end_without_cr",
        /// `VT VT`.
        DoubledStart = "doubled_start",
        /// `FS CR FS CR`.
        DoubledEnd = "doubled_end",
        /// `VT` in the middle of a block: the sender began anew, and the part before it was dropped.
        Restarted = "restarted",
        /// The connection ended inside a block.
        Truncated = "truncated",
        /// A block over `max_message_bytes`.
        Oversized = "oversized",
        /// Segments end in LF.
        LfTerminator = "lf_terminator",
        /// Segments end in CR LF.
        CrLfTerminator = "cr_lf_terminator",
        /// White space, a byte order mark or an empty line before `MSH`.
        LeadingBytes = "leading_bytes",
        /// MSH-2 has fewer than four characters.
        ShortMsh2 = "short_msh2",
        /// MSH-15 or MSH-16 ask for enhanced mode, and `ack.mode: original` answers as if they did not.
        EnhancedMode = "enhanced_mode",
        /// Only one of MSH-15 and MSH-16 is set: the other reads as NE.
        HalfEnhanced = "half_enhanced",
        /// MSH-15 or MSH-16 is not in table 0155, and counts as absent.
        AckCondition = "ack_condition",
        /// An accept acknowledgement (CA, CE, CR) came in. It is never answered, and is no message for the app.
        AcceptAck = "accept_ack",
        /// MSH-18 says one thing and the bytes another.
        CharsetMismatch = "charset_mismatch",
        /// MSH-18 names a character set by something that table 0211 does not hold.
        CharsetAlias = "charset_alias",
        /// An answer was refused by its receiver (MLLP Release 2, HLLP).
        AnswerRefused = "answer_refused",
        /// An answer was not committed in `framing.commit_timeout` (MLLP Release 2).
        CommitTimeout = "commit_timeout",
        /// A commit block or a refusal that belongs to nothing (MLLP Release 2, HLLP).
        UnaskedCommit = "unasked_commit",
        /// A message came again before its sender could have seen the commit block (MLLP Release 2).
        Resent = "resent",
    }
}

labels! {
    /// Why a value of a message is in no resource of the FHIR bundle that was made of it.
    Unused {
        /// No row of a map reads it.
        Unread = "unread",
        /// No date, or a day that does not exist.
        Date = "date",
        /// A date where a time is needed.
        NoTime = "no_time",
        /// No number, or one that is out of range.
        Number = "number",
        /// Blanks where a code has none.
        Code = "code",
        /// No URI.
        Uri = "uri",
        /// Not in the encoding that it names.
        Encoding = "encoding",
        /// Not in the vocabulary of an element that allows no other.
        Vocabulary = "vocabulary",
        /// Not a code of the code system that it names.
        Table = "table",
        /// The end of a period that is not surely after its start.
        Period = "period",
        /// FHIR has room for one value, and another was there first.
        Taken = "taken",
        /// A part that FHIR needs beside it is missing.
        Incomplete = "incomplete",
        /// Of what is there the message changes other elements (a status), and nothing else.
        Unchanged = "unchanged",
    }
}

labels! {
    /// Why a message was answered without asking the app, or not answered at all.
    Refusal {
        /// Larger than `max_message_bytes`.
        TooLarge = "too_large",
        /// Does not begin with MSH, and holds no control ID that could be answered.
        NotHl7 = "not_hl7",
        /// MSH-2 cannot separate anything.
        BadDelimiters = "bad_delimiters",
        /// MSH-10 is empty.
        NoControlId = "no_control_id",
        /// MSH-10 holds bytes that cannot be sent back in a block.
        BadControlId = "bad_control_id",
        /// FHS/BHS, or several MSH in one block.
        Batch = "batch",
        /// BTS-1 is not the number of messages.
        MessageCount = "message_count",
        /// FTS-1 is not the number of batches.
        BatchCount = "batch_count",
        /// MSH-18 names a character set that is not carried.
        Charset = "charset",
        /// MSH-13 is not the number that is expected.
        Sequence = "sequence",
        /// MSH-13 is no sequence number, or starts a link in a message that has content.
        BadSequence = "bad_sequence",
        /// Format `fhir` has no map for messages of this type.
        NoMap = "no_map",
        /// Format `fhir`: it does not identify what it is about.
        Unidentified = "unidentified",
        /// Format `fhir`: a segment belongs to no patient.
        NoPatient = "no_patient",
        /// Format `fhir`: it has a second PID, where one is all that there can be.
        SeveralPatients = "several_patients",
        /// Format `fhir`: two things that it tells apart have one identifier.
        OneIdentity = "one_identity",
        /// Format `fhir`: a map says that it could not be stored without harm.
        MapRule = "map_rule",
        /// XML that is not HL7's, not well-formed, or holds what is not read (a DTD, entities).
        Xml = "xml",
        /// A block that is not in HLLP's form.
        BadBlock = "bad_block",
        /// A block whose count is wrong (HLLP).
        BadCount = "bad_count",
        /// A block whose checksum is wrong (HLLP).
        BadChecksum = "bad_checksum",
        /// In UTF-16 or UTF-32, which MLLP Release 2 forbids.
        Wide = "wide",
    }
}

labels! {
    /// Why a connection ended.
    Closed {
        /// The peer closed it between blocks.
        Peer = "peer",
        /// It ended without one byte: a probe of a load balancer or a kubelet.
        Probe = "probe",
        /// No byte for `idle_timeout`.
        Idle = "idle_timeout",
        /// A block took longer than `frame_timeout`.
        FrameTimeout = "frame_timeout",
        /// The peer did not take its ACK in `write_timeout`.
        WriteTimeout = "write_timeout",
        /// The connection broke.
        Error = "error",
        /// HTTP on an MLLP port.
        LooksLikeHttp = "looks_like_http",
        /// TLS on a port without TLS.
        LooksLikeTls = "looks_like_tls",
        /// A PROXY protocol header that no one asked for.
        LooksLikeProxy = "looks_like_proxy",
        /// Nothing like MLLP in the first 64 KiB.
        NotMllp = "not_mllp",
        /// A block that is not HL7 and cannot be answered.
        NotHl7 = "not_hl7",
        /// The peer did not take an answer, however often it was sent (MLLP Release 2, HLLP).
        NotCommitted = "not_committed",
        /// `ack.unavailable: close`.
        Unavailable = "unavailable",
        /// A document that has no acknowledgement (CDA) was not taken.
        Unanswerable = "unanswerable",
        /// The bridge is draining.
        Drain = "drain",
        /// The drain's deadline passed.
        Forced = "forced",
    }
}

labels! {
    /// How one exchange with the app ended.
    Outcome {
        /// The app took the message.
        Accepted = "accepted",
        /// The app, or the bridge for it, refused it.
        Rejected = "rejected",
        /// Nobody answered for it in time.
        Unavailable = "unavailable",
        /// It had come before, and was answered as it was then.
        Duplicate = "duplicate",
        /// It was about sequence numbers, MSH-13 0 or -1, and no message for the app.
        Link = "link",
        /// It answered a message that was sent to a destination: whoever sent that has it, and the app was not asked.
        Answer = "answer",
        /// The exchange ended without a result; never expected.
        Failed = "failed",
    }
}

labels! {
    /// MSA-1.
    AckLabel {
        /// AA.
        Aa = "AA",
        /// AE.
        Ae = "AE",
        /// AR.
        Ar = "AR",
        /// CA.
        Ca = "CA",
        /// CE.
        Ce = "CE",
        /// CR.
        Cr = "CR",
        /// None: MSH-15 and MSH-16 want no answer to such an outcome.
        Unwanted = "unwanted",
        /// None: MSH-16 wants one, and by `ack.application`, or because the app acknowledges by itself, it is not sent here.
        Suppressed = "suppressed",
        /// A block with the acknowledgements of a batch's messages, which are counted beside it.
        Batch = "batch",
        /// None: the message was not committed (MLLP Release 2), and its sender will send it again.
        Nak = "NAK",
    }
}

labels! {
    /// Why one attempt to deliver did not settle a message.
    Attempt {
        /// The name of the app's host did not resolve.
        Dns = "dns",
        /// Nobody listens at the app's address.
        Refused = "refused",
        /// No connection in `connect_timeout`.
        ConnectTimeout = "connect_timeout",
        /// The connection broke before the answer was whole.
        Reset = "reset",
        /// No answer in `deliver.timeout`.
        Timeout = "timeout",
        /// The answer is not HTTP.
        Garbage = "garbage",
        /// A status that the table counts as unavailable.
        Status = "status",
        /// TLS failed.
        Tls = "tls",
        /// There is no token to show to the app.
        Token = "token",
    }
}

labels! {
    /// What became of a message on its way out.
    Sent {
        /// AA or CA; or nothing was to come, and nothing came.
        Accepted = "accepted",
        /// AE or CE.
        Error = "error",
        /// AR or CR.
        Rejected = "rejected",
        /// No whole answer in time.
        NoAnswer = "no_answer",
        /// The connection ended after the message may have arrived.
        ConnectionLost = "connection_lost",
        /// What came is not this message's acknowledgement.
        BadAnswer = "bad_answer",
        /// The server refused the block (NAK), or did not commit it.
        RefusedByProtocol = "refused_by_protocol",
        /// No connection could be made.
        Unreachable = "unreachable",
        /// It waited for a connection longer than `queue.timeout`.
        QueueTimeout = "queue_timeout",
        /// More than `queue.length` were waiting.
        QueueFull = "queue_full",
        /// It cannot be put into a block, or filled in.
        Unframable = "unframable",
        /// Its control ID is awaited already, on the listener where answers come back.
        ControlIdInUse = "control_id_in_use",
        /// Its key could not be stored.
        StateUnavailable = "state_unavailable",
        /// The exchange ended without a result; never expected.
        Failed = "failed",
    }
}

labels! {
    /// Results of an attempt to connect to a destination.
    Connect {
        /// There is a connection.
        Connected = "connected",
        /// The name did not resolve.
        Dns = "dns",
        /// Nobody takes connections there, or a network in between refuses them.
        Refused = "refused",
        /// No connection in `connect.timeout`.
        Timeout = "timeout",
        /// TLS failed.
        Tls = "tls",
    }
}

labels! {
    /// Why a connection to a destination ended.
    LinkClosed {
        /// The server closed it, or it broke, while nothing was under way.
        Peer = "peer",
        /// Bytes came that answer nothing.
        Unsolicited = "unsolicited",
        /// Nothing was sent on it for `connect.idle_timeout`.
        Idle = "idle_timeout",
        /// It was closed because of what became of a message.
        Exchange = "exchange",
        /// Its settings have changed.
        Reload = "reload",
    }
}

labels! {
    /// Why a request to send reached no destination.
    Unsent {
        /// No destination has this name.
        UnknownDestination = "unknown_destination",
        /// The path or the method is none of the API's.
        NoSuchResource = "no_such_resource",
        /// The body is not an HL7 message.
        NotHl7 = "not_hl7",
        /// The body is not an envelope.
        BadEnvelope = "bad_envelope",
        /// The body is larger than is taken.
        TooLarge = "too_large",
        /// The body's media type is none that is taken.
        UnsupportedMediaType = "unsupported_media_type",
        /// No form of the answer is accepted.
        NotAcceptable = "not_acceptable",
        /// `Idempotency-Key` is not a key, or none are kept.
        BadIdempotencyKey = "bad_idempotency_key",
        /// The key was another request's.
        KeyReused = "idempotency_key_reused",
        /// What became of the key's message is not known.
        OutcomeUnknown = "outcome_unknown",
        /// Host is a name that is not this machine's.
        ForeignHost = "foreign_host",
        /// The body did not come whole.
        BodyBroken = "body_broken",
        /// The bridge is draining.
        Draining = "draining",
    }
}

labels! {
    /// Results of a configuration reload.
    Reload {
        /// The new settings are in force.
        Applied = "applied",
        /// The file has errors; the old settings stay.
        Failed = "failed",
        /// Some of the change needs a restart; the rest is in force.
        Partial = "needs_restart",
    }
}

labels! {
    /// What came of a request to the injector.
    ReviewResult {
        /// The pod gets its sidecar.
        Patched = "patched",
        /// The pod stays as it is.
        Skipped = "skipped",
        /// The pod is refused, with every reason.
        Denied = "denied",
        /// Not a review that can be answered: HTTP 4xx.
        Invalid = "invalid",
        /// Too busy or too late: HTTP 5xx.
        Error = "error",
    }
}

labels! {
    /// What the injector made anew.
    Renewed {
        /// A CA began to sign.
        Ca = "ca",
        /// This replica began to serve another certificate.
        Leaf = "leaf",
    }
}

labels! {
    /// A certificate whose expiry is told.
    Which {
        /// The CA that signs.
        Ca = "ca",
        /// What this replica serves.
        Leaf = "leaf",
        /// The live configuration's bundle: its last CA to expire.
        Bundle = "bundle",
    }
}

labels! {
    /// What stands in the way of keeping certificates in order.
    CertificateFault {
        /// Mounted files that are no certificate with its key.
        Files = "files",
        /// The Kubernetes API refused, or was away.
        Api = "api",
        /// Another replica wrote first; its work is used.
        Conflict = "conflict",
        /// The CA's Secret held something that cannot be used.
        Secret = "secret",
        /// A certificate could not be made.
        Make = "make",
    }
}
