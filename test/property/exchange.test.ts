import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type HttpBody,
  type ProcessingResponse,
  ProcessingResponseSchema,
  type StreamedBodyResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type Answer, CONTINUE } from "../../src/protocol/answers/answer.ts";
import { MessageExchange } from "../../src/protocol/exchange/exchange.ts";
import type { HeaderChange } from "../../src/protocol/headers/header-mutation.ts";
import { type Direction, directionOf, type PhaseMessage } from "../../src/protocol/phase.ts";
import { bytes } from "../protocol/messages.ts";
import { bounded, fc } from "./seed.ts";
import { type Mode, type ScriptedTransaction, transactionArbitrary } from "./transactions.ts";

const CHANGES: readonly HeaderChange[] = [
  { op: "set", name: "x-a", value: bytes("1") },
  { op: "remove", name: "x-b" },
];
const PIECE = 64 * 1024;

interface Exchanged {
  readonly message: PhaseMessage;
  /** The answers as Envoy reads them: each goes over the wire. */
  readonly answers: readonly ProcessingResponse[];
}

/** Runs a transaction. `lags` is the number of messages of a direction that may wait for answers at a time. */
function play({ messages }: ScriptedTransaction, lags: readonly number[], changed: boolean): Exchanged[] {
  const exchange = new MessageExchange();
  const answer: Answer = changed ? { kind: "continue", headerChanges: CHANGES } : CONTINUE;
  const pending: Record<Direction, PhaseMessage[]> = { request: [], response: [] };
  const exchanged: Exchanged[] = [];
  const settle = (direction: Direction, leave: number) => {
    const queue = pending[direction];
    while (queue.length > leave) {
      const message = queue.shift() as PhaseMessage;
      const owed = exchange.unanswered;
      const answers = exchange.answer(message, isBody(message) ? CONTINUE : answer).map(overTheWire);
      expect(exchange.unanswered).toBe(Math.max(0, owed - 1));
      exchanged.push({ message, answers });
    }
  };
  messages.forEach((request, index) => {
    const accepted = exchange.accept(request);
    if (request.request.case === undefined) {
      expect(accepted).toEqual({ kind: "ignored", reason: "unset" });
      return;
    }
    if (accepted.kind !== "message") throw new Error(`a legal message is ${JSON.stringify(accepted)}`);
    const direction = directionOf(accepted.message.case);
    pending[direction].push(accepted.message);
    settle(direction, lags[index % lags.length] ?? 0);
  });
  settle("response", 0);
  settle("request", 0);
  expect(exchange.unanswered).toBe(0);
  return exchanged;
}

function overTheWire(response: ProcessingResponse): ProcessingResponse {
  return fromBinary(ProcessingResponseSchema, toBinary(ProcessingResponseSchema, response));
}

function modeOf({ message }: Exchanged, modes: Readonly<Record<Direction, Mode>>): Mode {
  return modes[directionOf(message.case)];
}

function isBody(message: PhaseMessage): message is PhaseMessage & { readonly value: HttpBody } {
  return message.case === "requestBody" || message.case === "responseBody";
}

function streamedOf({ response }: ProcessingResponse): StreamedBodyResponse {
  if (response.case !== "requestBody" && response.case !== "responseBody") throw new Error(`member ${response.case}`);
  const mutation = response.value.response?.bodyMutation?.mutation;
  if (mutation?.case !== "streamedResponse") throw new Error(`mutation ${mutation?.case}`);
  return mutation.value;
}

const playedArbitrary = fc.tuple(
  transactionArbitrary,
  fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }),
  fc.boolean(),
);

/** Checks a property of every message of every transaction that has answers. */
function everyExchange(law: (exchanged: Exchanged, transaction: ScriptedTransaction) => void): void {
  fc.assert(
    fc.property(playedArbitrary, ([transaction, lags, changed]) => {
      fc.pre(!transaction.observabilityMode);
      for (const exchanged of play(transaction, lags, changed)) law(exchanged, transaction);
    }),
    bounded(300),
  );
}

describe("every message that needs an answer", () => {
  test("every message that needs an answer gets one of the matching member; several only for a full-duplex body", () => {
    everyExchange((exchanged, { modes }) => {
      const { message, answers } = exchanged;
      if (isBody(message) && modeOf(exchanged, modes) === "FULL_DUPLEX_STREAMED") {
        expect(answers.length).toBe(Math.max(1, Math.ceil(message.value.body.length / PIECE)));
      } else {
        expect(answers).toHaveLength(1);
      }
      for (const answer of answers) expect(answer.response.case).toBe(message.case);
    });
  });

  test("an answer carries nothing in addition to the oneof", () => {
    everyExchange(({ answers }) => {
      for (const answer of answers) {
        const { response, ...rest } = answer;
        expect(response.case).toBeDefined();
        expect(rest).toMatchObject({ requestDrain: false, typedDynamicMetadata: {} });
        expect([rest.dynamicMetadata, rest.modeOverride, rest.overrideMessageTimeout]).toEqual([
          undefined,
          undefined,
          undefined,
        ]);
      }
    });
  });
});

describe("bodies", () => {
  test("bodies of full-duplex modes come back byte for byte, with the same end", () => {
    everyExchange((exchanged, { modes }) => {
      const { message, answers } = exchanged;
      const mode = modeOf(exchanged, modes);
      if (!isBody(message) || (mode !== "FULL_DUPLEX_STREAMED" && mode !== "GRPC")) return;
      const pieces = answers.map(streamedOf);
      expect(Buffer.compare(Buffer.concat(pieces.map(({ body }) => body)), message.value.body)).toBe(0);
      expect(pieces.slice(0, -1).some(({ endOfStream }) => endOfStream)).toBe(false);
      expect(pieces.at(-1)?.endOfStream).toBe(message.value.endOfStream);
      if (mode === "GRPC") {
        expect(pieces[0]?.endOfStreamWithoutMessage).toBe(message.value.endOfStreamWithoutMessage);
      } else {
        expect(pieces.every(({ body }) => body.length <= PIECE)).toBe(true);
      }
    });
  });

  test("bodies of all other modes are answered by an empty payload, since Envoy keeps its copy", () => {
    everyExchange((exchanged, { modes }) => {
      const { message, answers } = exchanged;
      const mode = modeOf(exchanged, modes);
      if (!isBody(message) || mode === "FULL_DUPLEX_STREAMED" || mode === "GRPC") return;
      expect(answers.map((answer) => toBinary(ProcessingResponseSchema, answer).length)).toEqual([2]);
    });
  });
});

test("no answer is written in observability mode, and no message waits for one", () => {
  fc.assert(
    fc.property(playedArbitrary, ([transaction, lags, changed]) => {
      fc.pre(transaction.observabilityMode);
      for (const { answers } of play(transaction, lags, changed)) expect(answers).toEqual([]);
    }),
    bounded(60),
  );
});
