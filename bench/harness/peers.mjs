// Who is measured. Each peer is a small project in bench/peers that prints its address once it listens.
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * @typedef {import("./messages.mjs").Task} Task
 *
 * @typedef {object} Step A command of a build.
 * @property {string} command
 * @property {readonly string[]} args
 *
 * @typedef {object} Build
 * @property {string} tool Program that has to be on the PATH.
 * @property {string} hint How to get it.
 * @property {readonly Step[]} steps
 * @property {readonly string[]} [sources] Folders besides the peer's own that decide whether it is built again.
 * @property {boolean} [always] Whether it is built in every run: dist/ belongs to the checkout, and anyone may have
 *   rebuilt it since.
 *
 * @typedef {object} Peer
 * @property {string} name
 * @property {string} what One line for people.
 * @property {boolean} slow Left out unless asked for.
 * @property {readonly Task[]} tasks
 * @property {readonly string[]} [only] The scenarios that it takes part in, since it answers header streams alone.
 * @property {Build} build
 * @property {(task: Task) => readonly string[]} command
 * @property {Readonly<Record<string, string>>} [env]
 * @property {() => string} version
 */

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Where builds are kept between runs. */
export const cacheFolder = join(userCache(), "ext-proc", "bench");

function userCache() {
  const { XDG_CACHE_HOME: named } = process.env;
  return named && isAbsolute(named) ? named : join(homedir(), ".cache");
}

/** @param {string} peer */
export function peerFolder(peer) {
  return join(root, "bench", "peers", peer);
}

/** What `npm start` and the image give Node too. */
export const NODE_FLAGS = ["--single-threaded-gc"];

const NODE = { tool: process.execPath, hint: "", steps: [] };
const NODE_VERSION = `Node ${process.versions.node}`;
/** @type {Build} */
const OURS = {
  ...NODE,
  steps: [{ command: process.execPath, args: [join(root, "scripts", "build.mjs")] }],
  always: true,
};
const BOTH = /** @type {const} */ (["hello", "three-two"]);
const GO_HINT = "install Go 1.26 or newer from https://go.dev/dl";
const goServer = join(cacheFolder, "grpc-go", "server");
const tonicTarget = join(cacheFolder, "tonic");
const venv = join(cacheFolder, "grpcio-aio");
const javaTarget = join(cacheFolder, "grpc-java");

