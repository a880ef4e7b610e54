// Streams of two messages, request headers and response headers, as Envoy sends them for a request without bodies.
import { h2load } from "../harness/h2load.mjs";
import { PROCESS_PATH } from "../harness/messages.mjs";
import { openLoop } from "../harness/open-loop.mjs";
import { startPeer } from "../harness/peer-server.mjs";
import { cpuPer, LATENCY, latencyValues, PEAK_MEMORY, perSecond } from "./metrics.mjs";
import { throughputOf } from "./throughput.mjs";

const CONNECTIONS = 2;
const PROBE_STREAMS = 200;

/**
 * @param {object} options
 * @param {string} options.name
 * @param {import("../harness/messages.mjs").Task} options.task
 * @param {number} options.inFlight Streams at a time on each of two connections.
 * @param {string} options.title
 * @param {boolean} options.quick
 * @param {boolean} options.latency Whether latency is measured too, at half of the throughput.
 * @returns {import("./scenarios.mjs").Scenario}
 */
export function headerStreams({ name, task, inFlight, title, quick, latency }) {
  return {
    name,
    title,
    quick,
    task,
    needs: latency ? ["h2load", "load"] : ["h2load"],
    metrics: [cpuPer("stream"), perSecond("streams"), ...(latency ? LATENCY : []), PEAK_MEMORY],
    compared: "cpuUs",
    async open(peer, context) {
      const server = await startPeer(peer, task);
      const answerBytes = context.answerSizes(peer.name, task).headers;
      const url = `http://${server.address}${PROCESS_PATH}`;
      const bodyFile = context.headersFile;
      const throughput = throughputOf({
        server,
        probe: PROBE_STREAMS,
        async load(requests) {
          const result = await h2load({ url, connections: CONNECTIONS, inFlight, requests, bodyFile });
          assertAnswered(result, answerBytes);
          return result;
        },
      });
      return {
        warmUp: () => throughput.warmUp(context.warmUpSeconds),
        async measure() {
          const { requests, cpuSeconds, perSecond: rate } = await throughput.measure(context.seconds);
          const paced = {
            address: server.address,
            connections: CONNECTIONS,
            ratePerSecond: rate / 2,
            seconds: context.seconds,
            bodyFile,
            answerBytes,
          };
          const times = latency ? latencyValues(assertInTime(await openLoop(paced))) : {};
          return {
            cpuUs: (cpuSeconds * 1e6) / requests,
            perSecond: rate,
            ...times,
            peakMiB: server.memoryMiB("VmHWM"),
          };
        },
        close: () => server.stop(),
      };
    },
  };
}

/**
 * Sees to it that what was counted was answered, in full.
 *
 * @param {import("../harness/h2load.mjs").H2loadResult} result
 * @param {number} answerBytes
 */
export function assertAnswered({ requests, good, dataBytes }, answerBytes) {
  if (good !== requests) throw new Error(`${requests - good} of ${requests} streams failed`);
  if (dataBytes === requests * answerBytes) return;
  throw new Error(`${requests} streams were answered with ${dataBytes} bytes instead of ${requests * answerBytes}`);
}

/** @param {import("../harness/open-loop.mjs").OpenLoopResult} result */
function assertInTime(result) {
  if (result.failed > 0) throw new Error(`${result.failed} of ${result.arrivals} failed: ${result.failure}`);
  return result;
}
