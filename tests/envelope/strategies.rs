//! Messages as no sender would write them: any delimiters, terminators and character sets, escapes whole and broken.

use proptest::prelude::*;

/// MSH-1 and MSH-2: the usual ones, and any others.
fn delimiters() -> impl Strategy<Value = Vec<u8>> {
    let punctuation: Vec<u8> = (0x21..0x7F).filter(u8::is_ascii_punctuation).collect();
    prop_oneof![
        4 => Just(b"|^~\\&".to_vec()),
        1 => Just(b"|^~\\&#".to_vec()),
        1 => Just(b"|^~\\".to_vec()),
        1 => Just(b"|^".to_vec()),
        3 => (Just(punctuation), 1usize..=6).prop_flat_map(|(all, count)| {
            Just(all).prop_shuffle().prop_map(move |all| all[..count].to_vec())
        }),
    ]
}

/// Bytes that mean something more often than chance would have them.
fn body(delimiters: &[u8]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let usual = prop::sample::select(delimiters.to_vec());
    let escape = delimiters.get(3).copied().unwrap_or(b'\\');
    let sequence = prop::sample::select(vec![
        "F", "S", "T", "R", "E", "P", "X41", "XE9", "XC3A9", "X0D", "X", ".br", "H", "Zq", "C2842",
        "C2D46", "C2D4C", "C2949", "C284A", "M2442", "M242843", "M242943", "XCDDF", "X3B33", "q",
    ]);
    let piece = prop_oneof![
        6 => usual.prop_map(|byte| vec![byte]),
        3 => prop::sample::select(vec!["A", "PID", "MSH", "BHS", "0", "\"\"", " ", "x y"]).prop_map(|text| text.as_bytes().to_vec()),
        2 => prop::sample::select(vec!["\r", "\n", "\r\n", "\rOBX", "\rPID", "\nMSH", "\rBHS"]).prop_map(|text| text.as_bytes().to_vec()),
        2 => sequence.prop_map(move |body| [&[escape], body.as_bytes(), &[escape]].concat()),
        1 => prop::sample::select(vec![&b"\xb3\x5c"[..], b"\xa4\x7c", b"\x81\x30\x81\x30", b"\x1b$B;3\x1b(B", b"\x1b(J\\", b"\xb1\xe8"]).prop_map(<[u8]>::to_vec),
        1 => prop::sample::select(vec!["é", "ß", "漢", "😀", "\u{85}"]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

pub(crate) fn messages() -> impl Strategy<Value = Vec<u8>> {
    let label = prop::sample::select(vec![
        "",
        "ASCII",
        "UNICODE UTF-8",
        "UTF-8",
        "8859/1",
        "iso-8859-1",
        "8859/15",
        "8859/2",
        "8859/6",
        "8859/9",
        "windows-1252",
        "GB 18030-2000",
        "BIG-5",
        "KS X 1001",
        "ISO IR87",
        "Shift_JIS",
        "EUC-JP",
        "UNICODE UTF-16",
    ]);
    let terminator = prop::sample::select(vec!["\r", "\n", "\r\n"]);
    let lead = prop_oneof![9 => Just(""), 1 => Just("\u{feff}"), 1 => Just("\r\n ")];
    (delimiters(), label, terminator, lead)
        .prop_flat_map(|(delimiters, label, terminator, lead)| {
            // A name that the message's own delimiters take apart is none.
            let whole = !label.bytes().any(|byte| delimiters.contains(&byte));
            let label = if whole { label } else { "" };
            let header = move |delimiters: &[u8]| {
                let field = char::from(delimiters[0]).to_string();
                let start = [lead.as_bytes(), b"MSH", delimiters].concat();
                let rest = format!("{field}A{field}B{field}C{field}D{field}2026{field}{field}ADT{field}7{field}P{field}2.5");
                let rest = format!("{rest}{}{label}", field.repeat(6));
                (start, rest)
            };
            (body(&delimiters), body(&delimiters)).prop_map(move |(inside, after)| {
                let (start, rest) = header(&delimiters);
                let field = [delimiters[0]];
                [&start, rest.as_bytes(), &field, &inside, terminator.as_bytes(), &after].concat()
            })
        })
}
