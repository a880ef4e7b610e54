// Uploads: request headers, then 100 body chunks of 64 KiB in one stream, each answered.
import { h2load } from "../harness/h2load.mjs";
import { BODY_CHUNK_BYTES, BODY_CHUNKS, PROCESS_PATH } from "../harness/messages.mjs";
import { startPeer } from "../harness/peer-server.mjs";
import { assertAnswered } from "./header-streams.mjs";
import { PEAK_MEMORY } from "./metrics.mjs";
import { throughputOf } from "./throughput.mjs";

const CONNECTIONS = 2;
const PROBE_STREAMS = 10;
const MESSAGES = BODY_CHUNKS + 1;
const BODY_GIGABYTES = (BODY_CHUNKS * BODY_CHUNK_BYTES) / 1e9;

/**
 * @param {{ readonly name: string, readonly title: string, readonly task: import("../harness/messages.mjs").Task, readonly quick: boolean }} scenario
 * @returns {import("./scenarios.mjs").Scenario}
 */
export const bodies = ({ name, title, task, quick }) => ({
  name,
  title: `1 + 100 x 64 KiB body chunks a stream, one stream on each of 2 connections${title}`,
  quick,
  task,
  needs: ["h2load"],
  metrics: [
    { key: "cpuUs", label: "CPU µs/message", digits: 1 },
    { key: "gigabytesPerCpuSecond", label: "GB/CPU second", digits: 2 },
    { key: "megabytesPerSecond", label: "MB/s", digits: 0 },
    PEAK_MEMORY,
  ],
  compared: "cpuUs",
  async open(peer, context) {
    const server = await startPeer(peer, task);
    const answerBytes = context.answerSizes(peer.name, task).upload;
    const url = `http://${server.address}${PROCESS_PATH}`;
    const throughput = throughputOf({
      server,
      probe: PROBE_STREAMS,
      async load(requests) {
        const bodyFile = context.uploadFile;
        const result = await h2load({ url, connections: CONNECTIONS, inFlight: 1, requests, bodyFile });
        assertAnswered(result, answerBytes);
        return result;
      },
    });
    return {
      warmUp: () => throughput.warmUp(context.warmUpSeconds),
      async measure() {
        const { requests, cpuSeconds, perSecond } = await throughput.measure(context.seconds);
        return {
          cpuUs: (cpuSeconds * 1e6) / (requests * MESSAGES),
          gigabytesPerCpuSecond: (requests * BODY_GIGABYTES) / cpuSeconds,
          megabytesPerSecond: perSecond * BODY_GIGABYTES * 1000,
          peakMiB: server.memoryMiB("VmHWM"),
        };
      },
      close: () => server.stop(),
    };
  },
});
