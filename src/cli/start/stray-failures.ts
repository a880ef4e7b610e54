import { LineLimiters } from "../../server/log/line-limiter.ts";
import type { Logger } from "../../server/log/logger.ts";
import { describeThrown } from "../../server/log/thrown.ts";

/**
 * Watches for failures that belong to no transaction: a processor's timer that throws, a promise that nobody awaits.
 *
 * A rejected promise is logged, and the service goes on: somebody forgot to look at a result. After an exception
 * nobody knows in what state the program is, so the returned promise resolves, and the service had better drain and end.
 */
export function strayFailures(log: Logger): Promise<void> {
  const limiters = new LineLimiters();
  process.on("unhandledRejection", (cause) => {
    const line = limiters.next("rejection");
    if (line) log.error({ ...describeThrown(cause), ...line }, "A promise was rejected and nobody handled it");
  });
  return new Promise((resolve) => {
    process.on("uncaughtException", (cause) => {
      const line = limiters.next("exception");
      if (line)
        log.error({ ...describeThrown(cause), ...line }, "An exception outside of any transaction: the service ends");
      resolve();
    });
  });
}

/**
 * Logs an end of the process that nothing asked for: a processor, or a library that it uses, called `process.exit()`.
 * The returned function says that the end is as wanted from now on.
 */
export function watchExit(log: Logger): () => void {
  const onExit = (code: number) => {
    // The event is raised inside process.exit(), so that the stack leads to its caller.
    const at = describeThrown(new Error()).at?.filter((place) => !/node:|stray-failures/.test(place));
    log.error({ code, at }, "The process ends although nothing asked it to: process.exit() was called");
  };
  // Before the log is flushed.
  process.prependOnceListener("exit", onExit);
  return () => process.off("exit", onExit);
}
