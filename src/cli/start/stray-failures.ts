import { LineLimiters } from "../../server/log/line-limiter.ts";
import type { Logger } from "../../server/log/logger.ts";
import { describeThrown } from "../../server/log/thrown.ts";

/**
 * Watches for failures outside of transactions: a timer of a processor that throws, a rejected promise that is not
 * handled.
 *
 * A rejected promise is logged, and the server continues. After an uncaught exception the state of the program is
 * unknown. Then the returned promise resolves, and the server should drain and end.
 */
export function strayFailures(log: Logger): Promise<void> {
  const limiters = new LineLimiters();
  process.on("unhandledRejection", (cause) => {
    const line = limiters.next("rejection");
    if (line)
      log.error({ ...describeThrown(cause), ...line }, "A promise was rejected, and the rejection was not handled");
  });
  return new Promise((resolve) => {
    process.on("uncaughtException", (cause) => {
      const line = limiters.next("exception");
      if (line)
        log.error({ ...describeThrown(cause), ...line }, "An exception outside of any transaction: the server stops");
      resolve();
    });
  });
}

/**
 * Logs an unexpected end of the process: a processor, or a library that it uses, called `process.exit()`.
 * After a call of the returned function the end is expected.
 */
export function watchExit(log: Logger): () => void {
  const onExit = (code: number) => {
    // The event is emitted inside process.exit(), so the stack shows its caller.
    const at = describeThrown(new Error()).at?.filter((place) => !/node:|stray-failures/.test(place));
    log.error({ code, at }, "The process ends unexpectedly: process.exit() was called");
  };
  // This listener must run before the log is flushed.
  process.prependOnceListener("exit", onExit);
  return () => process.off("exit", onExit);
}
