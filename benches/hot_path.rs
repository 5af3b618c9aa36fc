//! The stations of one message, each on its own: decode, index, envelope, acknowledgement. In bytes of HL7 a second on one core.
//!
//! `index` stands beside `hl7-parser`, the crate that it replaces in the message path (ADR 0002).
//!
//! Run as `cargo bench --bench hot_path -- [FILTER]`; names are `envelope/adt-900` and the like.

// What criterion's macros make has no doc comments.
#![allow(missing_docs)]

#[allow(dead_code, reason = "end_to_end also sends them")]
#[path = "end_to_end/messages.rs"]
mod messages;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use messages::Message;
use mllp_bridge::config::{Charset, CharsetPolicy};
use mllp_bridge::envelope::{Envelope, EventId, Head, Shape, Source};
use mllp_bridge::hl7::ack::{Ack, Kind, Verdict};
use mllp_bridge::hl7::{Header, Index, Payload, charset, peek};
use mllp_bridge::mllp::{Decoder, Event, More, frame_into};
use std::hint::black_box;

const POLICY: CharsetPolicy = CharsetPolicy {
    force: None,
    fallback: Charset::Latin1,
};

fn header(message: &[u8]) -> Header<'_> {
    match peek(message) {
        Payload::V2(header) => header,
        other => panic!("the bench's own message is not HL7 v2: {other:?}"),
    }
}

/// One group with every message in it. `run` is timed.
fn group(criterion: &mut Criterion, name: &str, mut run: impl FnMut(&Message, &Header<'_>)) {
    let mut group = criterion.benchmark_group(name);
    for message in messages::all() {
        let header = header(&message.text);
        group.throughput(Throughput::Bytes(message.text.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(message.name), |bencher| {
            bencher.iter(|| run(&message, &header));
        });
    }
    group.finish();
}

/// From a block's bytes to the range of its message.
fn decode(criterion: &mut Criterion) {
    let framed: Vec<(&str, Vec<u8>)> = messages::all()
        .into_iter()
        .map(|message| {
            let mut block = Vec::new();
            frame_into(&mut block, 0x0B, 0x1C, |out| {
                out.extend_from_slice(&message.text)
            });
            (message.name, block)
        })
        .collect();
    let mut group = criterion.benchmark_group("decode");
    for (name, block) in &framed {
        group.throughput(Throughput::Bytes(block.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            let mut decoder = Decoder::new(0x0B, 0x1C, 16 << 20);
            bencher.iter(|| {
                let step = decoder.step(black_box(block), More::Maybe);
                assert!(matches!(step.event, Event::Frame(_)));
            });
        });
    }
    group.finish();
}

fn index(criterion: &mut Criterion) {
    group(criterion, "index", |message, header| {
        black_box(Index::new(black_box(&message.text), header));
    });
    // It wants text, so the check for UTF-8 is part of its work.
    group(criterion, "index-hl7-parser", |message, _| {
        let text = std::str::from_utf8(black_box(&message.text));
        black_box(text.map(hl7_parser::Message::parse)).ok();
    });
}

/// Charset, hash and body, into a buffer that is kept, as an exchange does it.
fn envelope(criterion: &mut Criterion) {
    for (name, parsed) in [("envelope", true), ("envelope-raw-only", false)] {
        let mut body = Vec::new();
        group(criterion, name, |message, header| {
            body.clear();
            let message = black_box(message.text.as_slice());
            let head = Head::Er7(header.clone());
            let Ok(reading) = charset::read(message, header, POLICY, None) else {
                return;
            };
            let source = Source {
                bytes: message,
                message,
                header: &head,
                reading,
                id: EventId::new(message, header.control_id()),
                received: "2026-11-22T10:15:00.000Z",
                listener: "adt",
                peer: "10.1.0.10",
                warnings: &[],
            };
            let shape = Shape {
                structured: true,
                raw: true,
                parsed,
            };
            Envelope::new(source, shape).fill(&mut body, usize::MAX);
            black_box(&body);
        });
    }
}

fn ack(criterion: &mut Criterion) {
    let mut out = Vec::new();
    group(criterion, "ack", |_, header| {
        out.clear();
        Ack {
            header: black_box(header),
            kind: Kind::Original,
            verdict: Verdict::Accepted,
            faults: &[],
            text: None,
            number: None,
            time: "20261122101500+0000",
            control_id: b"0123456789ABCDEFGHJK",
            default_version: "2.5",
            charset: Charset::Ascii,
            echo_charset: true,
        }
        .write(&mut out);
        black_box(&out);
    });
}

criterion_group!(stations, decode, index, envelope, ack);
criterion_main!(stations);
