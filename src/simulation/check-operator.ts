import { type AnyDefinition, FAULT_POLICIES } from "../processor/definition.ts";
import type { EnvoyDeclarationInit } from "../protocol/envoy-declaration.ts";
import { oneOf } from "./check-settings.ts";
import { checkProperties, type PropertiesOf } from "./known-properties.ts";
import { OPERATOR_OPTIONS, type OperatorOptions } from "./simulate-options.ts";

const DECLARATION: PropertiesOf<EnvoyDeclarationInit> = {
  messageTimeoutMs: true,
  maxMessageTimeoutMs: true,
  allowModeOverride: true,
  bufferLimitBytes: true,
  overriddenBodyTimeoutMs: true,
  trailers: true,
  failureModeAllow: true,
  disableImmediateResponse: true,
  allowContentLengthHeader: true,
  mutationRules: true,
};

/**
 * Refuses what no operator can say of these processors.
 *
 * @throws {TypeError} Naming the property.
 */
export function checkOperator(operator: OperatorOptions, definitions: readonly AnyDefinition[]): void {
  checkProperties("options.operator", operator, OPERATOR_OPTIONS);
  checkProperties("options.operator.envoy", operator.envoy ?? {}, DECLARATION);
  oneOf("options.operator.onFault", operator.onFault, FAULT_POLICIES);
  const names = definitions.map(({ name }) => name);
  for (const name of Object.keys(operator.processors ?? {})) oneOf("options.operator.processors", name, names);
}
