import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Bytes that this process has in use, of everything there is, once what is garbage has gone. */
export function usedBytes(): number {
  // Twice: what the first run finds of buffers is given back in the background, and counted at the next.
  for (let n = 0; n < 2; n++) collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
