// The folders of src, what each holds, and what it may import. The lint reads this table, and so does the table of folders
// in docs/architecture.md. A folder comes after all those that it imports, so no import can close a circle.

/**
 * @typedef {object} Folder
 * @property {string} holds What its files are about, in one sentence.
 * @property {readonly string[]} imports The folders of src that it imports, without `src/`.
 * @property {readonly string[]} [packages] What it imports besides: packages, and `gen`.
 */

const PROTOBUF = "@bufbuild/protobuf";
const WKT = "@bufbuild/protobuf/wkt";
const CONNECT = "@connectrpc/connect";
const CONNECT_NODE = "@connectrpc/connect-node";

/** @type {Readonly<Record<string, Folder>>} */
export const FOLDERS = {
  text: {
    holds:
      "How bytes and text become each other without loss, and what an unknown value is or why it is refused, in words.",
    imports: [],
  },
  wire: {
    holds:
      "The codec: bytes to messages and back, faster than protobuf-es for the messages that Envoy sends most, and the text of header bytes.",
    imports: ["text"],
    packages: [PROTOBUF, "@bufbuild/protobuf/wire", "gen"],
  },
  memory: {
    holds: "How many bytes clients make the process hold, by kind, and how many they may.",
    imports: [],
  },
  bodies: {
    holds: "Bytes that are copied out of a socket's buffer, joined, and given to a loop chunk by chunk.",
    imports: [],
  },
  "bodies/coding": {
    holds: "Content codings: what takes them off and puts them on again, with the memory that each coder costs.",
    imports: ["bodies"],
  },
  "bodies/json": {
    holds: "JSON that keeps the source text of everything that a handler did not change.",
    imports: ["text"],
  },
  "bodies/split": {
    holds:
      "What cuts a body into lines, JSON lines, server-sent events or text, whatever the chunks, and replaces across chunks.",
    imports: ["bodies", "bodies/coding", "bodies/json", "text"],
  },
  http2: {
    holds:
      "An HTTP/2 server core over any Duplex (RFC 9113, RFC 7541), file by file as the RFCs have their sections. It does not know gRPC.",
    imports: ["memory"],
  },
  protocol: {
    holds:
      "What Envoy's API calls things: phases, body modes, mode overrides, faults, what an operator declares of Envoy.",
    imports: ["text"],
    packages: [PROTOBUF, "gen"],
  },
  "protocol/headers": {
    holds: "Headers: how they are read, changed and written, and which changes Envoy refuses.",
    imports: ["protocol", "text", "wire"],
    packages: [PROTOBUF, "gen"],
  },
  "protocol/answers": {
    holds: "Answers to Envoy: neutral ones, changes, bodies, immediate responses.",
    imports: ["bodies", "protocol", "protocol/headers", "text", "wire"],
    packages: [PROTOBUF, WKT, "gen"],
  },
  "protocol/exchange": {
    holds:
      "The messages and answers of one transaction: a state machine without a clock, which knows what waits for an answer.",
    imports: ["protocol", "protocol/answers", "protocol/headers", "text", "wire"],
    packages: [PROTOBUF, WKT, "gen"],
  },
  processor: {
    holds:
      "What an author writes and what checks it: definitions, effects, body handlers, the transaction, the operator's rules for them.",
    imports: ["protocol", "protocol/answers", "protocol/exchange", "protocol/headers", "text"],
    packages: [PROTOBUF, WKT],
  },
  "processor/describe": {
    holds: "What a processor needs of Envoy, in words and as filter settings.",
    imports: ["memory", "processor", "protocol"],
  },
  builtin: {
    holds: "The processors that come along: `hello` and `header-modifier`.",
    imports: ["processor", "protocol/headers", "wire"],
  },
  "session/fold": {
    holds: "Runs the handlers of a phase in order, and turns their effects into one answer.",
    imports: [
      "bodies/json",
      "processor",
      "protocol",
      "protocol/answers",
      "protocol/exchange",
      "protocol/headers",
      "text",
      "wire",
    ],
    packages: [PROTOBUF, WKT, "gen"],
  },
  "session/stages": {
    holds: "Stages of a body: what one handler makes of each piece, and how the handler is called.",
    imports: [
      "bodies",
      "bodies/coding",
      "bodies/json",
      "bodies/split",
      "memory",
      "processor",
      "protocol",
      "protocol/answers",
      "protocol/exchange",
      "protocol/headers",
      "session/fold",
      "text",
      "wire",
    ],
    packages: [PROTOBUF, "gen"],
  },
  "session/body": {
    holds:
      "The body of each direction: how its handlers get it, and the pipeline that passes its pieces through their stages.",
    imports: [
      "bodies",
      "bodies/coding",
      "memory",
      "processor",
      "protocol",
      "protocol/answers",
      "protocol/exchange",
      "protocol/headers",
      "session/fold",
      "session/stages",
      "text",
    ],
    packages: ["gen"],
  },
  session: {
    holds: "One transaction at run time: its order, time, faults, setup, and what it reports.",
    imports: [
      "memory",
      "processor",
      "protocol",
      "protocol/answers",
      "protocol/exchange",
      "session/body",
      "session/fold",
      "text",
    ],
    packages: ["gen"],
  },
  grpc: {
    holds: "gRPC over the HTTP/2 core: framing, status, deadlines, and the one method that Envoy calls.",
    imports: ["http2", "memory", "processor", "protocol", "session", "text", "wire"],
    packages: ["gen"],
  },
  "services/connect": {
    holds:
      "Limits in front of what Connect serves: bytes, elements and memory of a request are counted before Connect parses it.",
    imports: ["memory", "protocol", "text", "wire"],
    packages: [PROTOBUF, CONNECT],
  },
  "simulator/report": {
    holds: "What a simulated transaction reports: what the upstream and the client got, counters, warnings.",
    imports: ["protocol"],
    packages: [PROTOBUF, "gen"],
  },
  "simulator/settings": {
    holds: "The settings of the simulated filter, as Envoy reads them.",
    imports: ["protocol", "simulator/report", "text", "wire"],
    packages: ["gen"],
  },
  "simulator/http": {
    holds: "The parts of Envoy's HTTP layer that decide what the upstream and the client get, and the virtual clock.",
    imports: ["bodies", "protocol", "simulator/report", "wire"],
    packages: [PROTOBUF],
  },
  "simulator/filter": {
    holds: "The state of Envoy's ext_proc filter, and what it sends to the server.",
    imports: ["protocol", "simulator/http", "simulator/report", "simulator/settings"],
    packages: [PROTOBUF, "gen"],
  },
  "simulator/answers": {
    holds: "What Envoy's ext_proc filter does with each kind of answer.",
    imports: ["protocol", "simulator/filter", "simulator/http", "simulator/report", "simulator/settings", "wire"],
    packages: [PROTOBUF, "gen"],
  },
  simulator: {
    holds: "Envoy's ext_proc filter in front of a server, as a pure machine on a virtual clock.",
    imports: [
      "protocol",
      "simulator/answers",
      "simulator/filter",
      "simulator/http",
      "simulator/report",
      "simulator/settings",
      "wire",
    ],
    packages: [PROTOBUF],
  },
  simulation: {
    holds: "The simulator in front of a processor: plain values in, plain values out.",
    imports: [
      "processor",
      "protocol",
      "protocol/answers",
      "session",
      "simulator",
      "simulator/filter",
      "simulator/http",
      "simulator/report",
      "simulator/settings",
      "text",
      "wire",
    ],
    packages: [PROTOBUF, "gen"],
  },
  debug: {
    holds:
      "An HTTP exchange in readable JSON, with its result: the common part of `DebugService.Simulate`, `ext-proc simulate` and `ext-proc call`.",
    imports: [
      "processor",
      "processor/describe",
      "protocol",
      "simulation",
      "simulator/http",
      "simulator/report",
      "simulator/settings",
      "text",
    ],
    packages: [PROTOBUF, "@bufbuild/protobuf/wire", WKT, CONNECT, CONNECT_NODE, "gen"],
  },
  "services/process": {
    holds: "`ExternalProcessor` over every protocol that Connect speaks, and Envoy's variant over plain HTTP.",
    imports: ["debug", "processor", "protocol", "services/connect", "session", "text", "wire"],
    packages: [PROTOBUF, CONNECT, "gen"],
  },
  "services/debug": {
    holds: "The debug service, and who may call it how often.",
    imports: ["debug", "processor", "protocol", "services/connect", "services/process", "session", "text"],
    packages: [CONNECT, "gen"],
  },
  services: {
    holds: "The routes of all services, with health and reflection.",
    imports: ["processor", "services/debug", "services/process", "session", "text", "wire"],
    packages: [PROTOBUF, WKT, CONNECT, "gen"],
  },
  testing: {
    holds: "The test kit `ext-proc/testing`: `simulate`, `simulateRemote`, `sendMessages`.",
    imports: ["processor", "protocol", "simulation", "simulator/filter", "simulator/http"],
    packages: [CONNECT, CONNECT_NODE, "gen"],
  },
  "server/log": {
    holds: "Log lines that never wait for their reader, and how many of each kind may be written.",
    imports: ["processor", "protocol", "protocol/headers", "session", "text"],
    packages: ["gen", "pino"],
  },
  "server/endpoints": {
    holds: "What answers on a connection: gRPC, Connect over HTTP/1.1 and HTTP/2.",
    imports: [
      "grpc",
      "http2",
      "memory",
      "processor",
      "protocol",
      "server/log",
      "services",
      "services/connect",
      "services/debug",
      "services/process",
      "wire",
    ],
    packages: [CONNECT, CONNECT_NODE, "gen"],
  },
  "server/listen": {
    holds: "Ports, Unix sockets, TLS, and how many connections each may have.",
    imports: ["http2", "memory", "protocol", "server/endpoints", "server/log", "text"],
  },
  "server/metrics": {
    holds: "What is counted, and the pages of the status port.",
    imports: [
      "http2",
      "memory",
      "processor",
      "protocol",
      "server/endpoints",
      "server/listen",
      "server/log",
      "services",
      "session",
    ],
    packages: ["prom-client"],
  },
  server: {
    holds: "`serve()`: puts listeners, endpoints, log and metrics together, and drains them.",
    imports: [
      "grpc",
      "http2",
      "memory",
      "processor",
      "server/endpoints",
      "server/listen",
      "server/log",
      "server/metrics",
      "services",
      "services/debug",
      "session",
      "wire",
    ],
  },
  "server/settings": {
    holds: "Settings from flags, environment and file, each with its default and its check.",
    imports: ["http2", "memory", "processor", "protocol", "server", "server/listen", "server/log", "text", "wire"],
    packages: ["yaml", "zod"],
  },
  "cli/terminal": {
    holds: "What commands read from and write to a terminal.",
    imports: ["processor/describe", "server/log"],
    packages: ["yaml"],
  },
  "cli/envoy": {
    holds: "Finds an Envoy, or fetches one.",
    imports: ["text"],
  },
  "cli/demo": {
    holds: "What the demo starts: an upstream, an Envoy, requests.",
    imports: ["cli/terminal", "text"],
    packages: ["yaml"],
  },
  "cli/start": {
    holds: "What commands do before a server starts: settings, processors, signals.",
    imports: [
      "builtin",
      "cli/terminal",
      "processor",
      "server",
      "server/listen",
      "server/log",
      "server/settings",
      "text",
    ],
  },
  cli: {
    holds:
      "The command `ext-proc` and its sub-commands. With the folders below it the only one that prints or ends the process.",
    imports: [
      "cli/demo",
      "cli/envoy",
      "cli/start",
      "cli/terminal",
      "debug",
      "processor",
      "processor/describe",
      "protocol",
      "server",
      "server/listen",
      "server/log",
      "server/settings",
      "simulation",
      "text",
    ],
  },
};
