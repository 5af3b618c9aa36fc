//! mllp-bridge takes HL7 v2 messages over MLLP, POSTs each to an app over HTTP, and turns the app's answer into
//! the acknowledgement that the sender waits for.
//!
//! ```text
//! listener ──► frame ──► message ──► envelope ──► deliver ──► ack ──► reply
//! inbound      mllp      hl7         envelope     deliver     hl7     inbound
//! ```
//!
//! The modules in the order of the flow:
//!
//! - [`inbound`] accepts connections, reads frames, and holds the exchange, which is this line as one function.
//! - [`mllp`] finds frames in bytes and puts bytes into frames.
//! - [`hl7`] reads a message's header and text, and writes the acknowledgement.
//! - [`xml`] does the same for HL7 in XML: v2.xml, v3 and CDA.
//! - [`envelope`] makes the JSON that the app gets, and reads it back.
//! - [`fhir`] makes a FHIR R4 Bundle of it instead, by mapping files.
//! - [`deliver`] brings it to the app, tries again, and says what the app's answer means.
//!
//! And around the line:
//!
//! - [`outbound`] is the other direction: the HTTP API by which the app sends messages, and the connections to MLLP servers.
//! - [`awaited`] brings an answer that comes back on a listener to whoever waits for it.
//! - [`injector`] says which pods get a sidecar, and what is added to them; and is the webhook that does it, with its certificates.
//! - [`config`] is what a user asked for, checked; plain data that every module may read.
//! - [`admin`] serves metrics, health and drain.
//! - [`telemetry`] has every metric, every label and the log.
//! - [`state`] is what outlives the process.
//! - [`runtime`] has the timer, the buffers and their bound, the drain signal and the clock.
//! - [`net`] opens sockets and sets their options.
//! - [`cli`] is the command line as types, [`cmd`] what each command wires together.
//!
//! A module imports only from the layers below its own; ARCHITECTURE.md has the layers, and the rules that must hold.

pub mod admin;
pub mod awaited;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod deliver;
pub mod envelope;
pub mod fhir;
pub mod hl7;
pub mod inbound;
pub mod injector;
pub mod mllp;
pub mod net;
pub mod outbound;
pub mod runtime;
pub mod state;
pub mod telemetry;
pub mod xml;
