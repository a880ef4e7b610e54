import { describe, expect, test } from "vitest";
import type { HttpExchange } from "../../../src/simulator/http/http-exchange.ts";
import type { WarningCode } from "../../../src/simulator/report/warnings.ts";
import type { SimulatedEnvoySettings } from "../../../src/simulator/settings/simulated-envoy-settings.ts";
import {
  type AnswerInit,
  bytes,
  headersAnswer,
  type MessageCase,
  modeOverride,
  type Reaction,
  simulate,
  warningCodes,
} from "../servers.ts";

/** The server's answers, the settings of Envoy, and the transaction. */
interface Case {
  readonly says: Partial<Record<MessageCase, Reaction>>;
  readonly to?: SimulatedEnvoySettings;
  readonly about?: HttpExchange;
}

const neutral: AnswerInit = { response: { case: "requestHeaders", value: {} } };
const spaced: HttpExchange = { request: { chunks: ["one ", "two"], chunkIntervalMs: 5 } };
const long: HttpExchange = { request: { headers: [["content-length", "7"]], chunks: ["one two"] } };
const streamsRequest: SimulatedEnvoySettings = { processingMode: { requestBodyMode: "STREAMED" } };
const streamsResponse: SimulatedEnvoySettings = { processingMode: { responseBodyMode: "STREAMED" } };

type Common = NonNullable<Extract<AnswerInit["response"], { case: "requestHeaders" }>["value"]["response"]>;
type Mutation = NonNullable<Common["headerMutation"]>;
type Immediate = Extract<AnswerInit["response"], { case: "immediateResponse" }>["value"];

/** Answers request headers with this. */
function says(common: Common): Case["says"] {
  return { requestHeaders: [{ response: { case: "requestHeaders", value: { response: common } } }] };
}

function changes(headerMutation: Mutation): Case["says"] {
  return says({ headerMutation });
}

function sets(name: string, value = "1"): Case["says"] {
  return { requestHeaders: [headersAnswer("requestHeaders", { [name]: value })] };
}

function replies(value: Immediate): AnswerInit {
  return { response: { case: "immediateResponse", value } };
}

function header(key: string, value: string) {
  return { header: { key, rawValue: bytes(value) } };
}

