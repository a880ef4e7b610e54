import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type ProcessingRequest,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Processor } from "../../src/processor/definition.ts";
import type { Phase } from "../../src/protocol/phase.ts";
import { Session } from "../../src/session/session.ts";
import type { SessionEnd } from "../../src/session/session-observer.ts";
import type { SessionOptions } from "../../src/session/session-options.ts";

/** A session with a record of all its output. */
export interface RecordedSession {
  readonly session: Session;
  readonly answers: ProcessingResponse[];
  readonly ends: SessionEnd[];
  /** The output in order: the member of an answer, or `ended: ` and the result or the fault's code. */
  readonly log: string[];
  /** What the observer was called with. */
  readonly observed: string[];
  receive(...messages: readonly ProcessingRequest[]): void;
}

export function recordSession(processor: Processor, options: Partial<SessionOptions> = {}): RecordedSession {
  const answers: ProcessingResponse[] = [];
  const ends: SessionEnd[] = [];
  const log: string[] = [];
  const observed: string[] = [];
  const session = new Session(processor, {
    origin: "envoy",
    observer: {
      message: (phase: Phase, origin) => observed.push(`${origin} ${phase}`),
      ended: (end, origin) => observed.push(`${origin} ended: ${outcomeOf(end)}`),
    },
    outlet: {
      send(response) {
        // Goes over the wire, because an answer that cannot be encoded is not an answer.
        const sent = fromBinary(ProcessingResponseSchema, toBinary(ProcessingResponseSchema, response));
        answers.push(sent);
        log.push(sent.response.case ?? "empty");
      },
      drained: () => undefined,
      ended(end) {
        ends.push(end);
        log.push(`ended: ${outcomeOf(end)}`);
      },
    },
    ...options,
  });
  return {
    session,
    answers,
    ends,
    log,
    observed,
    receive(...messages) {
      for (const message of messages) session.receive(message);
    },
  };
}

/** The header changes of an answer, in short: `name = value`, `name += value`, `-name`. */
export function changesOf(answer: ProcessingResponse | undefined): string[] {
  const mutation = mutationOf(answer);
  const sets = (mutation?.setHeaders ?? []).map(
    ({ header, append }) => `${header?.key} ${append ? "+=" : "="} ${new TextDecoder().decode(header?.rawValue)}`,
  );
  return [...(mutation?.removeHeaders ?? []).map((name) => `-${name}`), ...sets];
}

function mutationOf(answer: ProcessingResponse | undefined) {
  const { response } = answer ?? {};
  switch (response?.case) {
    case "requestHeaders":
    case "responseHeaders":
      return response.value.response?.headerMutation;
    case "requestTrailers":
    case "responseTrailers":
      return response.value.headerMutation;
    case "immediateResponse":
      return response.value.headers;
    default:
      return undefined;
  }
}

function outcomeOf({ result, fault }: SessionEnd): string {
  return fault?.code ?? result;
}
