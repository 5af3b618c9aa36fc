#!/usr/bin/env node
// Sends an HL7 message to a destination of mllp-bridge, and says what became of it.
//
//     node send.mjs DESTINATION FILE      (MLLP_BRIDGE is http://127.0.0.1:2580, ATTEMPTS 5, unless they are set)
//
// KEY is the message's name, another one for each message. Without it the name is the message's SHA-256, where MSH-10 is filled.
//
// Exit status: 0 accepted; 1 the destination has it and said no; 2 not sent, and it would not be; 3 not sent, try later;
// 4 not known: look at the destination.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const BRIDGE = process.env.MLLP_BRIDGE || "http://127.0.0.1:2580";
const ATTEMPTS = process.env.ATTEMPTS || "5";
const TIMEOUT_MS = 90_000; // longer than queue.timeout and ack.timeout together

const ACCEPTED = 0, REFUSED = 1, WRONG = 2, LATER = 3, UNKNOWN = 4;

/** Whether MSH-10 is filled: without it two messages may have the same bytes. */
function isNamed(message) {
  const header = message.toString("latin1").split(/[\r\n]/, 1)[0];
  const fields = header.split(header[3] ?? "|");
  return fields[0] === "MSH" && Boolean(fields[9]);
}

/** The response's status, its Retry-After and its JSON, where that is an object. */
async function post(destination, message, key) {
  const response = await fetch(`${BRIDGE}/v1/destinations/${encodeURIComponent(destination)}/messages`, {
    method: "POST",
    // Whoever sends the message again under this name, this program after a crash say, gets the first one's answer.
    headers: { "Content-Type": "application/hl7-v2", "Idempotency-Key": key },
    body: message,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const body = await response.text();
  let answer = null;
  try {
    answer = JSON.parse(body);
  } catch {} // it is not the bridge that answered
  const seconds = response.headers.get("Retry-After") ?? "";
  return { status: response.status, retryAfter: /^\d{1,5}$/.test(seconds) ? Number(seconds) : 1, answer: answer ?? {} };
}

function complain(status, { title, detail, may_have_arrived, errors = [] }) {
  if (typeof may_have_arrived !== "boolean") return console.error(`status ${status}, and not in the bridge's words`);
  console.error(`${title}: ${detail}`);
  // Of the errors the place and the code alone. The rest is the destination's words, which may quote the message.
  for (const { location, condition } of errors) {
    const place = /^[A-Z][A-Z0-9]{2}[-.()[\]0-9]*$/.test(location) ? location : "?";
    console.error(`  ${place}: ${/^\d{3}(?= |$)/.exec(condition)?.[0] ?? "?"}`);
  }
}

async function send(destination, message, key) {
  let lost = false;
  for (let attempt = 1; attempt <= Number(ATTEMPTS); attempt++) {
    let wait = attempt;
    const response = await post(destination, message, key).catch((error) => {
      console.error(`no answer from ${BRIDGE}: ${error.cause?.code ?? error.name}`);
      // Unless nobody listens, the bridge may have the message. What became of it is asked with the same key.
      lost ||= error.cause?.code !== "ECONNREFUSED";
    });
    if (response) {
      const { status, retryAfter, answer } = response;
      if (answer.replayed === true) console.error("an earlier attempt's answer: with this key nothing was sent now");
      if (status === 200 && answer.code !== undefined && typeof answer.control_id === "string") {
        console.log(answer.code ?? "sent", answer.control_id); // no code: the message asks for no acknowledgement
        return ACCEPTED;
      }
      complain(status, answer);
      const arrived = answer.may_have_arrived;
      if (arrived !== false) return arrived === true && answer.code ? REFUSED : UNKNOWN; // also where it is not the bridge that answered
      if (status !== 429 && status !== 503) return lost ? UNKNOWN : WRONG;
      wait = retryAfter; // nothing was sent, and it may be soon
    }
    if (attempt < Number(ATTEMPTS)) await sleep(wait * 1000);
  }
  return lost ? UNKNOWN : LATER;
}

function wrong(text) {
  console.error(text);
  return WRONG;
}

async function main([destination, file]) {
  if (file === undefined) return wrong("usage: node send.mjs DESTINATION FILE");
  if (!/^[1-9]\d{0,5}$/.test(ATTEMPTS)) return wrong("ATTEMPTS must be a number from 1");
  if (!/^https?:\/\/[^@]+$/.test(BRIDGE)) return wrong("MLLP_BRIDGE must be as http://127.0.0.1:2580, without a user");
  let message;
  try {
    message = await readFile(file);
  } catch (error) {
    return wrong(error.message);
  }
  if (!process.env.KEY && !isNamed(message)) {
    return wrong("MSH-10 is empty, so that the same bytes may be another message: set KEY to a name of this one");
  }
  const key = process.env.KEY || createHash("sha256").update(message).digest("hex");
  if (!/^[!-~]{1,255}$/.test(key)) return wrong("KEY must be 1 to 255 visible ASCII characters");
  return send(destination, message, key);
}

process.exitCode = await main(process.argv.slice(2)).catch((error) => {
  console.error(`${error.name}: what became of the message is not known`);
  return UNKNOWN; // whatever it was, it is no answer; 1 would be one
});
