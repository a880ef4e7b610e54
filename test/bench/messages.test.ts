import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { firstDifference } from "../../bench/harness/answer-check.mjs";
import {
  everyPhaseMessages,
  grpcBody,
  headerMessages,
  rightAnswers,
  uploadMessages,
} from "../../bench/harness/messages.mjs";
import { answerOf } from "../../bench/peers/messages/answer.mjs";
import { ProcessingResponseSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

describe("the requests", () => {
  test("the requests have headers of the size that docs/performance.md states", () => {
    const [headers] = headerMessages();
    expect(grpcBody(headers ? [headers] : [])).toHaveLength(5 + 1238);
    expect(headers?.request.case === "requestHeaders" && headers.request.value.headers?.headers).toHaveLength(18);
  });

  test("the upload requests send 100 chunks of 64 KiB", () => {
    const bytes = uploadMessages().map(({ request }) =>
      request.case === "requestBody" ? request.value.body.length : 0,
    );
    expect(bytes).toEqual([0, ...Array(100).fill(65_536)]);
  });
});

describe("the check of answers", () => {
  const messages = everyPhaseMessages();

  test.each(["hello", "three-two"] as const)("the check of answers accepts the Node peers' %s", (task) => {
    expect(firstDifference(messages.map(answerOf(task)), rightAnswers(task, messages))).toBeUndefined();
  });

  test("the check of answers rejects another task's answer and names the difference", () => {
    const problem = firstDifference(messages.map(answerOf("three-two")), rightAnswers("hello", messages));
    expect(problem).toMatch(/^answer 1 is .*x-seen-path.* and should be .*x-ext-proc-header/);
  });

  test("the check of answers counts answers", () => {
    const right = rightAnswers("hello", messages);
    expect(firstDifference(right.slice(1), right)).toBe("6 answers instead of 7");
  });

  test("the check of answers distinguishes a missing append from append false, as Envoy does", () => {
    const right = rightAnswers("hello", messages.slice(0, 1));
    const answers = right.map((answer) => {
      const copy = structuredClone(answer);
      if (copy.response.case !== "requestHeaders") throw new Error("the first answer is to request headers");
      const [option] = copy.response.value.response?.headerMutation?.setHeaders ?? [];
      if (option) delete option.append;
      return create(ProcessingResponseSchema, { response: copy.response });
    });
    expect(firstDifference(answers, right)).toMatch(/^answer 1 is/);
  });
});
