//! A message to its FHIR bundle, beside what a JSON library takes to read that bundle and to write it again; and whether the time
//! for a long message grows with its length and no faster.
//!
//! Run as `cargo bench --bench fhir`. Messages are made up.

// The lint keeps the bridge on tokio's clock, which tests can stop; here real time is the subject.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use mllp_bridge::fhir::{Mapper, Options};
use mllp_bridge::hl7::{Header, Payload, peek};
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Runs of which the median counts, each of both in turn.
const RUNS: usize = 7;
/// One run of one of them.
const RUN: Duration = Duration::from_millis(700);
/// Messages a second of one core.
const WANTED: f64 = 5_000.0;

const ADT: &str = "MSH|^~\\&|ADT|GENERAL|BRIDGE|HIE|20260301101500+0000||ADT^A01^ADT_A01|MSG00001|P|2.5.1|||AL|NE\r\
EVN|A01|20260301101400|||CLERK^MADE^UP\r\
PID|1||100234^^^GENERAL^MR~999-00-1234^^^SSA^SS||SAMPLE^JANE^Q^^MS||19800214|F||2106-3^White^HL70005|1 MADE UP ST^^TOWN^OH^44101^USA^H||^PRN^PH^^1^216^5550100|^WPN^PH^^1^216^5550101|EN|M|CHR|A5501^^^GENERAL^AN\r\
PD1||||77001^FAMILY^DOC^^^DR^MD^^NPI\r\
NK1|1|SAMPLE^JOHN|SPO^Spouse^HL70063|1 MADE UP ST^^TOWN^OH^44101^USA|^PRN^PH^^1^216^5550102\r\
PV1|1|I|4W^401^A^GENERAL||||77002^ATTEND^ANN^^^DR^MD^^NPI|77003^REFER^ROB^^^DR|||MED||||1|||77002^ATTEND^ANN|IP|V8801^^^GENERAL^VN|||||||||||||||||||||||||20260301100000\r\
AL1|1|DA|70618^Penicillin^RXNORM|MO|Rash\r\
DG1|1||I10^Essential hypertension^I10||20260301|A\r";

fn header(message: &[u8]) -> Header<'_> {
    match peek(message) {
        Payload::V2(header) => header,
        _ => panic!("the bench's own message is not HL7 v2"),
    }
}

/// As a listener makes them: with the counts of what is lost.
fn options() -> Options {
    Options {
        count: true,
        ..Options::default()
    }
}

fn bundle(mapper: &Mapper, message: &[u8]) -> Vec<u8> {
    let made = mapper.convert(message, &header(message), true, &options());
    made.unwrap_or_else(|why| panic!("no bundle: {why}")).bundle
}

/// Seconds that this thread has had of a processor: what others do on the machine counts less than by the clock on the wall, which is
/// read where the system does not say.
fn spent(begun: Instant) -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    nanoseconds.map_or_else(|| begun.elapsed().as_secs_f64(), |spent: f64| spent / 1e9)
}

/// Calls a second.
fn rate(mut run: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let first = spent(begun);
    let mut count = 0_u32;
    while begun.elapsed() < RUN {
        run();
        count += 1;
    }
    f64::from(count) / (spent(begun) - first)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn throughput(mapper: &Mapper) {
    let message = ADT.as_bytes();
    let reference = bundle(mapper, message);
    let (mut own, mut json, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let one = rate(|| {
            black_box(bundle(mapper, black_box(message)));
        });
        let other = rate(|| {
            let tree: Option<serde_json::Value> =
                serde_json::from_slice(black_box(&reference)).ok();
            black_box(serde_json::to_vec(&tree).ok());
        });
        own.push(one);
        json.push(other);
        ratios.push(other / one);
    }
    let own = median(own);
    println!("| what | bytes | a second | µs each | time ÷ reference |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    println!(
        "| convert, ADT^A01 | {} | {own:.0} | {:.1} | {:.2} |",
        message.len(),
        1e6 / own,
        median(ratios)
    );
    let json = median(json);
    println!(
        "| reference: serde_json reads and writes its bundle | {} | {json:.0} | {:.1} | 1 |",
        reference.len(),
        1e6 / json
    );
    let verdict = if own >= WANTED { "met" } else { "MISSED" };
    println!("\nwanted: {WANTED:.0} messages a second of one core: {verdict}\n");
}

/// A long message of one kind, with this many segments.
fn long(kind: &str, segments: usize) -> Vec<u8> {
    let start = ADT.split_inclusive('\r').take(3).collect::<String>();
    let mut text = match kind {
        "ADT, NK1" => start,
        _ => start.replace("ADT^A01^ADT_A01", "ORU^R01^ORU_R01"),
    };
    if kind != "ADT, NK1" {
        text.push_str("ORC|RE|P1^EHR|F1^LAB\rOBR|1|P1^EHR|F1^LAB|24323-8^Panel^LN|||20260301\r");
    }
    for n in 0..segments {
        text.push_str(&match kind {
            "ADT, NK1" => format!("NK1|{n}|KIN{n}^MADE UP|SPO|{n} ST^^TOWN\r"),
            "ORU, OBX" => format!(
                "OBX|{n}|NM|T{n}^Test {n}^L|{n}|{n}.5|mg/dL|1-5|N|||F|||20260301|||{n}^TECH\r"
            ),
            _ => format!(
                "OBR|{n}||R{n}^LAB|T{n}^Test^L|||20260301\rOBX|1|ST|X||a\rNTE|1||note {n}\r"
            ),
        });
    }
    text.into_bytes()
}

fn growth(mapper: &Mapper) {
    println!("| message | segments | ms | µs a segment |");
    println!("| --- | ---: | ---: | ---: |");
    for kind in ["ADT, NK1", "ORU, OBX", "ORU, OBR OBX NTE"] {
        for segments in [1_000, 4_000, 16_000] {
            let repeats = if kind == "ORU, OBR OBX NTE" {
                segments / 3
            } else {
                segments
            };
            let message = long(kind, repeats);
            let times = (0..3).map(|_| {
                let begun = Instant::now();
                let first = spent(begun);
                black_box(bundle(mapper, &message));
                spent(begun) - first
            });
            let time = median(times.collect());
            println!(
                "| {kind} | {segments} | {:.1} | {:.1} |",
                time * 1e3,
                time * 1e6 / segments as f64
            );
        }
    }
}

fn main() {
    let mapper = match Mapper::embedded() {
        Ok(mapper) => mapper,
        Err(errors) => panic!("the maps have {} errors", errors.len()),
    };
    throughput(&mapper);
    growth(&mapper);
}
