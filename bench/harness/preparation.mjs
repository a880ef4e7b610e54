// Everything before the first measurement: tools are found, peers are built, and each has to answer right.
import { checkAnswers } from "./answer-check.mjs";
import { buildProject, findProgram } from "./builds.mjs";
import { startPeer } from "./peer-server.mjs";
import { LOAD_CLIENT } from "./peers.mjs";

/**
 * @typedef {import("./answer-check.mjs").AnswerSizes} AnswerSizes
 * @typedef {import("./messages.mjs").Task} Task
 * @typedef {import("./peers.mjs").Peer} Peer
 *
 * @typedef {object} PreparedPeers
 * @property {Peer[]} peers Those that are built and right.
 * @property {string[]} problems Why others are not there.
 * @property {(peer: string, task: Task) => AnswerSizes} answerSizes
 */

/**
 * Builds peers and checks them with every task. A peer that is wrong in one is out altogether.
 *
 * @param {readonly Peer[]} wanted
 * @param {readonly Task[]} tasks
 * @param {(line: string) => void} tell
 * @returns {Promise<PreparedPeers>}
 */
export async function preparePeers(wanted, tasks, tell) {
  /** @type {Map<string, AnswerSizes>} */
  const sizes = new Map();
  const peers = [];
  const problems = [];
  for (const peer of wanted) {
    const missing = await buildProject(peer, tell);
    if (missing !== undefined) {
      problems.push(`${peer.name}: skipped, ${missing}`);
      tell(`${peer.name}: skipped, ${missing}`);
      continue;
    }
    try {
      for (const task of tasks.filter((known) => peer.tasks.includes(known))) {
        sizes.set(`${peer.name} ${task}`, await checkPeer(peer, task));
      }
      tell(`${peer.name}: answers as it should`);
      peers.push(peer);
    } catch (error) {
      problems.push(`${peer.name}: excluded, wrong: ${/** @type {Error} */ (error).message}`);
      tell(problems.at(-1) ?? "");
      process.exitCode = 1;
    }
  }
  const answerSizes = (/** @type {string} */ peer, /** @type {Task} */ task) => {
    const known = sizes.get(`${peer} ${task}`);
    if (known === undefined) throw new Error(`${peer} was not checked with ${task}`);
    return known;
  };
  return { peers, problems, answerSizes };
}

/**
 * @param {Peer} peer
 * @param {Task} task
 */
async function checkPeer(peer, task) {
  const server = await startPeer(peer, task);
  try {
    return await checkAnswers(server.address, task, { headersOnly: peer.only !== undefined });
  } finally {
    await server.stop();
  }
}

/**
 * Finds or builds what scenarios need besides peers.
 *
 * @param {ReadonlySet<"h2load" | "load" | "envoy">} needs
 * @param {(line: string) => void} tell
 */
export async function prepareTools(needs, tell) {
  /** @type {Set<string>} */
  const available = new Set();
  /** @type {string[]} */
  const problems = [];
  let envoyBinary = "";
  if (needs.has("h2load")) {
    if (findProgram("h2load") !== undefined) available.add("h2load");
    else problems.push("h2load is missing: install nghttp2's clients, on Debian apt-get install nghttp2-client");
  }
  if (needs.has("load")) {
    const missing = await buildProject(LOAD_CLIENT, tell);
    if (missing === undefined) available.add("load");
    else problems.push(`the latency client: ${missing}`);
  }
  if (needs.has("envoy")) {
    const envoy = await findEnvoy(tell);
    if ("problem" in envoy) problems.push(envoy.problem);
    else {
      available.add("envoy");
      envoyBinary = envoy.path;
    }
  }
  for (const problem of problems) tell(problem);
  return { available, problems, envoyBinary };
}

/** @param {(line: string) => void} tell */
async function findEnvoy(tell) {
  try {
    /** @type {typeof import("../../src/cli/envoy/envoy-binary.ts")} */
    const { ensureEnvoy } = await import(new URL("../../dist/cli/envoy/envoy-binary.js", import.meta.url).href);
    return await ensureEnvoy({ onProgress: tell });
  } catch (error) {
    return { problem: `Envoy is found by dist/, which is not built: ${/** @type {Error} */ (error).message}` };
  }
}
