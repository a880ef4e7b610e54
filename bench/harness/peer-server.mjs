// A peer that runs.
import { cpuSeconds, forgetPeak, memoryMiB } from "./proc-files.mjs";
import { end, start } from "./processes.mjs";

/**
 * @typedef {import("./peers.mjs").Peer} Peer
 * @typedef {import("./peers.mjs").Task} Task
 *
 * @typedef {object} PeerServer
 * @property {string} address `127.0.0.1:PORT`.
 * @property {number} listeningAfterMs From spawning it to its word that it listens.
 * @property {() => number} cpuSeconds Used so far, by all its threads and children.
 * @property {(name: "VmRSS" | "VmHWM") => number} memoryMiB
 * @property {() => void} forgetPeak
 * @property {() => Promise<void>} stop
 */

const LIMIT_MS = 30_000;
// Our own log line has it as the value of "address", the others print "listening on ADDRESS".
const ADDRESS = /(?:listening on |"address":")(127\.0\.0\.1:\d+)/;

/**
 * Starts a peer and waits until it says where it listens.
 *
 * @param {Peer} peer
 * @param {Task} task
 * @returns {Promise<PeerServer>}
 */
export async function startPeer(peer, task) {
  const startedAt = performance.now();
  const child = start(peer.command(task), {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...peer.env },
  });
  const address = await listenAddress(child).catch(async (error) => {
    await end(child);
    throw error;
  });
  const listeningAfterMs = performance.now() - startedAt;
  const pid = Number(child.pid);
  return {
    address,
    listeningAfterMs,
    cpuSeconds: () => cpuSeconds(pid),
    memoryMiB: (name) => memoryMiB(pid, name),
    forgetPeak: () => forgetPeak(pid),
    stop: () => end(child),
  };
}

/**
 * @param {import("node:child_process").ChildProcess} child
 * @returns {Promise<string>}
 */
function listenAddress(child) {
  return new Promise((resolve, reject) => {
    let output = "";
    const fail = (/** @type {string} */ problem) => reject(new Error(`${problem}: ${output.slice(-500).trim()}`));
    const limit = setTimeout(fail, LIMIT_MS, `does not listen after ${LIMIT_MS / 1000} s`);
    const look = (/** @type {string} */ text) => {
      // A busy server may log a lot; nothing after the address matters.
      if (output.length < 10_000) output += text;
      const address = ADDRESS.exec(output)?.[1];
      if (address === undefined) return;
      clearTimeout(limit);
      resolve(address);
    };
    child.stdout?.setEncoding("utf8").on("data", look);
    child.stderr?.setEncoding("utf8").on("data", look);
    child.once("error", (error) => fail(error.message));
    child.once("exit", (exitCode, signal) => fail(`ended (${exitCode ?? signal})`));
  });
}
