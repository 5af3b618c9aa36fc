//! docs/interop.md, made of the tables that the tests hold the peers to. `UPDATE_DOCS=1` writes it (`make docs`).

use std::fmt::Write;

use crate::acks::{ASKED, DOUBTS, PARSERS, VERSIONS};
use crate::cases::{CASES, CLIENTS, Case};
use crate::openssl;
use crate::peers::Peer;
use crate::schemathesis::{UNWILLING, WILLING};
use crate::servers::{SENT, SERVERS};
use crate::support::kept::{compare, repository};
use crate::v3;

const PAGE: &str = "docs/interop.md";

const HEAD: &str = "\
# Interoperability

Other people's software against a running bridge, and what *it* makes of the answers. This page is made of the tables in
[tests/interop](../tests/interop/README.md) by `make docs`. `make interop`, a part of CI, installs every peer, in the version that is
named here, and holds it to them.

";

const CLIENT_HEAD: &str = "
## Clients

What a client's own parser tells of the answer: MSA-1, and where the message was refused, the place (ERR-2), the condition (ERR-3) and
the text (ERR-8) of the first error. MSA-2 is compared with the control ID that the client has sent, for each message, and the app
must have had each message once. *Yes* is what the column *seen* says, a dash what a client cannot send.

";

const PARSER_HEAD: &str = "
## Parsers

Each kind of acknowledgement that the bridge makes, in every version, goes to two parsers with their validation on.

- HAPI HL7v2 parses with `ValidationContextFactory.defaultValidation()`. Then its classes are asked what it does not check by itself:
  segments and fields that a version does not have, required ones that are missing, repetitions, components, lengths; and it must
  encode the acknowledgement to the same bytes again. Acknowledgements in v2.xml (2.3.1 to 2.7, each code) go to its `DefaultXMLParser` in the same
  way.
- hl7apy parses with `VALIDATION_LEVEL.STRICT`, and validates.

The acknowledgements, by what had become of the message:

";

const SERVER_HEAD: &str = "
## Servers

The bridge sends to other people's servers by [its API](outbound.md). What the server's parser reads, the control ID, PID-5.1 and the whole message as it has
it, is compared with what was sent, and the response with what the server meant.

| sent | response | HAPI HL7v2 | `hl7.mllp` | simple-hl7 |
| --- | --- | --- | --- | --- |
";

const TLS_HEAD: &str = "
### With TLS

`hl7.mllp` again, with OpenSSL and one version of TLS. The destination trusts the server's authority (`tls.ca_file`), and has these keys beside it:

| the server has | `tls` | response |
| --- | --- | --- |
";

const API_HEAD: &str = "
## The API's description

Schemathesis makes requests of [`/openapi.json`](openapi.json): examples, each boundary of each schema, random ones that keep to it, random ones that
do not, and chains of operations. Each status, media type, header and body that comes back must be in the document; what the document
admits must be taken, and what it does not must be refused. It finds nothing. The bodies that are meant to be taken are made messages, for no schema can
say what one is, and each of them must get the response of its destination's row. Two things are not left to chance: `Accept` is always one that the
API can serve, and an `Idempotency-Key` always comes with the same message, so that what becomes of a key's second message is not tested here.

| its server | response |
| --- | --- |
";

const V3_HEAD: &str = "
## v3

Each v3 acknowledgement, as it comes over the wire, is validated by HL7's own schema; copies that are broken in one place are found
invalid by it.

