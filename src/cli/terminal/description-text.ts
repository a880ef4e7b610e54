import type { BodyHandlerDescription, PartDescription } from "../../processor/describe/describe-part.ts";
import type { ModeNeed, ProcessorDescription } from "../../processor/describe/describe-processor.ts";

/** A processor's description as lines of text. The settings are written as in Envoy's configuration. */
export function descriptionText(description: ProcessorDescription): string[] {
  const { parts, processingMode, filterSettings, conflicts } = description;
  return [
    ...parts.flatMap(partText),
    "Envoy's filter needs",
    "  processing_mode:",
    ...processingMode.flatMap(modeText),
    ...filterSettings.map(
      ({ setting, value, required, why }) => `  ${setting}: ${value}  # ${required ? "" : "optional; "}${why}`,
    ),
    ...conflicts.map(
      ({ direction, processors: [one, other], why }) =>
        `conflict: ${one} and ${other} cannot share every mode of the ${direction} body: ${why}`,
    ),
  ];
}

function partText(part: PartDescription): string[] {
  const { phases, bodies, grpc, lifeCycle, extendsAfterMs } = part;
  return [
    `processor ${part.name}`,
    `  phases: ${phases.length > 0 ? phases.join(", ") : "none"}`,
    ...bodies.map((body) => `  ${body.phase}: ${bodyText(body)}`),
    ...(grpc ? [`  grpc: ${grpc.methods.join(", ")} of ${grpc.service}${grpc.required ? ", required" : ""}`] : []),
    `  onFault: ${part.onFault}${part.isTightened ? " (tightened)" : ""}`,
    `  timeoutMs: ${part.timeoutMs}${extendsAfterMs === undefined ? "" : `, asks Envoy for more time after ${extendsAfterMs} ms`}`,
    ...(lifeCycle.length > 0 ? [`  life cycle: ${lifeCycle.join(", ")}`] : []),
    ...(part.hasConfig ? ["  config: optional"] : []),
  ];
}

function bodyText({ read, hasWhen, maxBytes, overLimit, encoding, required }: BodyHandlerDescription): string {
  return [
    read,
    ...(hasWhen ? ["only if when returns true"] : []),
    ...(maxBytes === undefined
      ? []
      : [`at most ${maxBytes} bytes, a larger body ${overLimit === "pass" ? "passes unseen" : "is rejected"}`]),
    ...(encoding === "raw" ? ["raw"] : []),
    ...(required ? ["required"] : []),
  ].join(", ");
}

function modeText({ field, mode, why, alternatives }: ModeNeed): string[] {
  return [
    `    ${field}: ${mode}  # ${why.join("; ")}`,
    ...alternatives.map((other) => `    # or ${other.mode}, if ${other.where}`),
  ];
}
