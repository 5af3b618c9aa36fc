//! MSH-3 to MSH-7 and MSH-10 of a message on its way out, filled in where they are empty and the configuration says so.
//!
//! In the message's own delimiters and character set. Every other byte of it stays as it is. A batch, XML and what is no HL7 at all
//! are not filled.

use crate::config::Charset;
use crate::config::Fill;
use crate::hl7::charset::{AS_IT_SAYS, Transcoded, as_text, read};
use crate::hl7::encoding::{encode_into, encode_utf16_like};
use crate::hl7::escape::escape_into;
use crate::hl7::{Delimiters, Header, Payload, Terminator};
use memchr::memchr;
use std::fmt;
use std::sync::OnceLock;

/// Where MSH-7 and MSH-10 are.
const TIME: u8 = 7;
const CONTROL_ID: u8 = 10;

/// A field that was filled in. `Debug` prints its number only.
#[derive(Clone, PartialEq, Eq)]
pub struct Filled {
    /// MSH-*n*.
    pub field: u8,
    /// As it is in the message now.
    pub value: String,
}

impl fmt::Debug for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MSH-{}", self.field)
    }
}

/// Why a message cannot be filled: with it a field would stay empty that must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfillable {
    /// The message's character set does not have the value's characters.
    #[error(
        "the message's character set does not have the characters that MSH-{0} is to be filled with"
    )]
    Characters(u8),
    /// The message has no character between components or subcomponents.
    #[error("the message's MSH-2 has no delimiter for what MSH-{0} is to be filled with")]
    Delimiter(u8),
    /// The header's bytes are not those that its text has in its character set.
    #[error("the message's header cannot be written in its character set again")]
    Header,
}

/// What is put into messages.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// Which fields, and MSH-3 to MSH-6.
    pub fill: &'a Fill,
    /// MSH-7: `20261122101500+0000`.
    pub time: &'a str,
    /// MSH-10.
    pub control_id: &'a [u8],
}

/// The message, and what was filled in.
pub type Rewritten = (Vec<u8>, Vec<Filled>);

/// Fills the header of a message. `None` where nothing is to be filled in: it is sent as it is.
///
/// # Errors
/// If the message cannot hold what is to be filled in.
pub fn fill(message: &[u8], values: &Values<'_>) -> Result<Option<Rewritten>, Unfillable> {
    if values.fill.is_nothing() {
        return Ok(None);
    }
    let slot = OnceLock::new();
    let (text, Payload::V2(header)) = as_text(message, AS_IT_SAYS, &slot) else {
        return Ok(None);
    };
    let wanted = values.wanted(&header)?;
    if wanted.is_empty() {
        return Ok(None);
    }
    let end = segment_end(text, &header);
    let (leading, old) = text[..end].split_at(header.leading);
    let writer = Writer {
        message,
        transcoded: slot.get(),
        charset: read(text, &header, AS_IT_SAYS, slot.get())
            .map_or(Charset::Ascii, |read| read.charset),
    };
    let new = writer.segment(old, &header.delimiters, &wanted)?;
    let out = writer.splice(leading, old, &new)?;
    let filled = wanted
        .into_iter()
        .map(|(field, value)| Filled { field, value });
    Ok(Some((out, filled.collect())))
}

impl Values<'_> {
    /// What is to be filled in, in the message's delimiters, in the order of the fields.
    fn wanted(&self, header: &Header<'_>) -> Result<Vec<(u8, String)>, Unfillable> {
        let mut wanted = Vec::new();
        let parties = Fill::PARTIES.iter().zip(&self.fill.parties);
        for ((field, _), party) in parties {
            if let Some(party) = party
                && header.field(usize::from(*field)).is_empty()
            {
                wanted.push((*field, in_delimiters(*field, party, &header.delimiters)?));
            }
        }
        let control_id = String::from_utf8_lossy(self.control_id);
        for (field, asked, value) in [
            (TIME, self.fill.time, self.time),
            (CONTROL_ID, self.fill.control_id, &*control_id),
        ] {
            if asked && header.field(usize::from(field)).is_empty() {
                wanted.push((field, in_delimiters(field, value, &header.delimiters)?));
            }
        }
        Ok(wanted)
    }
}

