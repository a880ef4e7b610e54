// The child process of record-path.mjs: `node record.mjs FOLDER headers|body` serves a processor with the instrumented code in
// FOLDER, sends transactions as Envoy does, and prints as JSON the files through which a message went, in their order.
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { HANDSHAKE, withId } from "../soak/messages.mjs";
import { BODY, HEADERS } from "./messages.mjs";

const [folder = "", kind = "headers"] = process.argv.slice(2);
/** Transactions before those that are recorded: what is created or loaded once is there by then. */
const WARM_UP = 20;
const RECORDED = 3;
const { frames, answers } = kind === "body" ? BODY : HEADERS;

/** @type {string[] | undefined} */
let files;
Object.assign(globalThis, {
  /** @param {string} file */
  entered(file) {
    if (files !== undefined && files.at(-1) !== file) files.push(file);
  },
});

const { serve } = await import(pathToFileURL(join(folder, "server.js")).href);
const { defineProcessor, setHeader } = await import(pathToFileURL(join(folder, "index.js")).href);

const processor = defineProcessor({
  name: "path",
  requestHeaders: () => setHeader("x-seen", "yes"),
  ...(kind === "body" && {
    requestBody: { read: "chunks", chunk: (/** @type {Uint8Array} */ bytes) => bytes.map((byte) => byte ^ 0x20) },
  }),
});
const ignore = () => undefined;
const silent = { debug: ignore, info: ignore, warn: ignore, error: ignore };
const local = { listen: "127.0.0.1:0", statusListen: "off", adminListen: "off" };
const server = await serve(processor, { ...local, log: silent });
const socket = connect(Number(server.address.split(":").at(-1)), "127.0.0.1");
socket.setNoDelay(true);
await once(socket, "connect");
socket.write(HANDSHAKE);

let received = 0;
let wake = () => {};
socket.on("data", (bytes) => {
  received += countDataFrames(bytes);
  wake();
});

/** @type {string[][]} */
const recorded = [];
for (let n = 0; n < WARM_UP + RECORDED; n++) {
  for (const [index, frame] of frames.entries()) {
    const expected = received + (answers[index] ?? 0);
    if (n >= WARM_UP && index === frames.length - 1) files = [];
    socket.write(withId(frame, 2 * n + 1));
    while (received < expected) await new Promise((resolve) => (wake = () => resolve(undefined)));
  }
  if (files !== undefined) recorded.push(files);
  files = undefined;
}
// A timer of the server may have run during one of them.
const [shortest] = recorded.sort((a, b) => a.length - b.length);
process.stdout.write(JSON.stringify(shortest));
process.exit();

/** @param {Buffer} bytes Whole frames: answers of some bytes come in one piece over loopback. */
function countDataFrames(bytes) {
  let count = 0;
  for (let at = 0; at < bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === 0 && bytes.readUIntBE(at, 3) > 0) count++;
  }
  return count;
}
