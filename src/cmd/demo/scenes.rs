//! The five scenes. Each shows what went over the wires and checks the answers.

use super::app::{App, PATH, Seen};
use super::page::{Page, outline, wire};
use crate::mllp::{Decoder, Event, More, wrap};
use crate::outbound::{Answer, Block, Code, Connection, Error, Options};
use crate::telemetry::ListenerMetrics;
use crate::telemetry::labels::Attempt;
use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

// Every name, number and address is made up.

const ADMISSION: &str = "MSH|^~\\&|REGADT|HOSP|APP|CLOUD|20261122101500||ADT^A01^ADT_A01|DEMO-1|P|2.5.1\r\
    EVN|A01|20261122101500\r\
    PID|1||4711^^^HOSP^MR||MUSTER^ERIKA||19700131|F\r\
    PV1|1|I|WARD4^101^B\r";

const WITHOUT_PID3: &str = "MSH|^~\\&|REGADT|HOSP|APP|CLOUD|20261122101700||ADT^A01^ADT_A01|DEMO-2|P|2.5.1\r\
    PID|1||||MUSTER^MAX||19820514|M\r";

const OLD: &str = "MSH|^~\\&|OLDREG|HOSP|APP|CLOUD|199811221018||ADT^A01|DEMO-3|P|2.3\r\
    PID|1||||MUSTER^MAX||19820514|M\r";

const RESULT: &str = "MSH|^~\\&|LAB|HOSP|APP|CLOUD|20261122101900||ORU^R01^ORU_R01|DEMO-4|P|2.5.1\r\
    PID|1||4711^^^HOSP^MR||MUSTER^ERIKA\r\
    OBX|1|NM|2345-7^Glucose^LN||95|mg/dL|70-99|N|||F\r";

/// Junk, segments that end in LF, a block without its last CR, and the next block in the same breath.
const SLOPPY: &[u8] =
    b"\0\0\n\x0bMSH|^~\\&|OLDREG|HOSP|APP|CLOUD|20261122102000||ADT^A01|DEMO-5|P|2.4\n\
    PID|1||4711\n\x1c\x0bMSH|^~\\&|OLDREG|HOSP|APP|CLOUD|20261122102001||ADT^A03|DEMO-6|P|2.4\r\
    PID|1||4711\r\x1c\r";

/// What the sloppy sender's deviations are called, and how often each occurs.
const DEVIATIONS: [(&str, u32); 3] = [
    ("junk_before_start", 1),
    ("end_without_cr", 1),
    ("lf_terminator", 1),
];

/// The configuration's `ack.deadline`: short, because somebody waits for it here.
pub(super) const DEADLINE: Duration = Duration::from_millis(1200);

/// For things that happen at once on one machine, however busy it is.
const PATIENCE: Duration = Duration::from_secs(3);

/// Everything that plays a part.
pub(super) struct Stage {
    pub(super) page: Page,
    pub(super) app: App,
    pub(super) listener: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) metrics: ListenerMetrics,
    pub(super) options: Options,
}

impl Stage {
    /// Plays all scenes; whether every one went as expected.
    ///
    /// # Errors
    /// If the demo itself fails.
    pub(super) async fn play(&mut self) -> anyhow::Result<bool> {
        let page = self.page;
        let heading = "HL7 v2 comes in over MLLP, your app gets HTTP, its status becomes the ACK";
        page.line(&page.paint.bold(heading));
        let (bridge, app) = (self.listener.to_string(), self.app.address());
        page.line(&format!(
            "\n   sender ──MLLP──► bridge {bridge} ──POST──► app http://{app}{PATH}"
        ));
        let pad = " ".repeat(bridge.len());
        page.line(&format!("          ◄──ACK──        {pad} ◄─status─"));

        let scenes = [
            self.accepted().await?,
            self.refused().await?,
            self.refused_in_the_old_way().await?,
            self.app_down_and_up().await?,
            self.sloppy_sender().await?,
        ];
        let right = scenes.iter().filter(|right| **right).count();
        let summary = format!("{right} of {} as expected", scenes.len());
        let all = right == scenes.len();
        page.line("\nNext");
        page.line("   mllp-bridge run --app http://127.0.0.1:8080/hl7   a bridge in front of an app of yours");
        page.line("   mllp-bridge send 127.0.0.1:2575 FILE              messages of yours, and their answers");
        page.line("");
        page.line(&if all {
            page.paint.good(&summary)
        } else {
            page.paint.bad(&summary)
        });
        Ok(all)
    }

