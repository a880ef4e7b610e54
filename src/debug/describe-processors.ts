import { create } from "@bufbuild/protobuf";
import { type DescribeResponse, DescribeResponseSchema } from "../../gen/extproc/debug/v1/describe_pb.js";
import type { Processor } from "../processor/definition.ts";
import type { PartDescription } from "../processor/describe/describe-part.ts";
import { describeProcessor } from "../processor/describe/describe-processor.ts";
import { type OperatorOptions, ruleWarnings, runRules } from "../processor/run-rules.ts";

/** The description of processors that `ext-proc check` prints, as a message. */
export function describeProcessors(processor: Processor, operator: OperatorOptions = {}): DescribeResponse {
  const rules = runRules(processor, operator);
  const { name, parts, processingMode, filterSettings, conflicts, unenforceable } = describeProcessor(rules);
  return create(DescribeResponseSchema, {
    name,
    processors: parts.map(partInit),
    processingMode: processingMode.map((need) => ({
      ...need,
      why: [...need.why],
      alternatives: need.alternatives.map((other) => ({ ...other })),
    })),
    filterSettings: filterSettings.map((need) => ({ ...need, value: String(need.value) })),
    conflicts: conflicts.map((conflict) => ({ ...conflict, processors: [...conflict.processors] })),
    unenforceable: [...ruleWarnings(rules, operator.processors), ...unenforceable],
  });
}

function partInit({ phases, bodies, grpc, extendsAfterMs, lifeCycle, isTightened: _, ...part }: PartDescription) {
  return {
    ...part,
    phases: [...phases],
    bodies: bodies.map(({ maxBytes, ...body }) => ({ ...body, ...(maxBytes !== undefined && { maxBytes }) })),
    ...(grpc && { grpc: { ...grpc, methods: [...grpc.methods] } }),
    ...(extendsAfterMs !== undefined && { extendsAfterMs }),
    lifeCycle: [...lifeCycle],
  };
}
