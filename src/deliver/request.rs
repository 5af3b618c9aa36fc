//! The request's head: what is the same for every message of a listener is written once, the rest per message.

use crate::config::{Delivery, Format, Secret, TraceParent};
use crate::envelope::{Head, Shape, Source, cloudevents};

/// A listener's delivery settings, and the part of the head that they fix.
#[derive(Debug, Clone)]
pub struct Route {
    /// The settings.
    pub delivery: Delivery,
    fixed: Vec<u8>,
}

impl Route {
    /// Prepares a listener's requests.
    pub fn new(delivery: Delivery) -> Self {
        let url = &delivery.url;
        let content_type = match delivery.format {
            Format::CloudEvents => "Content-Type: application/cloudevents+json; charset=UTF-8\r\n",
            Format::CloudEventsBinary => "Content-Type: application/json\r\n",
            Format::Fhir => "Content-Type: application/fhir+json\r\n",
            // With a charset, which depends on the message.
            Format::Raw => "",
        };
        let accept = match delivery.format {
            // What was stored is known; only what was not is worth telling.
            Format::Fhir => "application/fhir+json\r\nPrefer: return=minimal",
            _ => "application/hl7-v2, application/json, application/problem+json",
        };
        let authorization = match &url.basic_auth {
            Some(secret) => format!("Authorization: {}\r\n", secret.expose()),
            None => String::new(),
        };
        let fixed = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: mllp-bridge/{}\r\n\
             Accept: {accept}\r\n\
             Accept-Encoding: identity\r\n{authorization}{content_type}",
            url.path,
            url.authority,
            env!("CARGO_PKG_VERSION"),
        );
        Self {
            fixed: fixed.into_bytes(),
            delivery,
        }
    }

    /// Which halves of the envelope the app wants; `None` where there is none.
    pub fn shape(&self) -> Option<Shape> {
        let Delivery { raw, parsed, .. } = self.delivery;
        match self.delivery.format {
            Format::CloudEvents => Some(Shape {
                structured: true,
                raw,
                parsed,
            }),
            Format::CloudEventsBinary => Some(Shape {
                structured: false,
                raw,
                parsed,
            }),
            Format::Raw | Format::Fhir => None,
        }
    }

    /// Appends the head of one message's request, up to and with the empty line.
    pub fn write_head(&self, head: &mut Vec<u8>, source: &Source<'_>, length: u64) {
        head.extend_from_slice(&self.fixed);
        match self.delivery.format {
            Format::CloudEvents | Format::Fhir => {}
            Format::CloudEventsBinary => source.push_headers(head),
            Format::Raw => {
                head.extend_from_slice(b"Content-Type: ");
                head.extend_from_slice(match source.header {
                    Head::Er7(_) => b"application/hl7-v2",
                    Head::Xml(message) => message.dialect.media_type().as_bytes(),
                });
                head.extend_from_slice(b"; charset=");
                head.extend_from_slice(source.reading.charset.name().as_bytes());
                head.extend_from_slice(b"\r\n");
            }
        }
        if let Head::Xml(_) = source.header {
            // A list may be told in several lines.
            head.extend_from_slice(b"Accept: application/hl7-v2+xml, application/hl7-v3+xml, application/xml, text/xml\r\n");
        }
        head.extend_from_slice(b"X-Forwarded-For: ");
        head.extend_from_slice(source.peer.as_bytes());
        head.extend_from_slice(b"\r\nX-HL7-Control-Id: ");
        let is_utf8 = source.is_utf8();
        cloudevents::push_header_value(head, source.header.control_id(), is_utf8);
        head.extend_from_slice(b"\r\nIdempotency-Key: ");
        source.id.push_header(head, is_utf8);
        match self.delivery.traceparent {
            TraceParent::Sampled => push_traceparent(head, b'1'),
            TraceParent::Unsampled => push_traceparent(head, b'0'),
            TraceParent::Off => {}
        }
        head.extend_from_slice(b"\r\nContent-Length: ");
        head.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
    }
}

/// Shows a token in a head that [`Route::write_head`] has written, in the place of the one before.
pub fn authorize(head: &mut Vec<u8>, plain: usize, token: &Secret) {
    head.truncate(plain - 2);
    head.extend_from_slice(b"Authorization: Bearer ");
    head.extend_from_slice(token.expose().as_bytes());
    head.extend_from_slice(b"\r\n\r\n");
}

/// W3C Trace Context: a new trace for every message, since MLLP carries none to continue.
fn push_traceparent(head: &mut Vec<u8>, sampled: u8) {
    head.extend_from_slice(b"\r\ntraceparent: 00-");
    // All zeros would be invalid; one bit makes sure.
    push_hex(head, fastrand::u64(..) | 1);
    push_hex(head, fastrand::u64(..));
    head.push(b'-');
    push_hex(head, fastrand::u64(..) | 1);
    head.extend_from_slice(&[b'-', b'0', sampled]);
}

fn push_hex(out: &mut Vec<u8>, value: u64) {
    let mut hex = [0; 16];
    for (at, digit) in hex.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(value >> (60 - 4 * at)) as usize & 15];
    }
    out.extend_from_slice(&hex);
}