/** @type {readonly Peer[]} */
export const PEERS = [
  {
    name: "ext-proc",
    what: "this project: `ext-proc serve`, metrics on",
    slow: false,
    tasks: [...BOTH, "chunks-seen", "chunks-changed"],
    build: OURS,
    command: (task) => [
      ...[process.execPath, ...NODE_FLAGS, join(root, "dist", "cli", "main.js"), "serve"],
      ...[task === "hello" ? "hello" : join(peerFolder("ext-proc"), `${task}.mjs`)],
      ...["--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
    ],
    version: () => `${JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version}, ${NODE_VERSION}`,
  },
  {
    name: "grpc-go",
    what: "grpc-go and go-control-plane, GOMAXPROCS=1",
    slow: false,
    tasks: BOTH,
    build: {
      tool: "go",
      hint: GO_HINT,
      steps: [{ command: "go", args: ["build", "-trimpath", "-o", goServer, "."] }],
    },
    command: (task) => [goServer, task],
    env: { GOMAXPROCS: "1" },
    version: () => pinned("grpc-go", "go.mod", /google\.golang\.org\/grpc v(\S+)/),
  },
  {
    name: "tonic",
    what: "tonic and envoy-types, a current-thread runtime",
    slow: false,
    tasks: BOTH,
    build: {
      tool: "cargo",
      hint: "install Rust 1.88 or newer from https://rustup.rs",
      steps: [{ command: "cargo", args: ["build", "--release", "--locked", "--target-dir", tonicTarget] }],
    },
    command: (task) => [join(tonicTarget, "release", "bench-tonic"), task],
    version: () => pinned("tonic", "Cargo.toml", /^tonic = "=(.+)"/m),
  },
  {
    name: "transport",
    what: "this project's HTTP/2 core alone, with canned answers",
    slow: false,
    tasks: ["hello"],
    only: ["headers-50", "headers-5", "headers-1"],
    build: OURS,
    command: () => [process.execPath, ...NODE_FLAGS, join(peerFolder("transport"), "server.mjs")],
    version: () => NODE_VERSION,
  },
  {
    name: "node-http2",
    what: "node:http2 by hand, messages by protobuf-es",
    slow: false,
    tasks: BOTH,
    build: NODE,
    command: (task) => [process.execPath, join(peerFolder("node-http2"), "server.mjs"), task],
    version: () => NODE_VERSION,
  },
  {
    name: "grpc-js",
    what: "@grpc/grpc-js, messages by protobuf-es",
    slow: false,
    tasks: BOTH,
    build: NODE,
    command: (task) => [process.execPath, join(peerFolder("grpc-js"), "server.mjs"), task],
    version: () => `${installed("@grpc/grpc-js")}, ${NODE_VERSION}`,
  },
  {
    name: "connect-node",
    what: "Connect for Node over node:http2",
    slow: false,
    tasks: BOTH,
    build: NODE,
    command: (task) => [process.execPath, join(peerFolder("connect-node"), "server.mjs"), task],
    version: () => `${installed("@connectrpc/connect-node")}, ${NODE_VERSION}`,
  },
  {
    name: "grpc-java",
    what: "grpc-java on Netty, answers on the event loop",
    slow: true,
    tasks: ["hello"],
    build: {
      tool: "mvn",
      hint: "install Maven and a JDK 17 or newer",
      steps: [{ command: "mvn", args: ["--batch-mode", "--quiet", `-DbuildFolder=${javaTarget}`, "package"] }],
    },
    command: () => ["java", "-cp", `${join(javaTarget, "lib")}/*:${join(javaTarget, "classes")}`, "bench.HelloServer"],
    version: () => pinned("grpc-java", "pom.xml", /<grpc\.version>(.+)<\/grpc\.version>/),
  },
  {
    name: "grpcio-aio",
    what: "Python's grpcio.aio with uvloop",
    slow: true,
    tasks: ["hello"],
    build: {
      tool: "python3",
      hint: "install Python 3.11 or newer",
      steps: [
        { command: "python3", args: ["-m", "venv", venv] },
        {
          command: join(venv, "bin", "pip"),
          args: ["install", "--quiet", "--requirement", join(peerFolder("grpcio-aio"), "requirements.txt")],
        },
        { command: join(venv, "bin", "python"), args: [join(peerFolder("grpcio-aio"), "generate.py"), root, venv] },
      ],
      sources: [join(root, "proto")],
    },
    command: () => [join(venv, "bin", "python"), join(peerFolder("grpcio-aio"), "server.py"), venv],
    version: () => pinned("grpcio-aio", "requirements.txt", /^grpcio==(.+)$/m),
  },
];

/** The client that sends at scheduled times; it is built like a peer. */
export const LOAD_CLIENT = {
  name: "load",
  folder: join(root, "bench", "load"),
  program: join(cacheFolder, "load", "load"),
  /** @type {Build} */
  build: {
    tool: "go",
    hint: GO_HINT,
    steps: [{ command: "go", args: ["build", "-trimpath", "-o", join(cacheFolder, "load", "load"), "."] }],
  },
};

/**
 * The version that a peer's own project file pins.
 *
 * @param {string} peer
 * @param {string} file
 * @param {RegExp} pattern
 */
function pinned(peer, file, pattern) {
  return pattern.exec(readFileSync(join(peerFolder(peer), file), "utf8"))?.[1] ?? "unknown";
}

/** @param {string} name */
function installed(name) {
  return JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")).version;
}
