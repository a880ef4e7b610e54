import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Answer } from "../../src/protocol/answers/answer.ts";
import { toImmediateResponse } from "../../src/protocol/answers/immediate-response.ts";
import { returnsBody } from "../../src/protocol/body-mode.ts";
import { declareEnvoy } from "../../src/protocol/envoy-declaration.ts";
import { MessageExchange } from "../../src/protocol/exchange/exchange.ts";
import type { HeaderChange } from "../../src/protocol/headers/header-mutation.ts";
import type { ModeOverride } from "../../src/protocol/mode-override.ts";
import { type Direction, directionOf, isHeaderPhase, type PhaseMessage } from "../../src/protocol/phase.ts";
import { bytes } from "../protocol/messages.ts";
import { bounded, fc } from "./seed.ts";
import { type ScriptedTransaction, transactionArbitrary } from "./transactions.ts";

/** The answers that a processor may want for a message. */
interface Wish {
  readonly changes: readonly HeaderChange[];
  readonly override: ModeOverride | undefined;
  readonly metadata: boolean;
  readonly clearRouteCache: boolean;
  readonly immediate: boolean;
  readonly extendMs: number | undefined;
}

const bodyMode = fc.option(fc.constantFrom("NONE", "STREAMED", "BUFFERED", "FULL_DUPLEX_STREAMED" as const), {
  nil: undefined,
}) as fc.Arbitrary<ModeOverride["requestBody"]>;
const wishArbitrary: fc.Arbitrary<Wish> = fc.record({
  changes: fc.array(
    fc.constantFrom<HeaderChange>({ op: "set", name: ":path", value: bytes("/") }, { op: "remove", name: "x" }),
  ),
  override: fc.option(fc.record({ requestBody: bodyMode, responseBody: bodyMode }), { nil: undefined, freq: 2 }),
  metadata: fc.boolean(),
  clearRouteCache: fc.boolean(),
  immediate: fc.constantFrom(false, false, false, false, true),
  extendMs: fc.option(fc.integer({ min: -5, max: 1_200 }), { nil: undefined }),
});

const DECLARED = declareEnvoy({ allowModeOverride: true, maxMessageTimeoutMs: 1_000 });

function answerTo(exchange: MessageExchange, message: PhaseMessage, wish: Wish): Answer {
  const dynamicMetadata = wish.metadata ? { n: { a: 1 } } : undefined;
  if (wish.immediate) {
    const response = toImmediateResponse({ status: 403 });
    if ("problem" in response) throw new Error(response.problem);
    return { kind: "immediate", responses: [response], dynamicMetadata };
  }
  const resolved =
    wish.override && isHeaderPhase(message.case)
      ? exchange.resolveModeOverride(wish.override, message.case)
      : undefined;
  const modeOverride = resolved === undefined || "problem" in resolved ? undefined : resolved;
  const { changes, clearRouteCache } = wish;
  return { kind: "continue", headerChanges: changes, clearRouteCache, modeOverride, dynamicMetadata };
}

interface Said {
  readonly message: PhaseMessage;
  readonly answers: readonly ProcessingResponse[];
  readonly extension: ProcessingResponse | undefined;
  /** True if an immediate response was sent before. */
  readonly over: boolean;
  readonly returned: boolean;
}

function everyTransaction(law: (said: readonly Said[], transaction: ScriptedTransaction) => void): void {
  const wishes = fc.array(wishArbitrary, { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(transactionArbitrary, wishes, (transaction, wanted) => {
      const exchange = new MessageExchange({ declaration: DECLARED });
      const said: Said[] = [];
      let over = false;
      transaction.messages.forEach((request, index) => {
        const accepted = exchange.accept(request);
        if (accepted.kind !== "message") return;
        const { message } = accepted;
        const wish = wanted[index % wanted.length] as Wish;
        const direction: Direction = directionOf(message.case);
        const extension = wish.extendMs === undefined ? undefined : exchange.extendTimeout(direction, wish.extendMs);
        const answer = answerTo(exchange, message, wish);
        const answers = exchange.answer(message, answer).map(overTheWire);
        said.push({ message, answers, extension, over, returned: returnsBody(exchange.bodyMode(direction)) });
        over ||= answer.kind === "immediate" && answers.length > 0;
      });
      law(said, transaction);
    }),
    bounded(500),
  );
}

function overTheWire(response: ProcessingResponse): ProcessingResponse {
  return fromBinary(ProcessingResponseSchema, toBinary(ProcessingResponseSchema, response));
}

describe("answers to any effects", () => {
  test("each message gets one answer of its own member, several only if a body goes back, or an immediate response", () => {
    everyTransaction((said, { observabilityMode: observed }) => {
      for (const { message, answers, over, returned } of said) {
        if (observed || over) expect(answers).toEqual([]);
        else if (answers[0]?.response.case === "immediateResponse") expect(answers).toHaveLength(1);
        else {
          if (!returned) expect(answers).toHaveLength(1);
          expect(answers.length).toBeGreaterThan(0);
          for (const { response } of answers) expect(response.case).toBe(message.case);
        }
      }
    });
  });

  test("nothing is written in observability mode, nor after an immediate response", () => {
    everyTransaction((said, { observabilityMode: observed }) => {
      const immediate = said.findIndex(({ answers }) => answers[0]?.response.case === "immediateResponse");
      const silent = observed ? said : immediate < 0 ? [] : said.slice(immediate + 1);
      expect(silent.flatMap(({ answers, extension }) => (extension ? [...answers, extension] : answers))).toEqual([]);
    });
  });

  test("an extension of a timeout carries nothing else, and no answer carries one", () => {
    everyTransaction((said) => {
      for (const { answers, extension } of said) {
        expect(answers.some(({ overrideMessageTimeout }) => overrideMessageTimeout !== undefined)).toBe(false);
        if (extension === undefined) continue;
        const { response, dynamicMetadata, modeOverride, typedDynamicMetadata } = overTheWire(extension);
        expect([response.case, dynamicMetadata, modeOverride, typedDynamicMetadata]).toEqual([
          ...[undefined, undefined, undefined],
          {},
        ]);
      }
    });
  });

  test("only header answers carry an override, and only an answer with a mutation clears the route cache", () => {
    everyTransaction((said) => {
      for (const { modeOverride, response } of said.flatMap(({ answers }) => answers)) {
        if (modeOverride !== undefined) expect(isHeaderPhase(response.case as never)).toBe(true);
        if (response.case !== "requestHeaders" && response.case !== "responseHeaders") continue;
        const common = response.value.response;
        if (!common?.clearRouteCache) continue;
        expect([response.case, common.headerMutation !== undefined]).toEqual(["requestHeaders", true]);
      }
    });
  });

  test("an override that streams a body removes its content-length if Envoy is not known to stream it", () => {
    everyTransaction((said, { modes }) => {
      const configured = [undefined, "unknown", "NONE", "BUFFERED"].includes(modes.request);
      for (const { answers, message } of said) {
        const [{ modeOverride, response } = {}] = answers;
        if (message.case !== "requestHeaders" || response?.case !== "requestHeaders") continue;
        const removed = response.value.response?.headerMutation?.removeHeaders ?? [];
        const streams = modeOverride?.requestBodyMode === 1 || modeOverride?.requestBodyMode === 4;
        expect(removed.includes("content-length")).toBe(configured && streams && !message.value.endOfStream);
      }
    });
  });
});
