// Streams of two messages, request headers and response headers, as Envoy sends them for a request without bodies.
import { h2load } from "../harness/h2load.mjs";
import { PROCESS_PATH } from "../harness/messages.mjs";
import { openLoop } from "../harness/open-loop.mjs";
import { startPeer } from "../harness/peer-server.mjs";
import { cpuPer, LATENCY, latencyValues, PEAK_MEMORY, perSecond } from "./metrics.mjs";

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
      let rate = 0;
      /** @param {number} requests */
      const load = async (requests) => {
        const result = await h2load({ url, connections: CONNECTIONS, inFlight, requests, bodyFile });
        assertAnswered(result, answerBytes);
        rate = result.requests / result.seconds;
        return result;
      };
      return {
        async warmUp() {
          await load(PROBE_STREAMS);
          await load(Math.ceil(rate * context.seconds));
        },
        async measure() {
          server.forgetPeak();
          const before = server.cpuSeconds();
          const { requests } = await load(Math.ceil(rate * context.seconds));
          const cpuUs = ((server.cpuSeconds() - before) * 1e6) / requests;
          const throughput = { cpuUs, perSecond: rate };
          if (!latency) return { ...throughput, peakMiB: server.memoryMiB("VmHWM") };
          const ratePerSecond = rate / 2;
          const { address } = server;
          const { seconds } = context;
          const paced = { address, connections: CONNECTIONS, ratePerSecond, seconds, bodyFile, answerBytes };
          const result = await openLoop(paced);
          if (result.failed > 0) throw new Error(`${result.failed} of ${result.arrivals} failed: ${result.failure}`);
          return { ...throughput, ...latencyValues(result), peakMiB: server.memoryMiB("VmHWM") };
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
  throw new Error(`${requests} streams were answered with ${dataBytes} bytes in place of ${requests * answerBytes}`);
}