/// A value in the usual delimiters, in those of a message.
fn in_delimiters(field: u8, value: &str, delimiters: &Delimiters) -> Result<String, Unfillable> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value.bytes() {
        let theirs = match byte {
            b'^' => delimiters.component,
            b'&' => delimiters.subcomponent,
            _ => {
                escape_into(&mut out, &[byte], delimiters);
                continue;
            }
        };
        out.push(theirs.ok_or(Unfillable::Delimiter(field))?);
    }
    // Delimiters are ASCII, so that no character is torn.
    String::from_utf8(out).map_err(|_| Unfillable::Characters(field))
}

/// Where the header's segment ends.
fn segment_end(text: &[u8], header: &Header<'_>) -> usize {
    let body = text.get(header.leading..).unwrap_or_default();
    let end = match header.terminator {
        Terminator::Cr | Terminator::CrLf => b'\r',
        Terminator::Lf => b'\n',
    };
    header.leading + memchr(end, body).unwrap_or(body.len())
}

struct Writer<'a> {
    message: &'a [u8],
    transcoded: Option<&'a Transcoded>,
    charset: Charset,
}

impl Writer<'_> {
    /// The segment with the fields in it, as text where the message was transcoded, else in the message's set.
    fn segment(
        &self,
        old: &[u8],
        delimiters: &Delimiters,
        wanted: &[(u8, String)],
    ) -> Result<Vec<u8>, Unfillable> {
        let most = wanted.last().map_or(0, |(field, _)| usize::from(*field));
        let fields: Vec<&[u8]> = old.split(|byte| *byte == delimiters.field).collect();
        let mut new = Vec::with_capacity(old.len() + 64);
        for number in 1..=fields.len().max(most) {
            if number > 1 {
                new.push(delimiters.field);
            }
            match wanted
                .iter()
                .find(|(field, _)| usize::from(*field) == number)
            {
                Some((field, value)) => self.value(&mut new, *field, value)?,
                None => new.extend_from_slice(fields.get(number - 1).copied().unwrap_or_default()),
            }
        }
        Ok(new)
    }

    fn value(&self, out: &mut Vec<u8>, field: u8, value: &str) -> Result<(), Unfillable> {
        if self.transcoded.is_some() || value.is_ascii() {
            out.extend_from_slice(value.as_bytes());
            return Ok(());
        }
        match encode_into(out, self.charset, value) {
            true => Ok(()),
            false => Err(Unfillable::Characters(field)),
        }
    }

    /// The message with another first segment.
    fn splice(&self, leading: &[u8], old: &[u8], new: &[u8]) -> Result<Vec<u8>, Unfillable> {
        let before = [leading, old].concat();
        let after = [leading, new].concat();
        let (before, mut out) = match self.transcoded {
            None => (before, after),
            Some(transcoded) => {
                let again = |text: &[u8]| encode(transcoded.charset(), self.message, text);
                let before = again(&before).ok_or(Unfillable::Header)?;
                (before, again(&after).ok_or(Unfillable::Header)?)
            }
        };
        let rest = self
            .message
            .strip_prefix(&*before)
            .ok_or(Unfillable::Header)?;
        out.extend_from_slice(rest);
        Ok(out)
    }
}

