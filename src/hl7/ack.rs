//! The acknowledgement: MSH, MSA and ERR segments that answer one message (chapter 2, *Message acknowledgment*).
//!
//! ```text
//! MSH|^~\&|<MSH-5>|<MSH-6>|<MSH-3>|<MSH-4>|<now>||ACK^A01^ACK|<new>|<MSH-11>|<MSH-12>
//! MSA|AA|<MSH-10 verbatim>
//! ERR||PID^1^3|101^Required field missing^HL70357|E|||…|…          from 2.5
//! ERR|PID^1^3^101&Required field missing&HL70357~…                 before: one segment, whose ERR-1 repeats
//! ```
//!
//! A positive code comes only from [`Verdict::Accepted`], and [`code`] is the one place that says so.

use super::escape;
use super::header::{Delimiters, Header, parse_version};
use super::path::Path;
use crate::config::Charset;
use crate::telemetry::labels::{AckLabel, Label as _};

/// What is to be told to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The message is in the app's hands.
    Accepted,
    /// Its content is at fault, or it could not be delivered.
    Error,
    /// It is of a kind that is not taken here.
    Rejected,
}

/// Which acknowledgement it is: what MSA-1 begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The only one, in original mode.
    Original,
    /// The first of enhanced mode: whether the message is in safe hands.
    Accept,
    /// The second of enhanced mode: what the app says of it.
    Application,
}

/// MSA-1 (table 0008). Total: each verdict has one code in each kind.
pub fn code(kind: Kind, verdict: Verdict) -> AckLabel {
    match (kind, verdict) {
        (Kind::Original | Kind::Application, Verdict::Accepted) => AckLabel::Aa,
        (Kind::Original | Kind::Application, Verdict::Error) => AckLabel::Ae,
        (Kind::Original | Kind::Application, Verdict::Rejected) => AckLabel::Ar,
        (Kind::Accept, Verdict::Accepted) => AckLabel::Ca,
        (Kind::Accept, Verdict::Error) => AckLabel::Ce,
        (Kind::Accept, Verdict::Rejected) => AckLabel::Cr,
    }
}

/// One thing that is wrong: an ERR segment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// Where in the message.
    pub location: Option<Path>,
    /// Table 0357.
    pub condition: u16,
    /// What to tell a person, without a stack trace. May hold PHI if an app put it there: it goes to the peer only.
    pub text: String,
    /// The app's own code (ERR-5).
    pub app_code: String,
    /// ERR-4 from 2.5: `E`, `W`, `I`.
    pub severity: Severity,
}

impl Fault {
    /// Application error (207), in these words.
    pub fn application(text: impl Into<String>) -> Self {
        Self {
            condition: 207,
            text: text.into(),
            ..Self::default()
        }
    }

    /// What is wrong with a message whose refusal does not say it.
    pub fn unnamed() -> Self {
        Self::application("the application refused the message")
    }
}

/// Table 0516.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Severity {
    /// Error.
    #[default]
    Error,
    /// Warning.
    Warning,
    /// Information.
    Information,
}

impl std::fmt::Debug for Fault {
    /// Without the text, which an app may have filled with anything.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fault")
            .field("location", &self.location)
            .field("condition", &self.condition)
            .field("text_bytes", &self.text.len())
            .finish()
    }
}

/// Text and codes longer than these are cut: MSA-3 is 80 characters in the versions that have it, ERR-8 is 250.
pub(crate) const MSA3: usize = 80;
pub(crate) const ERR8: usize = 250;
pub(crate) const ERR5: usize = 20;
/// ERR segments in one answer.
pub(crate) const MAX_ERRORS: usize = 100;

