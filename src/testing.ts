/**
 * `ext-proc/testing`: a simulated Envoy, and builders of its messages, for any test runner.
 *
 * @packageDocumentation
 */

export type { EnvoyVersion, FilterSettings } from "./simulator/filter-settings.ts";
export type { VirtualRoute } from "./simulator/http-exchange.ts";
export type { Outcome, Warning } from "./simulator/outcome.ts";
export type { HeaderFields } from "./testing/header-lines.ts";
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
} from "./testing/messages.ts";
export { type MessageAnswers, type SendMessagesOptions, sendMessages } from "./testing/send-messages.ts";
export { simulate } from "./testing/simulate.ts";
export type { EnvoyOptions, OperatorOptions, SimulateOptions } from "./testing/simulate-options.ts";
export { simulateRemote } from "./testing/simulate-remote.ts";
export type { SendRequest, SimulatedEnvoy } from "./testing/simulated-envoy.ts";
export type {
  SimulatedBody,
  SimulatedRequest,
  SimulatedRequestLine,
  SimulatedResponse,
  SimulatedUpstream,
} from "./testing/simulated-request.ts";
export type {
  ClientResponse,
  ReceivedHeaders,
  ReceivedMessage,
  SimulatedTransaction,
  UpstreamRequest,
} from "./testing/simulated-transaction.ts";