/// The beginning of a message in its set: in UTF-16 in its byte order and with its mark.
fn encode(charset: Charset, message: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut out = Vec::with_capacity(text.len() * 2);
    if charset == Charset::Utf16 {
        encode_utf16_like(&mut out, message, text, &[]);
        return Some(out);
    }
    encode_into(&mut out, charset, text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hl7::encoding::decode;
    use proptest::prelude::*;

    fn everything() -> Fill {
        Fill {
            time: true,
            control_id: true,
            parties: ["APP^1.2.3^ISO", "FAC", "THEIRS", "THERE"].map(|text| Some(text.into())),
        }
    }

    fn filled(message: &[u8], fill: &Fill) -> Result<Option<Rewritten>, Unfillable> {
        let (time, control_id) = ("20261122101500+0000", b"ID1");
        super::fill(
            message,
            &Values {
                fill,
                time,
                control_id,
            },
        )
    }

    fn text(message: &str, fill: &Fill) -> Option<String> {
        let (bytes, _) = filled(message.as_bytes(), fill).unwrap()?;
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_is_empty_is_filled_in_the_messages_own_delimiters() {
        let all = everything();
        for (message, expected) in [
            (
                "MSH|^~\\&|||||||ADT^A01||P|2.5\rPID|1\r",
                "MSH|^~\\&|APP^1.2.3^ISO|FAC|THEIRS|THERE|20261122101500+0000||ADT^A01|ID1|P|2.5\rPID|1\r",
            ),
            (
                "MSH|^~\\&|A|\"\"|C| |||ADT^A01|7|P|2.5\nPID|1\n",
                "MSH|^~\\&|A|\"\"|C| |20261122101500+0000||ADT^A01|7|P|2.5\nPID|1\n",
            ),
            (
                "MSH$%~\\&$$B$C$D$2026$$ADT%A01$7$P$2.3\r",
                "MSH$%~\\&$APP%1.2.3%ISO$B$C$D$2026$$ADT%A01$7$P$2.3\r",
            ),
            // A delimiter of theirs that the value holds is escaped.
            (
                "MSH|^~\\.|||C|D|2026||ADT^A01|7|P|2.3\r",
                "MSH|^~\\.|APP^1\\T\\2\\T\\3^ISO|FAC|C|D|2026||ADT^A01|7|P|2.3\r",
            ),
            // Too short for the fields, and nothing behind it.
            (
                "MSH|^~\\&|A|B",
                "MSH|^~\\&|A|B|THEIRS|THERE|20261122101500+0000|||ID1",
            ),
        ] {
            assert_eq!(
                text(message, &all).as_deref(),
                Some(expected),
                "{message:?}"
            );
        }
        let whole = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5\rPID|1\r";
        assert_eq!(text(whole, &all), None, "nothing is empty");
        let none = "MSH|^~\\&|||||||ADT^A01||P|2.5\r";
        assert_eq!(text(none, &Fill::default()), None, "nothing is asked for");
    }

    #[test]
    fn it_says_what_was_filled_and_debug_does_not_say_with_what() {
        let message = b"MSH|^~\\&|A|B|C|D|||ADT^A01||P|2.5\r";
        let (_, filled) = filled(message, &everything()).unwrap().unwrap();
        let said: Vec<_> = filled.iter().map(|one| (one.field, &*one.value)).collect();
        assert_eq!(said, [(7, "20261122101500+0000"), (10, "ID1")]);
        assert_eq!(format!("{filled:?}"), "[MSH-7, MSH-10]");
    }

    #[test]
    fn what_is_no_single_message_of_er7_is_left_as_it_is() {
        for other in [
            "BHS|^~\\&|||||||\rMSH|^~\\&|||||||ADT^A01||P|2.5\r",
            "<ADT_A01 xmlns='urn:hl7-org:v2xml'><MSH/></ADT_A01>",
            "hello",
            "MSH|^^^^|||||||ADT^A01||P|2.5\r",
            "",
        ] {
            assert_eq!(filled(other.as_bytes(), &everything()), Ok(None), "{other}");
        }
    }

    fn named(party: &str) -> Fill {
        let mut fill = Fill::default();
        fill.parties[1] = Some(party.into());
        fill
    }

    #[test]
    fn a_value_is_in_the_messages_character_set_or_the_message_is_refused() {
        let klinik = named("Klinik Süd");
        let latin = b"MSH|^~\\&|A||C|D|2026||ADT^A01|7|P|2.5||||||8859/1\rPID|\xfc\r";
        let (bytes, _) = filled(latin, &klinik).unwrap().unwrap();
        assert!(
            bytes.starts_with(b"MSH|^~\\&|A|Klinik S\xfcd|C|"),
            "{bytes:?}"
        );
        assert!(bytes.ends_with(b"8859/1\rPID|\xfc\r"));
        let utf8 = "MSH|^~\\&|A||C|D|2026||ADT^A01|7|P|2.5||||||UNICODE UTF-8\rPID|ü\r";
        assert!(text(utf8, &klinik).unwrap().contains("|Klinik Süd|"));
        let ascii = b"MSH|^~\\&|A||C|D|2026||ADT^A01|7|P|2.5\rPID|1\r";
        assert_eq!(filled(ascii, &klinik), Err(Unfillable::Characters(4)));
        let bare = b"MSH|^|A||C|D|2026||ADT^A01|7|P|2.5\r";
        assert_eq!(filled(bare, &named("a&b")), Err(Unfillable::Delimiter(4)));
    }

    #[test]
    fn sets_in_which_a_letter_may_hold_a_delimiter() {
        for (charset, name) in [
            (Charset::ShiftJis, "Shift_JIS"),
            (Charset::Iso2022Jp, "ISO-2022-JP"),
            (Charset::Gb18030, "GB 18030-2000"),
            (Charset::Big5, "BIG-5"),
            (Charset::Cyrillic, "8859/5"),
            (Charset::Utf16, "UNICODE UTF-16"),
        ] {
            let own = if charset == Charset::Cyrillic {
                "Ж"
            } else {
                "表"
            };
            let message =
                format!("MSH|^~\\&|{own}||C|D|||ADT^A01||P|2.5||||||{name}\rPID|{own}|x\r");
            let mut bytes = Vec::new();
            if charset == Charset::Utf16 {
                bytes.extend_from_slice(b"\xfe\xff");
            }
            assert!(encode_into(&mut bytes, charset, &message), "{name}");
            let mut fill = named(own);
            fill.time = true;
            let (out, said) = filled(&bytes, &fill).unwrap().unwrap();
            let expected =
                message.replacen("||C|D||", &format!("|{own}|C|D|20261122101500+0000|"), 1);
            assert_eq!(decode(charset, &out).unwrap(), expected, "{name}");
            assert_eq!(said.len(), 2, "{name}");
            let rest = out.len() - bytes.len();
            assert!(
                rest > 0 && out.ends_with(&bytes[bytes.len() - 8..]),
                "{name}"
            );
        }
    }

    proptest! {
        /// Whatever else is in the message: it is there still, byte for byte, and nothing is left to fill.
        #[test]
        fn every_other_byte_stays(
            present in proptest::array::uniform7(proptest::option::of("[ -%'-\\[\\]-z]{1,6}")),
            msh18 in prop_oneof![Just(""), Just("8859/1"), Just("UNICODE UTF-8"), Just("nonsense")],
            rest in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let field = |at: usize| present[at].clone().unwrap_or_default().replace('|', "_");
            let fields: Vec<String> = (0..7).map(field).collect();
            let [three, four, five, six, seven, nine, ten] = &fields[..] else { unreachable!() };
            let mut message = format!(
                "MSH|^~\\&|{three}|{four}|{five}|{six}|{seven}||{nine}|{ten}|P|2.5||||||{msh18}\r"
            ).into_bytes();
            message.extend_from_slice(&rest);
            match filled(&message, &everything()) {
                Ok(Some((out, said))) => {
                    let cr = out.iter().position(|byte| *byte == b'\r').unwrap();
                    let out_fields: Vec<_> = out[..cr].split(|byte| *byte == b'|').collect();
                    let end = message.iter().position(|byte| *byte == b'\r').unwrap();
                    let old: Vec<_> = message[..end].split(|byte| *byte == b'|').collect();
                    prop_assert_eq!(out_fields.len(), old.len());
                    for (at, (new, old)) in out_fields.iter().zip(&old).enumerate() {
                        let filled = said.iter().find(|one| usize::from(one.field) == at + 1);
                        match filled {
                            Some(one) => {
                                prop_assert!(old.is_empty());
                                prop_assert_eq!(*new, one.value.as_bytes());
                            }
                            None => prop_assert_eq!(new, old),
                        }
                    }
                    prop_assert_eq!(&out[cr..], &message[end..]);
                    prop_assert_eq!(filled(&out, &everything()), Ok(None));
                }
                Ok(None) => prop_assert!(
                    [three, four, five, six, seven, ten].iter().all(|field| !field.is_empty())
                ),
                Err(error) => prop_assert!(false, "{error}"),
            }
        }

        #[test]
        fn any_bytes_are_filled_or_refused(message: Vec<u8>) {
            let _ = filled(&message, &everything());
            let with_header = [b"MSH|^~\\&|", &message[..]].concat();
            let _ = filled(&with_header, &everything());
        }
    }
}
