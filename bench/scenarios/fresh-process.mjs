// What a process costs in addition to its work. Each measurement starts a new process.
import { setTimeout as delay } from "node:timers/promises";
import { call, openSession, openStream } from "../harness/grpc-call.mjs";
import { grpcBody, headerMessages } from "../harness/messages.mjs";
import { startPeer } from "../harness/peer-server.mjs";

// What a process does right after its first answer, such as collecting garbage, is over by then.
const SETTLE_MS = 500;
const CONNECTIONS = 10;
// What every HTTP/2 server has to accept on one connection (RFC 9113 6.5.2).
const STREAMS_PER_CONNECTION = 100;
const WARM_UP_STREAMS = 2000;

/** @type {import("./scenarios.mjs").Scenario} */
export const startUp = {
  name: "start",
  title: "start-up: from spawning the process to its first answer, and its memory then",
  quick: true,
  task: "hello",
  needs: [],
  metrics: [
    { key: "listeningMs", label: "listening ms", digits: 0 },
    { key: "firstAnswerMs", label: "first answer ms", digits: 0 },
    { key: "idleMiB", label: "idle MiB", digits: 1 },
  ],
  compared: "firstAnswerMs",
  async open(peer) {
    return {
      async measure() {
        const spawnedAt = performance.now();
        const server = await startPeer(peer, "hello");
        const session = openSession(server.address);
        try {
          await call(session, grpcBody(headerMessages()));
          const firstAnswerMs = performance.now() - spawnedAt;
          await delay(SETTLE_MS);
          return { listeningMs: server.listeningAfterMs, firstAnswerMs, idleMiB: server.memoryMiB("VmRSS") };
        } finally {
          session.destroy();
          await server.stop();
        }
      },
      async close() {},
    };
  },
};

/** @type {import("./scenarios.mjs").Scenario} */
export const idleStreams = {
  name: "idle-streams",
  title: "1,000 open streams that have been answered once, 100 on each of 10 connections",
  quick: false,
  task: "hello",
  needs: [],
  metrics: [
    { key: "kibibytesPerStream", label: "KiB/stream", digits: 1 },
    { key: "totalMiB", label: "all MiB", digits: 0 },
  ],
  compared: "kibibytesPerStream",
  async open(peer) {
    return {
      async measure() {
        const server = await startPeer(peer, "hello");
        const sessions = Array.from({ length: CONNECTIONS }, () => openSession(server.address));
        try {
          await warmUp(sessions);
          await delay(SETTLE_MS);
          const beforeMiB = server.memoryMiB("VmRSS");
          const first = grpcBody(headerMessages().slice(0, 1));
          for (const session of sessions) {
            await Promise.all(Array.from({ length: STREAMS_PER_CONNECTION }, () => openStream(session, first)));
          }
          await delay(SETTLE_MS);
          const totalMiB = server.memoryMiB("VmRSS");
          const streams = CONNECTIONS * STREAMS_PER_CONNECTION;
          return { kibibytesPerStream: ((totalMiB - beforeMiB) * 1024) / streams, totalMiB };
        } finally {
          for (const session of sessions) session.destroy();
          await server.stop();
        }
      },
      async close() {},
    };
  },
};

/**
 * Lets the process grow what it needs for any stream, so that the idle ones are not charged with it.
 *
 * @param {readonly import("node:http2").ClientHttp2Session[]} sessions
 */
async function warmUp(sessions) {
  const body = grpcBody(headerMessages());
  for (const session of sessions) {
    for (let done = 0; done < WARM_UP_STREAMS / sessions.length; done += STREAMS_PER_CONNECTION) {
      await Promise.all(Array.from({ length: STREAMS_PER_CONNECTION }, () => call(session, body)));
    }
  }
}
