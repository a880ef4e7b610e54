/**
 * `ext-proc/testing`: a simulated Envoy, and builders of its messages, for any test runner.
 *
 * @packageDocumentation
 */

export type { OperatorOptions } from "./processor/run-rules.ts";
export type {
  BodySendMode,
  DeclaredEnvoySettings,
  EnvoySettings,
  HeaderSendMode,
  MutationRules,
  ProcessingModeSettings,
} from "./protocol/envoy-settings.ts";
export type { HeaderRecord } from "./simulation/header-lines.ts";
export {
  type EndOfStream,
  httpHeaders,
  httpTrailers,
  type MessageEnvelope,
  requestBody,
  requestHeaders,
  requestTrailers,
  responseBody,
  responseHeaders,
  responseTrailers,
} from "./simulation/messages.ts";
export { simulate } from "./simulation/simulate.ts";
export type { EnvoyOptions, SimulateOptions } from "./simulation/simulate-options.ts";
export type { SendRequest, SimulatedEnvoy } from "./simulation/simulated-envoy.ts";
export type {
  SimulatedBody,
  SimulatedRequest,
  SimulatedRequestLine,
  SimulatedResponse,
  SimulatedUpstream,
} from "./simulation/simulated-request.ts";
export type {
  ClientResponse,
  ReceivedHeaders,
  ReceivedMessage,
  SimulatedTransaction,
  UpstreamRequest,
} from "./simulation/simulated-transaction.ts";
export type { VirtualRoute } from "./simulator/http/http-exchange.ts";
export type { HttpReport, Warning } from "./simulator/report/report.ts";
export type { EnvoyVersion, SimulatedEnvoySettings } from "./simulator/settings/simulated-envoy-settings.ts";
export { type MessageAnswers, type SendMessagesOptions, sendMessages } from "./testing/send-messages.ts";
export { simulateRemote } from "./testing/simulate-remote.ts";
