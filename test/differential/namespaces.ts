import type { JsonValue } from "@bufbuild/protobuf";
import type { Scenario } from "../scenarios/scenario.ts";

/** Every namespace of dynamic metadata that a scenario names, allowed or not. */
export function namespacesOf({ settings, dynamicMetadata, script }: Scenario): readonly string[] {
  const sent = (script?.rules ?? []).flatMap((rule) =>
    rule.do.flatMap((action) => (typeof action === "object" && "send" in action ? metadataKeys(action.send) : [])),
  );
  const options = [settings?.metadataOptions, settings?.perRoute?.metadataOptions];
  const configured = options.flatMap((option) => [
    ...(option?.receivingNamespaces?.untyped ?? []),
    ...(option?.forwardingNamespaces?.untyped ?? []),
  ]);
  return [...new Set([...Object.keys(dynamicMetadata ?? {}), ...configured, ...sent])];
}

function metadataKeys(answer: JsonValue): string[] {
  if (typeof answer !== "object" || answer === null || Array.isArray(answer)) return [];
  const metadata = answer.dynamicMetadata ?? answer.dynamic_metadata;
  return typeof metadata === "object" && metadata !== null ? Object.keys(metadata) : [];
}