| a message | gets | `acknowledgementDetail` | by the schema |
| --- | --- | --- | --- |
";

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What is between two texts of a file: a version that is pinned there.
fn pinned(path: &str, before: &str, after: &str) -> String {
    let text = read(path);
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("{path} has no {before:?}"));
    let (version, _) = rest.split_once(after).expect("an end");
    version.to_owned()
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Peer::HapiClient | Peer::HapiParser | Peer::HapiServer => "HAPI HL7v2",
            Peer::MllpSend => "`mllp_send`",
            Peer::Asyncio | Peer::AsyncioServer => "`hl7.mllp`",
            Peer::Node => "node-hl7-client",
            Peer::NodeServer => "simple-hl7",
            Peer::Hl7apy => "hl7apy",
            Peer::V3Schema => "HL7's schema",
            Peer::Schemathesis => "Schemathesis",
        }
    }

    /// Whose it is, and of which version.
    fn origin(self) -> String {
        match self {
            Peer::HapiClient | Peer::HapiParser | Peer::HapiServer => {
                let version = pinned("tests/interop/hapi/pom.xml", "<hapi.version>", "<");
                format!("HAPI HL7v2 {version} (Java)")
            }
            Peer::MllpSend | Peer::Asyncio | Peer::AsyncioServer => {
                let version = pinned("tests/interop/python/requirements.txt", "\nhl7==", " ");
                format!("hl7 {version} (Python)")
            }
            Peer::Hl7apy => {
                let version = pinned("tests/interop/python/requirements.txt", "hl7apy==", " ");
                format!("hl7apy {version} (Python)")
            }
            Peer::V3Schema => {
                let version = pinned("tests/interop/v3/pom.xml", "<ipf.version>", "<");
                format!("`ipf-commons-ihe-hl7v3` {version} (Java)")
            }
            Peer::Schemathesis => {
                let file = "tests/interop/schemathesis/requirements.txt";
                let version = pinned(file, "\nschemathesis==", " ");
                format!("schemathesis {version} (Python)")
            }
            Peer::Node => {
                let version = pinned(
                    "tests/interop/node/package.json",
                    "\"node-hl7-client\": \"",
                    "\"",
                );
                format!("node-hl7-client {version} (Node.js)")
            }
            Peer::NodeServer => {
                let version = pinned(
                    "tests/interop/node/package.json",
                    "\"simple-hl7\": \"",
                    "\"",
                );
                format!("simple-hl7 {version} (Node.js)")
            }
        }
    }

    fn how(self) -> &'static str {
        match self {
            Peer::HapiClient => {
                "its client: `HapiContext.newClient` and `sendAndReceive`, with default validation"
            }
            Peer::MllpSend => "its command",
            Peer::Asyncio => "its client: `open_hl7_connection`",
            Peer::Node => "its client: `createConnection` and `sendMessage`",
            Peer::HapiParser => "its `PipeParser`",
            Peer::HapiServer => "its server: `HapiContext.newServer`",
            Peer::AsyncioServer => "its server: `start_hl7_server`",
            Peer::NodeServer => "its `TcpServer`",
            Peer::Hl7apy => "its `parse_message` and `Validator`",
            Peer::V3Schema => {
                "`MCCI_IN000002UV01.xsd` of the Normative Edition 2008 and what it includes, by the JDK's validator"
            }
            Peer::Schemathesis => "its command `run`, with all of its checks",
        }
    }
}

