import { LineLimiter } from "../server/line-limiter.ts";
import type { Logger } from "../server/logger.ts";
import { describeThrown } from "../server/thrown.ts";

/**
 * Watches for failures that belong to no transaction: a processor's timer that throws, a promise that nobody awaits.
 *
 * A rejected promise is logged, and the service goes on: somebody forgot to look at a result. After an exception
 * nobody knows in what state the program is, so the returned promise resolves, and the service had better drain and end.
 */
export function strayFailures(log: Logger): Promise<void> {
  const limiter = new LineLimiter();
  process.on("unhandledRejection", (cause) => {
    const line = limiter.next();
    if (line) log.error({ ...describeThrown(cause), ...line }, "A promise was rejected and nobody handled it");
  });
  return new Promise((resolve) => {
    process.on("uncaughtException", (cause) => {
      log.error({ ...describeThrown(cause) }, "An exception outside of any transaction: the service ends");
      resolve();
    });
  });
}