    async fn accepted(&mut self) -> anyhow::Result<bool> {
        self.page.heading(
            1,
            "An admission, and the app takes it",
            "A message travels in a block: <VT> before it, <FS><CR> behind it, <CR> after each segment.",
        );
        let sent = self.send(ADMISSION).await?;
        let seen = self.app.take_seen();
        if let [request] = seen.as_slice() {
            let post = format!("POST {PATH}  {}", request.content_type);
            self.page.part("envelope", &[post]);
            self.page.part("", &outline(&request.envelope));
        }
        self.status(&seen);
        self.ack(&sent);
        let right = code(&sent) == Some(Code::Aa) && statuses(&seen) == [200];
        self.page.verdict(
            right,
            "200 became AA: the app has the message, the sender may forget it",
        );
        Ok(right)
    }

    async fn refused(&mut self) -> anyhow::Result<bool> {
        self.page.heading(
            2,
            "A patient without an identifier, and the app refuses",
            "Problem details (RFC 9457) that name a field become ERR segments.",
        );
        let sent = self.send(WITHOUT_PID3).await?;
        let seen = self.app.take_seen();
        self.status(&seen);
        self.ack(&sent);
        let err = "ERR||PID^1^3|101^Required field missing^HL70357|E";
        let right = is_error(&sent, err) && statuses(&seen) == [422];
        self.page.verdict(
            right,
            "422 became AE, and ERR says where: PID-3, required field missing",
        );
        Ok(right)
    }

    async fn refused_in_the_old_way(&mut self) -> anyhow::Result<bool> {
        self.page.heading(
            3,
            "The same from a sender of 1998",
            "Before 2.5, ERR looks different and the text stands in MSA-3. The app need not know.",
        );
        let sent = self.send(OLD).await?;
        let seen = self.app.take_seen();
        self.ack(&sent);
        let err = "ERR|PID^1^3^101&Required field missing&HL70357";
        let right = is_error(&sent, err) && statuses(&seen) == [422];
        self.page.verdict(right, "AE in version 2.3's own shape");
        Ok(right)
    }

    async fn app_down_and_up(&mut self) -> anyhow::Result<bool> {
        self.page.heading(
            4,
            "The app is down, then up again",
            "The bridge tries until its ACK deadline, then says so: a positive ACK is never a guess.",
        );
        self.app.down().await;
        let refused = self.metrics.attempts_failed.of(Attempt::Refused);
        let before = refused.get();
        let started = Instant::now();
        let down = self.send(RESULT).await?;
        let waited = started.elapsed();
        let tries = refused.get() - before;
        let (waited_ms, deadline) = (waited.as_millis(), DEADLINE.as_millis());
        self.page.part(
            "app",
            &[format!(
                "down: {tries} attempts refused in {waited_ms} ms (ack.deadline is {deadline}ms here)"
            )],
        );
        self.ack(&down);
        let in_time = (DEADLINE / 2..DEADLINE + PATIENCE).contains(&waited);
        let while_down = is_error(&down, "|207^") && self.app.take_seen().is_empty() && in_time;
        self.page.verdict(
            while_down,
            "AE at the deadline: the sender keeps the message and sends it again",
        );

        self.app.up().context("the app does not come up again")?;
        let again = self.exchange(RESULT).await?;
        let seen = self.app.take_seen();
        self.page
            .part("again", &["the same message, the app is up".to_owned()]);
        self.status(&seen);
        self.ack(&again);
        let when_up = code(&again) == Some(Code::Aa) && statuses(&seen) == [200];
        self.page.verdict(when_up, "AA, and the app has it once");
        Ok(while_down && when_up)
    }

    async fn sloppy_sender(&mut self) -> anyhow::Result<bool> {
        self.page.heading(
            5,
            "A sloppy sender",
            "Junk before a block, <LF> for <CR>, an end without <CR>: put up with, and counted.",
        );
        self.page.part("bytes", &wire(SLOPPY));
        let answers = self.send_raw(SLOPPY, [b"DEMO-5", b"DEMO-6"]).await;
        let seen = self.app.take_seen();
        let acks = match &answers {
            Ok(answers) => answers.iter().flat_map(msa).collect(),
            Err(error) => vec![format!("{error:#}")],
        };
        self.page.part("ACKs", &acks);
        let (lines, counted) = self.deviations().await?;
        self.page.part("metrics", &lines);
        let accepted = answers.is_ok_and(|answers| answers.iter().all(|a| a.code() == Code::Aa));
        let right = accepted && statuses(&seen) == [200, 200] && counted;
        self.page.verdict(
            right,
            "two messages, two AA in order, and each deviation counted once",
        );
        Ok(right)
    }

