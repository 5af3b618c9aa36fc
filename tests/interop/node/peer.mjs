// The Node.js peer: node-hl7-client, out of the folder that INTEROP_NODE names.
//
//     node peer.mjs APP_PORT DOWN_PORT
//
// One JSON object a line on stdout, as tests/interop/README.md says.
//
// The library's way of use is: wait for `connect`, send one message, wait for the handler, send the next. A message that is
// sent while another has no answer opens a second connection (its queue is emptied on `connect` only).

import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.INTEROP_NODE, "package.json"));
const { Client, Message, Batch } = require("node-hl7-client");
const { HL7_2_5_1 } = require("node-hl7-client/hl7");

const LIMIT = 30_000;
const BIG = 1 << 20;
const [app, down] = process.argv.slice(2).map(Number);

setTimeout(() => {
  console.error("the peer took too long");
  process.exit(3);
}, 150_000).unref();

/** An ADT^A01 of 2.5.1 by default. Without PID-3 the app answers 422, and SIU^S12 it does not take. */
function message(id, { kind = "ADT^A01^ADT_A01", pid3 = "4711^^^GENHOSP^MR", accept, application, charset, note } = {}) {
  const [msh_9_1, msh_9_2, msh_9_3] = kind.split("^");
  const built = new Message({ specification: new HL7_2_5_1(), messageHeader: { msh_9_1, msh_9_2, msh_9_3, msh_10: id, msh_11_1: "P" } });
  built.set("MSH.3", "NODE");
  built.set("MSH.4", "GENHOSP");
  built.set("MSH.5", "BRIDGE");
  built.set("MSH.6", "CLOUD");
  if (accept) built.set("MSH.15", accept);
  if (application) built.set("MSH.16", application);
  if (charset) built.set("MSH.18", charset);
  const pid = built.addSegment("PID");
  pid.set("1", "1");
  pid.set("3", pid3);
  pid.set("5", charset ? "MÜSTER^ERIKA" : "MUSTER^ERIKA");
  if (note) built.addSegment("NTE").set("3", note);
  return built;
}

/** Sends one message after the other on one connection; each has so many answers. */
function talk(port, messages, { answers = 1, encoding = "utf-8" } = {}) {
  return new Promise((resolve, reject) => {
    const seen = [];
    let sent = 0;
    const client = new Client({ host: "127.0.0.1" });
    const timer = setTimeout(() => end(new Error(`no answer within ${LIMIT} ms`)), LIMIT);
    const connection = client.createConnection({ port, encoding, maxConnectionAttempts: 1 }, (response) => {
      seen.push(response.getMessage());
      // Two answers that come together are one message to this client: what it holds counts.
      const expected = sent * answers;
      if (acknowledgements(seen).length < expected) return;
      if (sent === messages.length) end();
      else next();
    });
    const end = (error) => {
      clearTimeout(timer);
      connection.close();
      if (error) reject(error);
      else resolve(acknowledgements(seen));
    };
    const next = () => connection.sendMessage(messages[sent++]).catch(end);
    connection.on("connect", next);
    connection.on("client.error", end);
    connection.on("data.error", end);
  });
}

/** Every MSA that the client's parser finds, with the ERR behind it. */
function acknowledgements(messages) {
  const found = [];
  for (const answer of messages) {
    for (const line of answer.toString().split("\r")) {
      const segment = line.startsWith("MSA") || line.startsWith("ERR") ? new Message({ text: "MSH|^~\\&|\r" + line }) : null;
      if (line.startsWith("MSA")) {
        found.push({ code: segment.get("MSA.1").toString(), id: segment.get("MSA.2").toString() });
      } else if (line.startsWith("ERR") && found.length > 0 && !found.at(-1).err) {
        // get("ERR.2") is the first component only.
        const components = (field) => [1, 2, 3].map((n) => segment.get(`ERR.${field}.${n}`).toString()).join("^");
        found.at(-1).err = [components(2).replace(/\^+$/, ""), components(3), segment.get("ERR.8").toString()];
      }
    }
  }
  return found;
}

function tell(name, sent, answers, failed) {
  console.log(JSON.stringify({ case: name, sent, answers, failed }));
}

async function one(name, port, built, id, how) {
  try {
    tell(name, [id], await talk(port, [built], how));
  } catch (error) {
    tell(name, [id], [], `${error.name}: ${error.message}`);
  }
}

const ids = (prefix, count) => Array.from({ length: count }, (_, number) => prefix + number);

await one("original", app, message("N1"), "N1");
for (const [name, accept, application, answers] of [
  ["al-ne", "AL", "NE", 1],
  ["ne-al", "NE", "AL", 1],
  ["al-al", "AL", "AL", 2],
]) {
  await one(name, app, message("N-" + name, { accept, application }), "N-" + name, { answers });
}
const many = ids("N-M", 200);
tell("many", many, await talk(app, many.map((id) => message(id))));
const four = [0, 1, 2, 3].map((connection) => ids(`N-F${connection}-`, 50));
const parts = await Promise.all(four.map((of) => talk(app, of.map((id) => message(id)))));
tell("four", four.flat(), parts.flat());
await one("large", app, message("N-BIG", { note: "x".repeat(BIG) }), "N-BIG");
await one("422", app, message("N-422", { pid3: "" }), "N-422");
await one("422-enhanced", app, message("N-422E", { pid3: "", accept: "AL", application: "AL" }), "N-422E");
await one("415", app, message("N-415", { kind: "SIU^S12^SIU_S12" }), "N-415");
const mixed = [message("N-X1"), message("N-X2", { pid3: "" }), message("N-X3")];
tell("after-422", ["N-X1", "N-X2", "N-X3"], await talk(app, mixed));
await one("down", down, message("N-DOWN"), "N-DOWN");
await one("utf-8", app, message("N-U8", { pid3: "", charset: "UNICODE UTF-8" }), "N-U8");
await one("latin-1", app, message("N-L1", { pid3: "", charset: "8859/1" }), "N-L1", { encoding: "latin1" });
const twice = message("N-R");
tell("resend", ["N-R", "N-R"], [...(await talk(app, [twice])), ...(await talk(app, [twice]))]);

const batch = new Batch();
batch.start();
batch.set("BHS.3", "NODE");
batch.set("BHS.4", "GENHOSP");
batch.set("BHS.5", "BRIDGE");
batch.set("BHS.6", "CLOUD");
batch.set("BHS.11", "N-B");
batch.add(message("N-B-1"));
batch.add(message("N-B-2"));
batch.end();
await one("batch", app, batch, "N-B", { answers: 2 });
process.exit(0);