/// Everything that an acknowledgement says. Without `Debug`: an app's words are in it.
pub struct Ack<'a> {
    /// The message that is answered.
    pub header: &'a Header<'a>,
    /// Which acknowledgement it is.
    pub kind: Kind,
    /// The answer.
    pub verdict: Verdict,
    /// What is wrong, for a verdict that is not positive. At most 100 are written.
    pub faults: &'a [Fault],
    /// MSA-3 where there is no fault to take it from.
    pub text: Option<&'a str>,
    /// MSA-4: the sequence number that is expected (see [`super::sequence`]).
    pub number: Option<i64>,
    /// MSH-7: now.
    pub time: &'a str,
    /// MSH-10: this acknowledgement's own control ID.
    pub control_id: &'a [u8],
    /// MSH-12 where the message has none.
    pub default_version: &'a str,
    /// The message's character set: the answer is in the same one. It is written in UTF-8 where the message had to become UTF-8
    /// to be read, and then the caller turns it into the set.
    pub charset: Charset,
    /// Whether MSH-18 of the message names that set, so that it can be said again.
    pub echo_charset: bool,
}

/// Whether MSH-10 can be sent back: a block character in it would break the answer's own block.
pub fn can_echo(control_id: &[u8]) -> bool {
    !control_id.iter().any(u8::is_ascii_control)
}

/// Appends the header of an answer to a batch or a file, with the CR behind it: BHS or FHS, ends swapped, its own control ID in
/// field 11 and the other one's, verbatim, in field 12 (chapter 2, *BHS* and *FHS*).
pub fn batch_header(out: &mut Vec<u8>, header: &Header<'_>, time: &str, control_id: &[u8]) {
    let d = &header.delimiters;
    let start = out.len();
    out.extend_from_slice(header.id());
    out.push(d.field);
    out.extend_from_slice(header.field(2));
    for field in [5, 6, 3, 4] {
        out.push(d.field);
        out.extend_from_slice(header.field(field));
    }
    out.push(d.field);
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(&[d.field; 4]);
    out.extend_from_slice(control_id);
    out.push(d.field);
    if can_echo(header.control_id()) {
        out.extend_from_slice(header.control_id());
    }
    blank_controls(&mut out[start..]);
    out.push(b'\r');
}

/// Control bytes that echoed fields may hold must not end our block.
fn blank_controls(bytes: &mut [u8]) {
    for byte in bytes {
        if byte.is_ascii_control() && *byte != b'\r' && *byte != b'\t' {
            *byte = b' ';
        }
    }
}