    /// Shows a message as it goes out, sends it and waits for its answer.
    async fn send(&self, message: &str) -> anyhow::Result<Result<Answer, Error>> {
        let block = Block::new(message.as_bytes(), &self.options)?;
        self.page.part("frame", &wire(block.bytes()));
        self.exchange(message).await
    }

    async fn exchange(&self, message: &str) -> anyhow::Result<Result<Answer, Error>> {
        let block = Block::new(message.as_bytes(), &self.options)?;
        let connection = Connection::open(&self.listener.to_string(), None, self.options).await?;
        // None of the demo's messages does without an answer.
        match connection.exchange(&block).await {
            Ok((_, answer)) => answer.context("no answer was wanted").map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Sends bytes as they are, and reads the acknowledgements of these messages.
    async fn send_raw<const N: usize>(
        &self,
        bytes: &[u8],
        control_ids: [&[u8]; N],
    ) -> anyhow::Result<Vec<Answer>> {
        let mut stream = TcpStream::connect(self.listener).await?;
        stream.write_all(bytes).await?;
        let Options {
            framing,
            max_answer_bytes,
            ..
        } = self.options;
        let mut decoder = Decoder::new(framing.start, framing.end, max_answer_bytes);
        let mut input = Vec::new();
        let mut answers = Vec::new();
        let mut expected = control_ids.into_iter();
        let mut next = expected.next();
        while let Some(control_id) = next {
            let step = decoder.step(&input, More::Maybe);
            if let Event::Frame(range) = step.event {
                let data = input.get(range).unwrap_or_default().to_vec();
                answers.push(Answer::read(data, control_id)?);
                next = expected.next();
                input.drain(..step.consumed);
                continue;
            }
            input.drain(..step.consumed);
            let read = timeout(PATIENCE, stream.read_buf(&mut input)).await;
            if read.context("no answer in time")?? == 0 {
                bail!("the bridge closed the connection");
            }
        }
        Ok(answers)
    }

    /// The deviations in `/metrics`, and whether they are the sloppy sender's. They are counted after the answer.
    async fn deviations(&self) -> anyhow::Result<(Vec<String>, bool)> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()?;
        let url = format!("http://{}/metrics", self.admin);
        let until = Instant::now() + PATIENCE;
        loop {
            let text = client.get(&url).send().await?.text().await?;
            let mut lines: Vec<String> = text
                .lines()
                .filter(|line| {
                    line.starts_with("mllp_bridge_deviations_total") && !line.ends_with(" 0")
                })
                .map(str::to_owned)
                .collect();
            let found = DEVIATIONS.iter().all(|(kind, count)| {
                let ends = format!("{count}");
                lines.iter().any(|line| {
                    line.contains(&format!("\"{kind}\"")) && line.rsplit(' ').next() == Some(&ends)
                })
            });
            let right = found && lines.len() == DEVIATIONS.len();
            if right || Instant::now() > until {
                lines.insert(0, format!("curl {url}"));
                return Ok((lines, right));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn status(&self, seen: &[Seen]) {
        let mut lines = Vec::new();
        for request in seen {
            lines.push(format!("HTTP {}", request.status));
            lines.extend(request.problem.as_ref().map(ToString::to_string));
        }
        if seen.is_empty() {
            lines.push("nothing came".into());
        }
        self.page.part("app", &lines);
    }

    fn ack(&self, sent: &Result<Answer, Error>) {
        let lines = match sent {
            Ok(answer) => {
                let mut block = Vec::new();
                wrap::block_into(&mut block, &self.options.framing, |out| {
                    out.extend_from_slice(answer.bytes());
                });
                wire(&block)
            }
            Err(error) => vec![error.to_string()],
        };
        self.page.part("ACK", &lines);
    }
}

fn code(sent: &Result<Answer, Error>) -> Option<Code> {
    sent.as_ref().ok().map(Answer::code)
}

/// AE, with this in one of its ERR segments.
fn is_error(sent: &Result<Answer, Error>, err: &str) -> bool {
    sent.as_ref().is_ok_and(|answer| {
        let text = String::from_utf8_lossy(answer.bytes());
        let found = text
            .split('\r')
            .any(|segment| segment.starts_with("ERR") && segment.contains(err));
        answer.code() == Code::Ae && found
    })
}

fn statuses(seen: &[Seen]) -> Vec<u16> {
    seen.iter().map(|request| request.status.as_u16()).collect()
}

/// The MSA segment alone.
fn msa(answer: &Answer) -> Option<String> {
    let text = String::from_utf8_lossy(answer.bytes());
    let found = text.split('\r').find(|segment| segment.starts_with("MSA"));
    found.map(|segment| format!("{segment}<CR>"))
}
