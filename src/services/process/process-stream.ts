import { Code, ConnectError } from "@connectrpc/connect";
import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Processor } from "../../processor/definition.ts";
import { Session } from "../../session/session.ts";
import { CUT_OFF, isCutOff, type SessionEnd } from "../../session/session-observer.ts";
import { MAX_WAITING_MESSAGES, type SessionOptions } from "../../session/session-options.ts";
import { Condition } from "./condition.ts";
import { faultError, readFault } from "./fault-error.ts";
import { receive } from "./receive.ts";

/** Options of {@link processStream}. */
export interface ProcessStreamOptions extends Omit<SessionOptions, "outlet"> {
  /** Aborted when the client has disconnected. */
  readonly signal: AbortSignal;
}

/**
 * Runs one Process call of Connect through a {@link Session}. Messages are read while answers are written, so a slow
 * handler of one direction does not delay the other direction. Reading pauses while too many messages wait.
 *
 * @throws {ConnectError} If the session ends with a fault.
 */
export async function* processStream(
  processor: Processor,
  requests: AsyncIterable<ProcessingRequest>,
  options: ProcessStreamOptions,
): AsyncGenerator<ProcessingResponse> {
  const { signal, ...sessionOptions } = options;
  const answers: ProcessingResponse[] = [];
  const changed = new Condition();
  let end: SessionEnd | undefined;
  const isFull = () => end === undefined && answers.length >= MAX_WAITING_MESSAGES;
  const untilRead = async () => {
    while (isFull()) await changed.wait();
  };
  const session = new Session(processor, {
    ...sessionOptions,
    outlet: {
      send(response) {
        answers.push(response);
        changed.notify();
      },
      ended(how) {
        end = how;
        changed.notify();
      },
      settled: () => changed.notify(),
      drained: () => (isFull() ? untilRead() : undefined),
    },
  });
  const cancel = () => session.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  // Connect does not end the iteration of requests when its signal aborts, so nothing below waits for this.
  const reading = read(
    requests,
    session,
    () => end !== undefined || answers.length + session.backlog < MAX_WAITING_MESSAGES,
    changed,
  );
  let readError: unknown;
  reading.catch((error: unknown) => {
    if (end === undefined) readError = error;
    // Envoy resets every stream that it does not need any more, which is not a fault.
    session.fail(signal.aborted ? undefined : readFault(error));
  });
  try {
    while (true) {
      for (let next = answers.shift(); next !== undefined; next = answers.shift()) {
        changed.notify();
        yield next;
      }
      if (end !== undefined) break;
      await changed.wait();
    }
    if (end.error !== undefined) throw faultError(end.error);
    // Envoy would let the request pass if the stream simply ended. Envoy may still be connected: its own deadline can
    // leave a message without an answer.
    if (isCutOff(end.result) || readError !== undefined)
      throw ConnectError.from(readError ?? (signal.aborted ? signal.reason : CUT_OFF), Code.Canceled);
  } finally {
    // This also runs if Connect abandons the generator, for example after a reset by the client.
    session.cancel();
    signal.removeEventListener("abort", cancel);
  }
}

async function read(
  requests: AsyncIterable<ProcessingRequest>,
  session: Session,
  mayRead: () => boolean,
  changed: Condition,
): Promise<void> {
  for await (const request of requests) {
    receive(session, request);
    while (!mayRead()) await changed.wait();
  }
  session.finish();
}
