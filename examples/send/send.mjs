#!/usr/bin/env node
// Sends an HL7 message to a destination of mllp-bridge, and says what became of it.
//
//     node send.mjs DESTINATION FILE      (MLLP_BRIDGE is http://127.0.0.1:2580, ATTEMPTS 5, unless they are set)
//
// Exit status: 0 accepted; 1 the destination has it and said no; 2 not sent, and it would not be; 3 not sent, try later;
// 4 not known: look at the destination.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const BRIDGE = process.env.MLLP_BRIDGE ?? "http://127.0.0.1:2580";
const ATTEMPTS = Number(process.env.ATTEMPTS ?? 5);
const TIMEOUT_MS = 90_000; // longer than queue.timeout and ack.timeout together

const ACCEPTED = 0, REFUSED = 1, WRONG = 2, LATER = 3, UNKNOWN = 4;

/** The response's status, its Retry-After and its JSON. */
async function post(destination, message) {
  const response = await fetch(`${BRIDGE}/v1/destinations/${encodeURIComponent(destination)}/messages`, {
    method: "POST",
    headers: {
      "Content-Type": "application/hl7-v2",
      // The message's name: whoever sends it again under this name, this program after a crash say, gets the first one's answer.
      "Idempotency-Key": createHash("sha256").update(message).digest("hex"),
    },
    body: message,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const retryAfter = Number(response.headers.get("Retry-After") ?? 1);
  return { status: response.status, retryAfter, answer: await response.json() };
}

function complain({ title, detail, errors = [] }) {
  console.error(`${title}: ${detail}`);
  // Not the errors' text: the destination may quote the message in it, and a log is no place for that.
  for (const { location, condition } of errors) console.error(`  ${location}: ${condition}`);
}

async function send(destination, message) {
  let lost = false;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    let wait = attempt;
    try {
      const { status, retryAfter, answer } = await post(destination, message);
      if (status === 200) {
        console.log(answer.code ?? "sent", answer.control_id); // no code: the message asks for no acknowledgement
        return ACCEPTED;
      }
      complain(answer);
      if (answer.may_have_arrived) return answer.code ? REFUSED : UNKNOWN;
      if (status !== 429 && status !== 503) return WRONG;
      wait = retryAfter; // nothing was sent, and it may be soon
    } catch (error) {
      console.error(`no answer from ${BRIDGE}: ${error.cause?.code ?? error.name}`);
      // Unless nobody listens, the bridge may have the message. What became of it is asked with the same key.
      lost ||= error.cause?.code !== "ECONNREFUSED";
    }
    if (attempt < ATTEMPTS) await sleep(wait * 1000);
  }
  return lost ? UNKNOWN : LATER;
}

const [destination, file] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: node send.mjs DESTINATION FILE");
  process.exit(WRONG);
}
const content = await readFile(file).catch((error) => {
  console.error(error.message);
  process.exit(WRONG);
});
process.exitCode = await send(destination, content);