impl Ack<'_> {
    /// Appends the acknowledgement, without the block around it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let version = self
            .header
            .version()
            .or_else(|| parse_version(self.default_version.as_bytes()));
        let since_2_5 = version.is_some_and(|version| version >= (2, 5, 0));
        let start = out.len();
        self.msh(out, since_2_5);
        self.msa(out, since_2_5);
        if self.verdict != Verdict::Accepted {
            let faults = &self.faults[..self.faults.len().min(MAX_ERRORS)];
            if since_2_5 {
                faults.iter().for_each(|fault| self.err(out, fault));
            } else {
                self.err_before_2_5(out, faults);
            }
        }
        // Fields that are echoed come from an indexed segment and hold no CR.
        blank_controls(&mut out[start..]);
    }

    fn msh(&self, out: &mut Vec<u8>, since_2_5: bool) {
        let header = self.header;
        let d = &header.delimiters;
        let component = d.component.unwrap_or(b'^');
        out.extend_from_slice(b"MSH");
        out.push(d.field);
        out.extend_from_slice(header.field(2));
        // The receiver answers as the sender, whole fields and not only their first components.
        for field in [5, 6, 3, 4] {
            out.push(d.field);
            out.extend_from_slice(header.field(field));
        }
        out.push(d.field);
        out.extend_from_slice(self.time.as_bytes());
        out.extend_from_slice(&[d.field, d.field]);
        out.extend_from_slice(b"ACK");
        let event = header.component(9, 2);
        if !event.is_empty() && d.component.is_some() {
            out.push(component);
            out.extend_from_slice(event);
            if since_2_5 {
                out.push(component);
                out.extend_from_slice(b"ACK");
            }
        }
        out.push(d.field);
        out.extend_from_slice(self.control_id);
        out.push(d.field);
        out.extend_from_slice(header.field(11));
        out.push(d.field);
        match header.field(12) {
            b"" => out.extend_from_slice(self.default_version.as_bytes()),
            version => out.extend_from_slice(version),
        }
        let mut last = 12;
        let mut put = |number: usize, value: &[u8]| {
            out.extend(std::iter::repeat_n(d.field, number - last));
            out.extend_from_slice(value);
            last = number;
        };
        // An accept acknowledgement is never acknowledged, and says nothing of it. An application acknowledgement is a message
        // of its own, to which no answer is wanted: nobody here would wait for it.
        if self.kind == Kind::Application {
            put(15, b"NE");
            put(16, b"NE");
        }
        let is_to_be_said = !matches!(self.charset, Charset::Ascii | Charset::Latin1);
        // MSH-18 where the message said one, or where the answer needs one to be read.
        if !header.field(18).is_empty() || is_to_be_said && !self.is_ascii() {
            let own = self.charset.table_0211().as_bytes();
            let echo = self.echo_charset && !header.field(18).is_empty();
            put(18, if echo { header.field(18) } else { own });
        }
        out.push(b'\r');
    }

    fn is_ascii(&self) -> bool {
        self.text.is_none_or(str::is_ascii)
            && self
                .faults
                .iter()
                .all(|fault| fault.text.is_ascii() && fault.app_code.is_ascii())
    }

    fn msa(&self, out: &mut Vec<u8>, since_2_5: bool) {
        let d = &self.header.delimiters;
        out.extend_from_slice(b"MSA");
        out.push(d.field);
        out.extend_from_slice(code(self.kind, self.verdict).label().as_bytes());
        out.push(d.field);
        // Verbatim: what the sender compares it with is the bytes that it sent.
        if can_echo(self.header.control_id()) {
            out.extend_from_slice(self.header.control_id());
        }
        // MSA-3 is withdrawn since 2.7 and deprecated since 2.5, in favour of ERR-8.
        let first = self.faults.first().map(|fault| fault.text.as_str());
        let text = self
            .text
            .or(first.filter(|_| !since_2_5 && self.verdict != Verdict::Accepted));
        if text.is_some() || self.number.is_some() {
            out.push(d.field);
            self.put(out, text.unwrap_or_default(), MSA3);
        }
        if let Some(expected) = self.number {
            out.push(d.field);
            out.extend_from_slice(itoa::Buffer::new().format(expected).as_bytes());
        }
        out.push(b'\r');
    }

    /// `ERR|<seg>^<seq>^<field>^<code>&<text>&HL70357~…`: before 2.5 an acknowledgement has one ERR segment at most, and its only
    /// field repeats.
    fn err_before_2_5(&self, out: &mut Vec<u8>, faults: &[Fault]) {
        let d = &self.header.delimiters;
        let component = d.component.unwrap_or(b'^');
        let subcomponent = d.subcomponent.unwrap_or(b'&');
        for (index, fault) in faults.iter().enumerate() {
            if index == 0 {
                out.extend_from_slice(b"ERR");
                out.push(d.field);
            } else {
                out.push(d.repetition.unwrap_or(b'~'));
            }
            if let Some(place) = &fault.location {
                out.extend_from_slice(place.segment.as_bytes());
                out.push(component);
                number(out, place.occurrence);
                out.push(component);
                number(out, place.field.unwrap_or_default());
            } else {
                out.extend_from_slice(&[component, component]);
            }
            out.push(component);
            self.condition(out, fault.condition, subcomponent);
        }
        if !faults.is_empty() {
            out.push(b'\r');
        }
    }

    /// `ERR||<location>|<condition>|<severity>|<app code>|||<text>`
    fn err(&self, out: &mut Vec<u8>, fault: &Fault) {
        let d = &self.header.delimiters;
        let component = d.component.unwrap_or(b'^');
        out.extend_from_slice(b"ERR");
        out.extend_from_slice(&[d.field, d.field]);
        if let Some(place) = &fault.location {
            out.extend_from_slice(place.segment.as_bytes());
            out.push(component);
            number(out, place.occurrence);
            let deeper = [
                place.field,
                place.repetition.or(place.component.and(Some(1))),
                place.component,
                place.subcomponent,
            ];
            for level in deeper.into_iter().map_while(|level| level) {
                out.push(component);
                number(out, level);
            }
        }
        out.push(d.field);
        self.condition(out, fault.condition, component);
        out.push(d.field);
        out.push(match fault.severity {
            Severity::Error => b'E',
            Severity::Warning => b'W',
            Severity::Information => b'I',
        });
        if !fault.app_code.is_empty() || !fault.text.is_empty() {
            out.push(d.field);
            self.put(out, &fault.app_code, ERR5);
        }
        if !fault.text.is_empty() {
            out.extend_from_slice(&[d.field; 3]);
            self.put(out, &fault.text, ERR8);
        }
        out.push(b'\r');
    }

    /// `101^Required field missing^HL70357`
    fn condition(&self, out: &mut Vec<u8>, condition: u16, delimiter: u8) {
        number(out, condition.into());
        out.push(delimiter);
        out.extend_from_slice(condition_text(condition).as_bytes());
        out.push(delimiter);
        out.extend_from_slice(b"HL70357");
    }

    /// Text of ours or of the app's, cut, escaped, in the message's character set. A character that 8859-1 does
    /// not have becomes a question mark: this is a sentence for a person, not patient data.
    fn put(&self, out: &mut Vec<u8>, text: &str, limit: usize) {
        let d: &Delimiters = &self.header.delimiters;
        let mut utf8 = [0; 4];
        for c in text.chars().take(limit) {
            match self.charset {
                Charset::Latin1 => match u8::try_from(u32::from(c)) {
                    Ok(high) if high >= 0x80 => out.push(high),
                    Ok(byte) => escape::escape_into(out, &[byte], d),
                    Err(_) => out.push(b'?'),
                },
                Charset::Ascii if c.is_ascii() => escape::escape_into(out, &[c as u8], d),
                Charset::Ascii => out.push(b'?'),
                // Of UTF-8, and of what becomes another set when it is whole.
                _ => escape::escape_into(out, c.encode_utf8(&mut utf8).as_bytes(), d),
            }
        }
    }
}