/// Notes, numbered from 1 in the order of their first use.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn number(&mut self, note: &str) -> usize {
        let place = self.0.iter().position(|known| known == note);
        place.unwrap_or_else(|| {
            self.0.push(note.to_owned());
            self.0.len() - 1
        }) + 1
    }

    fn list(&self) -> String {
        let line = |(number, note): (usize, &String)| format!("{}. {note}.\n", number + 1);
        self.0.iter().enumerate().map(line).collect()
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| peer | is | what is used of it |\n| --- | --- | --- |\n");
    let others = PARSERS
        .into_iter()
        .chain([Peer::V3Schema])
        .chain(SERVERS)
        .chain([Peer::Schemathesis]);
    for peer in CLIENTS.into_iter().chain(others) {
        writeln!(
            page,
            "| {} | {} | {} |",
            peer.name(),
            peer.origin(),
            peer.how()
        )
        .unwrap();
    }
    page.push_str(CLIENT_HEAD);
    clients(&mut page);
    page.push_str(PARSER_HEAD);
    parsers(&mut page);
    page.push_str(SERVER_HEAD);
    for (what, seen) in SENT {
        writeln!(
            page,
            "| {what} | {seen} |{}",
            " yes |".repeat(SERVERS.len())
        )
        .unwrap();
    }
    page.push_str(TLS_HEAD);
    for (server, tls, response) in openssl::CASES {
        let response = match response {
            "AA" => "200, `AA`".to_owned(),
            why => format!("{}: {why}", openssl::problem(why).0),
        };
        writeln!(page, "| {server} | {tls} | {response} |").unwrap();
    }
    page.push_str(API_HEAD);
    for row in WILLING.iter().chain(&UNWILLING) {
        writeln!(page, "| {} | {} |", row.server, row.response).unwrap();
    }
    page.push_str(V3_HEAD);
    for asked in &v3::ASKED {
        let v3::Asked {
            what,
            code,
            details,
            ..
        } = asked;
        writeln!(page, "| {what} | `{code}` | {details} | valid |").unwrap();
    }
    page
}

fn clients(page: &mut String) {
    let mut notes = Notes::default();
    let columns: String = CLIENTS
        .map(|client| format!(" {} |", client.name()))
        .concat();
    let line = " --- |".repeat(CLIENTS.len());
    writeln!(page, "| sent | seen |{columns}\n| --- | --- |{line}").unwrap();
    for case in CASES {
        let cells = CLIENTS.map(|client| format!(" {} |", cell(case, client, &mut notes)));
        let seen = codes(case.sees);
        writeln!(page, "| {} | {seen} |{}", case.what, cells.concat()).unwrap();
    }
    write!(page, "\n{}", notes.list()).unwrap();
}

/// What this client sees, or that it sees what is seen.
fn cell(case: &Case, client: Peer, notes: &mut Notes) -> String {
    let seen = case.seen_by(client);
    let mut cell = if seen == case.sees && !seen.is_empty() {
        "yes".to_owned()
    } else {
        codes(seen)
    };
    if let Some(but) = case.but.iter().find(|but| but.client == client) {
        let number = notes.number(&format!("{}: {}", client.name(), but.why));
        write!(cell, " ({number})").unwrap();
    }
    cell
}

fn codes(seen: &[&str]) -> String {
    if seen.is_empty() {
        return "–".to_owned();
    }
    let codes: Vec<String> = seen
        .iter()
        .map(|seen| format!("`{}`", seen.replace(": ,", ": –,")))
        .collect();
    codes.join(" or ")
}

fn parsers(page: &mut String) {
    for asked in &ASKED {
        writeln!(page, "- {}", asked.made()).unwrap();
    }
    let mut notes = Notes::default();
    let columns: String = PARSERS
        .map(|parser| format!(" {} |", parser.name()))
        .concat();
    writeln!(
        page,
        "\n| version | acknowledgements |{columns}\n| --- | --- |{}",
        " --- |".repeat(PARSERS.len())
    )
    .unwrap();
    for version in VERSIONS {
        let made: usize = ASKED
            .iter()
            .filter(|asked| asked.is_of(version))
            .map(crate::acks::Asked::answers)
            .sum();
        let cells = PARSERS.map(|parser| {
            let Some(doubt) = DOUBTS.iter().find(|doubt| doubt.is_of(parser, version)) else {
                return " valid |".to_owned();
            };
            let number = notes.number(&format!("{}: {}", parser.name(), doubt.why));
            format!(" {} ({number}) |", doubt.cell)
        });
        writeln!(page, "| {version} | {made} |{}", cells.concat()).unwrap();
    }
    write!(page, "\n{}", notes.list()).unwrap();
}

#[test]
fn the_page_is_what_the_tables_say() {
    compare(PAGE, &page());
}
