import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { definitionsOf, isProcessor, type Processor } from "../processor/definition.ts";
import { runRules } from "../processor/run-rules.ts";
import type { Fault } from "../protocol/fault.ts";
import { checkOperator } from "../simulation/check-settings.ts";
import { waitFor } from "../simulation/drive-transaction.ts";
import { checkProperties } from "../simulation/known-properties.ts";
import { ProcessorLife } from "../simulation/processor-life.ts";
import { ProcessorServer } from "../simulation/processor-server.ts";
import { patienceMsOf, type SimulateOptions } from "../simulation/simulate-options.ts";
import { VirtualClock } from "../simulator/http/virtual-clock.ts";

/** Options of {@link sendMessages}, as in {@link SimulateOptions}. */
export type SendMessagesOptions = Pick<SimulateOptions, "operator" | "patienceMs">;

/** A processor's answers to messages. */
export interface MessageAnswers {
  /** The answers, in the order in which they were sent. */
  readonly responses: readonly ProcessingResponse[];
  /** The gRPC status of the stream's end; 0 is OK. */
  readonly code: number;
  /** Why the processor failed. Empty if it did not fail. */
  readonly faults: readonly Fault[];
}

/**
 * Sends the messages of one transaction to a processor, without a simulated Envoy. Use it for messages that Envoy would
 * never send, but other data planes can send. Each message waits until the message before it is answered.
 *
 * @example
 * ```ts
 * const { faults } = await sendMessages(auth, [requestHeaders({ authorization: ["Bearer a", "Bearer b"] })]);
 * ```
 * @throws {TypeError} Rejects with it if the first argument is not a processor, or if an option has an invalid value.
 */
export async function sendMessages(
  processor: Processor,
  messages: readonly ProcessingRequest[],
  options: SendMessagesOptions = {},
): Promise<MessageAnswers> {
  if (!isProcessor(processor)) throw new TypeError("sendMessages: the first argument is not a processor");
  checkProperties("options", options, { operator: true, patienceMs: true });
  const { operator = {} } = options;
  checkOperator(operator, definitionsOf(processor));
  const patienceMs = patienceMsOf(options);
  const rules = runRules(processor, operator);
  const life = new ProcessorLife(rules, patienceMs);
  await life.begin();
  const server = new ProcessorServer(processor, { rules, setup: life.setup });
  const clock = new VirtualClock();
  const responses: ProcessingResponse[] = [];
  let ended: number | undefined;
  const end = (code: number) => {
    ended ??= code;
  };
  const call = server.open(
    {
      message: (response) => responses.push(response),
      end,
      reset: () => undefined,
      unreachable: () => undefined,
      responseHeaders: () => undefined,
      httpStatus: () => undefined,
      after: (delayMs, callback) => void clock.after(delayMs, callback),
    },
    {},
  );
  for (const message of messages) {
    call.message(message);
    await untilIdle(server, clock, patienceMs);
  }
  call.halfClose();
  await life.setup.close();
  return { responses, code: ended ?? 0, faults: server.faults };
}

/** Waits for handlers. After `patienceMs` it lets them time out. */
async function untilIdle(server: ProcessorServer, clock: VirtualClock, patienceMs: number): Promise<void> {
  while (server.busy) {
    const isChanged = await waitFor(new Promise<void>((resolve) => server.onChange(resolve)), patienceMs);
    while (!isChanged && server.busy && clock.advance()) clock.runReady();
  }
}
