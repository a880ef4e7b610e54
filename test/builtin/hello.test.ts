import { expect, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { neutralAnswer } from "../../src/protocol/answers/neutral-answer.ts";
import { PHASES } from "../../src/protocol/phase.ts";
import { plainMessage } from "../protocol/messages.ts";
import { changesOf, recordSession } from "../session/recorded-session.ts";

test("hello sets one header each way and lets bodies and trailers pass untouched", () => {
  const recorded = recordSession(hello);
  recorded.receive(...PHASES.map((phase) => plainMessage(phase)));
  recorded.session.finish();
  expect(recorded.log).toEqual([...PHASES, "ended: completed"]);
  const [qH, qB, qT, sH, sB, sT] = recorded.answers;
  expect(changesOf(qH)).toEqual(["x-ext-proc-header = hello-to-asm"]);
  expect(changesOf(sH)).toEqual(["x-ext-proc-header = hello-from-asm"]);
  expect([qB, qT, sB, sT]).toEqual(
    (["requestBody", "requestTrailers", "responseBody", "responseTrailers"] as const).flatMap(neutralAnswer),
  );
});

test("hello has its own name", () => {
  expect(hello.name).toBe("hello");
});
