// Every attack of the suite.
import { CLIENT_ATTACKS } from "./client-attacks.mjs";
import { PORT_ATTACKS } from "./http1-attacks.mjs";
import { HTTP2_FLOODS } from "./http2-floods.mjs";
import { MESSAGE_ATTACKS } from "./message-attacks.mjs";
import { MIXTURE } from "./mixture.mjs";
import { PROCESS_ATTACKS } from "./process-attacks.mjs";

/**
 * @typedef {object} Attack
 * @property {string} name
 * @property {string} what In one line, for the list.
 * @property {number} [fault] Number of the fault that it has shown.
 * @property {"client" | "main" | "status" | "admin"} from Where it comes from: a client of Envoy, or a client of one of the ports.
 * @property {import("./server.mjs").ServerOptions} [server]
 * @property {object} [filter] Merged into the configuration of Envoy's filter, for attacks by clients.
 * @property {(battle: import("./outcomes.mjs").Battle) => Promise<void>} run
 * @property {RegExp} right What each outcome has to match.
 * @property {RegExp} [seen] What at least one outcome has to match.
 * @property {RegExp} [counted] A metric that has to rise.
 * @property {number} [holdsMs] How long what it left behind may be held: the time that its handlers hang. Default 0.
 * @property {number} [p99Ms] Highest latency of honest requests. Default: verdict.mjs has the limits.
 * @property {number} [slowShare] Share of honest requests that may be too slow for Envoy's timeout, from 0 to 1. Default: 0.
 * @property {number} [peakMiB] Most resident memory. Default: 400 for attacks by clients, 512 for all others.
 * @property {(played: import("./play.mjs").Played) => string | undefined} [check] Gives what is wrong, if anything is.
 */

/** @type {readonly Attack[]} */
export const ATTACKS = [
  MIXTURE,
  ...CLIENT_ATTACKS,
  ...PORT_ATTACKS,
  ...MESSAGE_ATTACKS,
  ...HTTP2_FLOODS,
  ...PROCESS_ATTACKS,
];
