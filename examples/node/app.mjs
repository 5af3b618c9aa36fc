// An app behind mllp-bridge: takes HL7 messages as CloudEvents and says what becomes of them.
//
//     node app.mjs [PORT]        (or PORT in the environment; 0, the default, is a free one)
//
// The HTTP status is the acknowledgement: 2xx is AA, and the sender forgets the message. So answer
// 2xx only once it is safe, in your database say.

import { createServer } from "node:http";

const MAX_BODY = 64 * 1024 * 1024;

// What has been taken or is being taken, by CloudEvent id. A resend has the same id: say yes to it again, and do
// nothing. In a real app this is a unique key, written in the transaction that stores the message.
const seen = new Map();

/** The first repetition's component, "" where there is none. PID-5.2 is component(m, "PID", 5, 2). */
function component(message, segment, field, number = 1) {
  const found = message.segments.find(({ id }) => id === segment);
  const value = found?.fields[field]?.[0]?.[number] ?? "";
  // A component with subcomponents is an object: take its first.
  return typeof value === "string" ? value : (value["1"] ?? "");
}

/** What this app needs of an envelope. Throws where it is none. */
function parse(body) {
  const { id, type, hl7controlid: controlId = "?", data } = JSON.parse(body);
  return {
    id,
    type: String(type),
    controlId,
    patientId: component(data, "PID", 3),
    family: component(data, "PID", 5, 1),
    given: component(data, "PID", 5, 2),
  };
}

/** Stores a message, or returns what is wrong with it: each error becomes an ERR segment. */
async function take({ id, type, patientId, family, given }) {
  if (type.startsWith("org.hl7.v2.ADT") && !patientId) {
    return [{ location: "PID-3", detail: "a patient identifier is required", condition: 101 }];
  }
  if (!seen.has(id)) seen.set(id, save(patientId, family, given));
  try {
    await seen.get(id);
  } catch (error) {
    seen.delete(id); // not taken: a resend tries again
    throw error;
  }
  return [];
}

/** Your part. */
async function save(patientId, family, given) {}

/** The body as text; undefined where it is too large. */
async function read(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function problem(response, status, detail, members = {}) {
  const body = JSON.stringify({ title: "HL7 message refused", status, detail, ...members });
  const headers = { "Content-Type": "application/problem+json", "Content-Length": Buffer.byteLength(body) };
  response.writeHead(status, headers).end(body);
}

async function answer(request, response) {
  if (request.method !== "POST" || request.url !== "/hl7") return problem(response, 404, "not taken here");
  const body = await read(request);
  if (body === undefined) {
    response.shouldKeepAlive = false; // the rest of the body stays unread
    return problem(response, 413, "the message is too large");
  }
  let message;
  try {
    message = parse(body);
  } catch {
    return problem(response, 400, "not a CloudEvent with an HL7 message");
  }
  const errors = await take(message);
  // The control ID and the type may be logged; the message, a name or a patient's id may not.
  console.log(errors.length ? "refused" : "taken", message.type, message.controlId);
  if (errors.length) return problem(response, 422, "the message cannot be used", { errors });
  response.writeHead(204).end();
}

const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
  answer(request, response).catch((error) => {
    console.error(`failed: ${error.name}`); // its message may quote the input
    if (!response.headersSent) problem(response, 500, "an error of the application");
  });
});

server.listen(Number(process.argv[2] ?? process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}/hl7`);
});
