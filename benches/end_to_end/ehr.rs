//! The MLLP server behind the way out: reads a frame to its end, answers `AA` with its control ID, counts.
//!
//! Like the app behind the way in it is written by hand and runs on the load generator's thread, so that it is never the
//! bottleneck.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::messages::{CONTROL_ID_DIGITS, CR, FS, VT};
use crate::stub::Counter;

const BUFFER: usize = 64 * 1024;

/// A running server; it ends with the process.
#[derive(Debug)]
pub(crate) struct Ehr {
    pub(crate) address: SocketAddr,
    pub(crate) counter: Counter,
}

impl Ehr {
    /// Starts it on the runtime that this is called in.
    pub(crate) async fn start() -> Result<Self> {
        let counter = Counter::default();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let counts = counter.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counter = counts.clone();
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &counter).await {
                        eprintln!("MLLP server: {error:#}");
                    }
                });
            }
        });
        Ok(Self { address, counter })
    }
}

/// Serves one connection until the client closes it.
async fn serve(mut stream: TcpStream, counter: &Counter) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = vec![0; BUFFER];
    let mut head = Vec::new();
    let mut answer = Vec::new();
    let (mut length, mut last) = (0, 0);
    loop {
        let read = stream.read(&mut input).await?;
        let Some(bytes) = input.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        if length == 0 && bytes[0] != VT {
            bail!("a frame begins with {:#04x}", bytes[0]);
        }
        // Nothing is sent ahead of its answer, so a frame ends where what was read ends.
        let ends = matches!(bytes, [.., FS, CR]) || (last == FS && bytes == [CR]);
        if head.len() < BUFFER {
            head.extend_from_slice(bytes);
        }
        length += read;
        last = bytes[read - 1];
        if !ends {
            continue;
        }
        // Counted before it is answered: when the last answer is in, the count is complete.
        counter.add(1, length - 3);
        acknowledge(&head, &mut answer)?;
        stream.write_all(&answer).await?;
        head.clear();
        (length, last) = (0, 0);
    }
}

fn acknowledge(frame: &[u8], answer: &mut Vec<u8>) -> Result<()> {
    let control_id = frame.split(|byte| *byte == b'|').nth(9);
    let control_id = control_id.context("a message without MSH-10")?;
    if control_id.len() != CONTROL_ID_DIGITS {
        bail!("a control ID of {} bytes", control_id.len());
    }
    answer.clear();
    answer.push(VT);
    answer.extend_from_slice(
        b"MSH|^~\\&|EHR|NORTHSIDE|WARDSYS|NORTHSIDE|20260114093001||ACK^A01^ACK|",
    );
    answer.extend_from_slice(control_id);
    answer.extend_from_slice(b"|P|2.5.1\rMSA|AA|");
    answer.extend_from_slice(control_id);
    answer.extend_from_slice(&[CR, FS, CR]);
    Ok(())
}
