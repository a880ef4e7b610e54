import { create } from "@bufbuild/protobuf";
import { type DescribeResponse, DescribeResponseSchema } from "../../gen/extproc/debug/v1/describe_pb.js";
import type { Processor } from "../processor/definition.ts";
import { type RunOptions, ruleWarnings, runRules, unenforceable } from "../processor/run-rules.ts";

/** What is served, and what it needs of Envoy. */
export function describeProcessors(processor: Processor, run: RunOptions = {}): DescribeResponse {
  const rules = runRules(processor, run);
  return create(DescribeResponseSchema, {
    warnings: [...ruleWarnings(rules, run.processors), ...unenforceable(rules)],
  });
}
