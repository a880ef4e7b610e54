// The table of scenarios.
import { behindEnvoy } from "./behind-envoy.mjs";
import { bodies } from "./bodies.mjs";
import { idleStreams, startUp } from "./fresh-process.mjs";
import { headerStreams } from "./header-streams.mjs";

/**
 * @typedef {import("../harness/messages.mjs").Task} Task
 * @typedef {import("../harness/peers.mjs").Peer} Peer
 * @typedef {import("../harness/rounds.mjs").Subject} Subject
 *
 * @typedef {object} Context What scenarios share.
 * @property {number} seconds Length of one measurement.
 * @property {number} warmUpSeconds
 * @property {string} headersFile The gRPC request body of a header stream.
 * @property {string} uploadFile The same of an upload.
 * @property {string} envoyBinary Empty if no scenario needs Envoy.
 * @property {(peer: string, task: Task) => import("../harness/answer-check.mjs").AnswerSizes} answerSizes
 *
 * @typedef {object} Scenario
 * @property {string} name
 * @property {string} title
 * @property {boolean} quick Whether it is part of a quick run.
 * @property {Task} task
 * @property {readonly ("h2load" | "load" | "envoy")[]} needs
 * @property {readonly import("./metrics.mjs").Metric[]} metrics
 * @property {string} compared Key of the metric whose ratios are given; less is better.
 * @property {(context: Context) => Promise<{ readonly port: number, close(): Promise<void> }>} [prepare]
 *   Starts what all peers share.
 * @property {(peer: Peer, context: Context, sharedPort: number) => Promise<Subject & { warmUp?(): Promise<void> }>} open
 */

/** @type {readonly Scenario[]} */
export const SCENARIOS = [
  headerStreams({
    name: "headers-50",
    title: "header streams, 50 in flight on each of 2 connections; latency at half of the throughput",
    task: "hello",
    inFlight: 50,
    quick: true,
    latency: true,
  }),
  headerStreams({
    name: "headers-5",
    title: "header streams, 5 in flight on each of 2 connections",
    task: "hello",
    inFlight: 5,
    quick: false,
    latency: false,
  }),
  headerStreams({
    name: "headers-1",
    title: "header streams, one at a time on each of 2 connections",
    task: "hello",
    inFlight: 1,
    quick: false,
    latency: false,
  }),
  headerStreams({
    name: "three-two",
    title: "a processor that reads three headers and sets two, 50 in flight on each of 2 connections",
    task: "three-two",
    inFlight: 50,
    quick: false,
    latency: false,
  }),
  behindEnvoy,
  bodies({ name: "bodies", title: "", task: "hello", quick: true }),
  bodies({ name: "bodies-seen", title: ", each seen by a handler", task: "chunks-seen", quick: false }),
  bodies({ name: "bodies-changed", title: ", each changed by a handler", task: "chunks-changed", quick: false }),
  startUp,
  idleStreams,
];