const CASES: Readonly<Record<WarningCode, Case>> = {
  remove_refused: { says: changes({ removeHeaders: ["host"] }) },
  disallowed_expression: { says: sets("x-a"), to: { mutationRules: { disallowExpression: "x-.*" } } },
  disallowed_all: { says: sets("x-a"), to: { mutationRules: { disallowAll: true } } },
  routing_refused: { says: sets(":authority", "other.test") },
  system_refused: { says: sets(":path", "/a"), to: { mutationRules: { disallowSystem: true } } },
  pseudo_append_refused: { says: changes({ setHeaders: [{ ...header(":path", "/a"), append: true }] }) },
  envoy_refused: { says: sets("x-envoy-a") },
  status_invalid: { says: { responseHeaders: [headersAnswer("responseHeaders", { ":status": "99" })] } },
  scheme_invalid: { says: sets(":scheme", "gopher"), to: { mutationRules: { allowAllRouting: true } } },
  authority_invalid: { says: sets("host", "a b"), to: { mutationRules: { allowAllRouting: true } } },
  header_name_empty: { says: sets("") },
  value_without_raw_value: { says: changes({ setHeaders: [{ header: { key: "x-a", value: "1" } }] }) },
  append_action_ignored: { says: changes({ setHeaders: [{ ...header("x-a", "1"), appendAction: 1 }] }) },
  content_length_skipped: { says: sets("content-length", "7"), to: streamsRequest, about: long },
  header_mutation_too_late: {
    says: {
      requestBody: [
        {
          response: {
            case: "requestBody",
            value: { response: { headerMutation: { setHeaders: [header("x-a", "1")] } } },
          },
        },
      ],
    },
    to: streamsRequest,
    about: spaced,
  },
  body_mutation_in_headers_answer: {
    says: says({ bodyMutation: { mutation: { case: "body", value: bytes("x") } } }),
    about: spaced,
  },
  trailers_ignored: { says: says({ trailers: { headers: [{ key: "x-t", rawValue: bytes("1") }] } }), about: spaced },
  streamed_response_ignored: {
    says: {
      requestBody: [
        {
          response: {
            case: "requestBody",
            value: {
              response: { bodyMutation: { mutation: { case: "streamedResponse", value: { body: bytes("x") } } } },
            },
          },
        },
      ],
    },
    to: { processingMode: { requestBodyMode: "BUFFERED" } },
    about: spaced,
  },
  mode_override_ignored: { says: { requestHeaders: [modeOverride({ requestBodyMode: 2 })] }, about: spaced },
  mode_override_resets_body_mode: {
    says: { requestHeaders: [modeOverride({ requestBodyMode: 2 })] },
    to: { allowModeOverride: true, ...streamsResponse },
  },
  content_length_kept: {
    says: { requestHeaders: [modeOverride({ requestBodyMode: 1 })] },
    to: { allowModeOverride: true },
    about: long,
  },
  timeout_override_ignored: { says: { requestHeaders: [{ overrideMessageTimeout: { seconds: 1n } }, neutral] } },
  answer_lost_to_timeout_override: {
    says: { requestHeaders: [{ ...neutral, overrideMessageTimeout: { seconds: 1n } }, neutral] },
    to: { maxMessageTimeoutMs: 2000 },
  },
  clear_route_cache_ignored: { says: says({ clearRouteCache: true }) },
  clear_route_cache_disabled: {
    says: says({ clearRouteCache: true, headerMutation: {} }),
    to: { routeCacheAction: "RETAIN" },
  },
  dynamic_metadata_dropped: { says: { requestHeaders: [{ ...neutral, dynamicMetadata: { shop: {} } }] } },
  typed_metadata_unsupported: {
    says: { requestHeaders: [{ ...neutral, typedDynamicMetadata: { shop: { typeUrl: "t/a" } } }] },
    to: { envoyVersion: "1.39", metadataOptions: { receivingNamespaces: { typed: ["shop"] } } },
  },
  immediate_header_overruled: {
    says: {
      requestHeaders: [
        replies({
          status: { code: 403 },
          headers: { setHeaders: [header("content-length", "5")] },
        }),
      ],
    },
  },
  immediate_status_invalid: { says: { requestHeaders: [replies({})] } },
  immediate_headers_cut: {
    says: {
      requestHeaders: [replies({ status: { code: 403 }, headers: { setHeaders: [header("x-a", "1\n")] } })],
    },
  },
  immediate_too_late: {
    says: { responseBody: [replies({ status: { code: 403 } })] },
    to: streamsResponse,
    about: { response: { chunks: ["one ", "two"], chunkIntervalMs: 5 } },
  },
  body_lost: {
    says: { requestBody: (stream, { request }) => request.value && "endOfStream" in request.value && stream.end(0) },
    to: { processingMode: { requestBodyMode: "FULL_DUPLEX_STREAMED", requestTrailerMode: "SEND" } },
    about: spaced,
  },
  body_after_content_length: { says: sets("content-length", "3"), about: long },
  body_short_of_content_length: { says: sets("content-length", "99"), about: long },
  answer_after_end: {
    says: { responseHeaders: [headersAnswer("responseHeaders", {}), headersAnswer("responseHeaders", {})] },
  },
  answer_in_observability_mode: { says: { requestHeaders: [neutral] }, to: { observabilityMode: true } },
};

describe("a warning", () => {
  test.each(Object.entries(CASES))(
    "warning %s is given, with the rule and the way out",
    (code, { says, to, about }) => {
      const outcome = simulate(says, to, about);
      expect(new Set(warningCodes(outcome))).toEqual(new Set([code]));
      for (const { rule, wayOut } of outcome.warnings)
        expect([rule, wayOut]).toEqual([expect.any(String), expect.any(String)]);
    },
  );

  test("a warning about a body that was lost names its direction", () => {
    const { says, to } = CASES.body_lost;
    expect(simulate(says, to, spaced).warnings).toMatchObject([{ code: "body_lost", phase: "requestBody" }]);
    const ends: Reaction = (stream, { request }) => request.value && "endOfStream" in request.value && stream.end(0);
    const processingMode = { responseBodyMode: "FULL_DUPLEX_STREAMED", responseTrailerMode: "SEND" } as const;
    const response = { chunks: ["one ", "two"], chunkIntervalMs: 5 };
    const outcome = simulate({ responseBody: ends }, { processingMode }, { response });
    expect(outcome.warnings).toMatchObject([{ code: "body_lost", phase: "responseBody" }]);
  });

  test("a warning is not given if nothing is dropped", () => {
    const typed = { requestHeaders: [{ ...neutral, typedDynamicMetadata: { shop: { typeUrl: "t/a" } } }] };
    const metadataOptions = { receivingNamespaces: { typed: ["shop"] } };
    expect(warningCodes(simulate(typed, { metadataOptions }))).toEqual([]);
    expect(warningCodes(simulate({ responseBody: [replies({ status: { code: 403 } })] }, streamsResponse))).toEqual([]);
    expect(warningCodes(simulate({ requestHeaders: [replies({ status: { code: 403 } })] }))).toEqual([]);
  });

  test("a warning about typed metadata tells whether the namespace or the release is the reason", () => {
    const { says } = CASES.typed_metadata_unsupported;
    expect(warningCodes(simulate(says))).toEqual(["dynamic_metadata_dropped"]);
  });
});