fn number(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Table 0357, message error condition codes.
pub fn condition_text(condition: u16) -> &'static str {
    match condition {
        0 => "Message accepted",
        100 => "Segment sequence error",
        101 => "Required field missing",
        102 => "Data type error",
        103 => "Table value not found",
        104 => "Value too long",
        198 => "Non-Conformant Cardinality",
        199 => "Other HL7 Error",
        200 => "Unsupported message type",
        201 => "Unsupported event code",
        202 => "Unsupported processing id",
        203 => "Unsupported version id",
        204 => "Unknown key identifier",
        205 => "Duplicate key identifier",
        206 => "Application record locked",
        _ => "Application error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hl7::{Payload, peek};

    fn ack(message: &[u8], verdict: Verdict, faults: &[Fault], charset: Charset) -> String {
        ack_of(Kind::Original, message, verdict, faults, charset)
    }

    fn ack_of(
        kind: Kind,
        message: &[u8],
        verdict: Verdict,
        faults: &[Fault],
        charset: Charset,
    ) -> String {
        let (Payload::V2(header) | Payload::Batch(header)) = peek(message) else {
            panic!()
        };
        let mut out = Vec::new();
        Ack {
            header: &header,
            kind,
            verdict,
            faults,
            text: None,
            number: None,
            time: "20260102030405+0000",
            control_id: b"OWN1",
            default_version: "2.5",
            charset,
            echo_charset: true,
        }
        .write(&mut out);
        out.iter()
            .map(|byte| char::from(*byte))
            .collect::<String>()
            .replace('\r', "\n")
    }

    fn fault() -> Fault {
        Fault {
            location: Some("PID-3.1".parse().unwrap()),
            condition: 101,
            text: "PID-3 | is empty".into(),
            app_code: "E77".into(),
            severity: Severity::Error,
        }
    }

    #[test]
    fn before_2_5() {
        let message =
            b"MSH|^~\\&|SND^1.2^ISO|SFAC|RCV|RFAC^x|2026||ADT^A04|ID\\T\\7 |P|2.3|||||DEU|8859/1\r";
        insta::assert_snapshot!(ack(message, Verdict::Error, &[fault()], Charset::Latin1), @r"
        MSH|^~\&|RCV|RFAC^x|SND^1.2^ISO|SFAC|20260102030405+0000||ACK^A04|OWN1|P|2.3||||||8859/1
        MSA|AE|ID\T\7 |PID-3 \F\ is empty
        ERR|PID^1^3^101&Required field missing&HL70357
        ");
    }

    #[test]
    fn before_2_5_there_is_one_err_segment_which_repeats_its_field() {
        let faults = vec![fault(), Fault::application("no"), fault()];
        let answer = |message: &[u8], faults| ack(message, Verdict::Error, faults, Charset::Ascii);
        for version in ["2.1", "2.2", "2.3", "2.3.1", "2.4"] {
            let message = format!("MSH|^~\\&|S|F|R|F|2026||ADT^A04|7|P|{version}\r");
            let answer = answer(message.as_bytes(), &faults);
            let errors: Vec<&str> = answer.lines().filter(|l| l.starts_with("ERR")).collect();
            let required = "PID^1^3^101&Required field missing&HL70357";
            assert_eq!(
                errors,
                [format!(
                    "ERR|{required}~^^^207&Application error&HL70357~{required}"
                )],
                "{answer}"
            );
        }
        let own = answer(b"MSH$%*@!$S$F$R$F$2026$$ADT%A04$7$P$2.3\r", &faults[..2]);
        let expected =
            "ERR$PID%1%3%101!Required field missing!HL70357*%%%207!Application error!HL70357\n";
        assert!(own.ends_with(expected), "{own}");
        let none = answer(b"MSH|^~\\&|S|F|R|F|2026||ADT^A04|7|P|2.3\r", &[]);
        assert!(none.ends_with("MSA|AE|7\n"), "{none}");
        let many = answer(
            b"MSH|^~\\&|S|F|R|F|2026||ADT^A04|7|P|2.3\r",
            &vec![fault(); 300],
        );
        assert_eq!(many.matches("PID^1^3").count(), MAX_ERRORS, "{many}");
    }

    #[test]
    fn from_2_5() {
        let message = b"MSH|^~\\&|SND|SFAC|RCV|RFAC|2026||ADT^A04^ADT_A01|7|P|2.5.1\r";
        let plain = Fault {
            condition: 207,
            text: "no".into(),
            ..Fault::default()
        };
        insta::assert_snapshot!(ack(message, Verdict::Rejected, &[fault(), plain], Charset::Utf8), @r"
        MSH|^~\&|RCV|RFAC|SND|SFAC|20260102030405+0000||ACK^A04^ACK|OWN1|P|2.5.1
        MSA|AR|7
        ERR||PID^1^3^1^1|101^Required field missing^HL70357|E|E77|||PID-3 \F\ is empty
        ERR|||207^Application error^HL70357|E||||no
        ");
    }

    #[test]
    fn the_expected_sequence_number_is_msa_4() {
        let Payload::V2(header) = peek(b"MSH|^~\\&|S|F|R|G|2026||ADT^A04|7|P|2.3|8\r") else {
            panic!()
        };
        let mut ack = Ack {
            header: &header,
            kind: Kind::Original,
            verdict: Verdict::Accepted,
            faults: &[],
            text: None,
            number: Some(-1),
            time: "20260102030405+0000",
            control_id: b"OWN1",
            default_version: "2.5",
            charset: Charset::Utf8,
            echo_charset: true,
        };
        let mut msa = || {
            let mut out = Vec::new();
            ack.write(&mut out);
            let text = String::from_utf8(out).unwrap();
            ack.text = Some("good");
            ack.number = Some(8);
            text.split('\r').nth(1).unwrap().to_owned()
        };
        assert_eq!(msa(), "MSA|AA|7||-1");
        assert_eq!(msa(), "MSA|AA|7|good|8");
    }

    #[test]
    fn own_delimiters_blank_version_no_event() {
        let message = b"MSH$%~\\&#$A$B$C$D$$$QRY$7$T\r";
        insta::assert_snapshot!(ack(message, Verdict::Accepted, &[fault()], Charset::Ascii), @r"
        MSH$%~\&#$C$D$A$B$20260102030405+0000$$ACK$OWN1$T$2.5
        MSA$AA$7
        ");
    }

    #[test]
    fn the_two_of_enhanced_mode() {
        let message =
            b"MSH|^~\\&|SND|SFAC|RCV|RFAC|2026||ADT^A04^ADT_A01|7|P|2.5.1|||AL|AL||8859/1\r";
        let both = [Kind::Accept, Kind::Application].map(|kind| {
            let faults = [fault()];
            ack_of(kind, message, Verdict::Accepted, &faults, Charset::Latin1)
        });
        insta::assert_snapshot!(both.concat(), @r"
        MSH|^~\&|RCV|RFAC|SND|SFAC|20260102030405+0000||ACK^A04^ACK|OWN1|P|2.5.1||||||8859/1
        MSA|CA|7
        MSH|^~\&|RCV|RFAC|SND|SFAC|20260102030405+0000||ACK^A04^ACK|OWN1|P|2.5.1|||NE|NE||8859/1
        MSA|AA|7
        ");
        let message = b"MSH|^~\\&|SND|SFAC|RCV|RFAC|2026||ADT^A04^ADT_A01|7|P|2.3|||AL|NE\r";
        let refused = ack_of(
            Kind::Accept,
            message,
            Verdict::Rejected,
            &[fault()],
            Charset::Utf8,
        );
        insta::assert_snapshot!(refused, @r"
        MSH|^~\&|RCV|RFAC|SND|SFAC|20260102030405+0000||ACK^A04|OWN1|P|2.3
        MSA|CR|7|PID-3 \F\ is empty
        ERR|PID^1^3^101&Required field missing&HL70357
        ");
    }

    #[test]
    fn each_verdict_has_one_code_in_each_kind_and_only_accepted_a_positive_one() {
        let verdicts = [Verdict::Accepted, Verdict::Error, Verdict::Rejected];
        let codes = |kind| verdicts.map(|verdict| code(kind, verdict).label());
        assert_eq!(codes(Kind::Original), ["AA", "AE", "AR"]);
        assert_eq!(codes(Kind::Accept), ["CA", "CE", "CR"]);
        assert_eq!(codes(Kind::Application), ["AA", "AE", "AR"]);
    }

    #[test]
    fn nothing_in_an_answer_can_end_its_block() {
        let message = b"MSH|^~\\&|A\x1c|B\x0b|||2026||ADT^A01\x1c|7\x1c|P\x1c|2.5\r";
        let text = Fault {
            text: "a\x1c\rb".into(),
            ..fault()
        };
        let answer = ack(message, Verdict::Error, &[text], Charset::Utf8);
        assert!(!answer.contains(['\x0b', '\x1c']), "{answer:?}");
        assert!(
            answer.contains("MSA|AE|\n"),
            "an ID that cannot be sent back is left out: {answer:?}"
        );
    }
}
