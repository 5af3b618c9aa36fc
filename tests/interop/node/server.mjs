// The Node.js server: simple-hl7, out of the folder that INTEROP_NODE names.
//
//     node server.mjs serve ENCODING
//
// A line for its port, and one for each message. A message without PID-3 is answered by AE.

import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.INTEROP_NODE, "package.json"));
const TcpServer = require("simple-hl7/lib/server/tcp-server");

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const server = new TcpServer((error, request, response) => {
  if (error) throw error;
  const pid = request.msg.getSegment("PID");
  const text = request.raw.slice(1, -2); // without the block's characters
  tell({ id: request.msg.header.getField(8).toString(), name: pid.getComponent(5, 1).toString(), text });
  if (pid.getField(3).toString() === "") response.ack.getSegment("MSA").setField(1, "AE");
  response.end();
});
server.start(0, process.argv[3] === "latin-1" ? "latin1" : "utf-8");
server.server.on("listening", () => tell({ port: server.server.address().port }));
