import type { Phase } from "../../protocol/phase.ts";
import type { Warning } from "./report.ts";

interface WarningText {
  readonly rule: string;
  readonly wayOut: string;
}

/** The text of each warning: what Envoy does silently, and a change that would work. */
const TEXTS = {
  remove_refused: {
    rule: "Envoy never removes host or a header whose name begins with a colon",
    wayOut: "set it to another value instead",
  },
  disallowed_expression: {
    rule: "the name matches mutation_rules.disallow_expression",
    wayOut: "choose another name, or change the expression",
  },
  disallowed_all: {
    rule: "mutation_rules.disallow_all rejects names that allow_expression does not match",
    wayOut: "make mutation_rules.allow_expression match the name",
  },
  routing_refused: {
    rule: "Envoy rejects changes of host, :authority, :scheme and :method by default",
    wayOut: "configure mutation_rules.allow_all_routing; for :method, CONTINUE_AND_REPLACE is enough",
  },
  system_refused: {
    rule: "mutation_rules.disallow_system rejects every header whose name begins with a colon",
    wayOut: "remove disallow_system, or make mutation_rules.allow_expression match the name",
  },
  pseudo_append_refused: {
    rule: "a header whose name begins with a colon has one value; Envoy does not append to it",
    wayOut: "set it with append: false",
  },
  envoy_refused: {
    rule: "Envoy rejects changes of x-envoy-* headers by default",
    wayOut: "choose another name, or configure mutation_rules.allow_envoy",
  },
  status_invalid: {
    rule: ":status must be a whole number of at least 200",
    wayOut: "set a final status",
  },
  scheme_invalid: {
    rule: ":scheme must be http or https",
    wayOut: "set http or https",
  },
  authority_invalid: {
    rule: "host and :authority must be a host, with or without a port",
    wayOut: "set a valid host",
  },
  header_name_empty: {
    rule: "Envoy sends a header without a name as it is: a line that begins with a colon",
    wayOut: "name the header",
  },
  value_without_raw_value: {
    rule: "Envoy reads only raw_value: an entry with only value sets an empty header",
    wayOut: "put the value into raw_value",
  },
  append_action_ignored: {
    rule: "Envoy's ext_proc does not read append_action: it reads append, which is false by default",
    wayOut: "set append too; decide about ADD_IF_ABSENT and OVERWRITE_IF_EXISTS in the server",
  },
  content_length_skipped: {
    rule: "in this body mode Envoy removes content-length and accepts no new one",
    wayOut: "omit it; the body is sent chunked",
  },
  header_mutation_too_late: {
    rule: "Envoy has sent the headers: a header_mutation in this answer is ignored",
    wayOut: "put it in the answer to the headers, or use BUFFERED",
  },
  body_mutation_in_headers_answer: {
    rule: "a body_mutation in an answer to headers counts only with CONTINUE_AND_REPLACE",
    wayOut: "set the status CONTINUE_AND_REPLACE, or send the body_mutation in the answer to the body",
  },
  trailers_ignored: {
    rule: "Envoy ignores CommonResponse.trailers",
    wayOut: "change trailers in the answer to trailers",
  },
  streamed_response_ignored: {
    rule: "streamed_response counts only in FULL_DUPLEX_STREAMED; in this mode the body stays unchanged",
    wayOut: "use body",
  },
  mode_override_ignored: {
    rule: "Envoy ignores mode_override in this answer",
    wayOut:
      "it needs allow_mode_override, an awaited answer to headers, no FULL_DUPLEX_STREAMED in the filter's own modes, and a mode in allowed_override_modes",
  },
  mode_override_resets_body_mode: {
    rule: "an override sets both body modes: a mode that it does not name becomes NONE",
    wayOut: "name the body mode of the other direction too",
  },
  content_length_kept: {
    rule: "an override to a streaming mode keeps content-length: a longer body is cut, and a receiver waits for more of a shorter one",
    wayOut: "remove content-length in the same answer",
  },
  timeout_override_ignored: {
    rule: "Envoy ignores this override_message_timeout",
    wayOut: "send it once for each message, while its timer runs, with 1 ms to max_message_timeout",
  },
  answer_lost_to_timeout_override: {
    rule: "Envoy reads nothing else in a message with override_message_timeout: the answer in it is lost",
    wayOut: "send the answer in a separate message",
  },
  clear_route_cache_ignored: {
    rule: "clear_route_cache counts only with a header_mutation, in the request direction",
    wayOut: "send both in one answer",
  },
  clear_route_cache_disabled: {
    rule: "the filter is configured to keep the route",
    wayOut: "configure route_cache_action DEFAULT",
  },
  dynamic_metadata_dropped: {
    rule: "the namespace is not among metadata_options.receiving_namespaces",
    wayOut: "add the namespace there, or use another namespace",
  },
  typed_metadata_unsupported: {
    rule: "this release ignores typed_dynamic_metadata",
    wayOut: "use Envoy 1.40 or later",
  },
  immediate_header_overruled: {
    rule: "Envoy writes :status and content-length of an immediate response itself",
    wayOut: "use status and body",
  },
  immediate_status_invalid: {
    rule: "an immediate response without a status of at least 200 is sent with 200",
    wayOut: "set a final status",
  },
  immediate_headers_cut: {
    rule: "after an entry that Envoy cannot send it drops the rest of the headers, and sends the response",
    wayOut: "correct the entry",
  },
  immediate_too_late: {
    rule: "the client has the response headers: Envoy resets the stream instead",
    wayOut: "send the immediate response before the answer to the response headers",
  },
  body_lost: {
    rule: "in FULL_DUPLEX_STREAMED Envoy keeps no copy: what the server does not send back is lost",
    wayOut: "send back every byte, and do not end the stream before the end of the body",
  },
  body_after_content_length: {
    rule: "content-length is smaller than the body: the receiver reads the rest as another message",
    wayOut: "remove content-length, or set the right one with the body_mutation",
  },
  body_short_of_content_length: {
    rule: "content-length is larger than the body: the receiver waits for the rest",
    wayOut: "remove content-length, or set the right one with the body_mutation",
  },
  answer_after_end: {
    rule: "Envoy did not need the stream any more: it ignores the message",
    wayOut: "send nothing after the last answer",
  },
  answer_in_observability_mode: {
    rule: "in observability mode Envoy ignores every answer",
    wayOut: "send no answers",
  },
} as const satisfies Readonly<Record<string, WarningText>>;

/** The stable code of a warning. */
export type WarningCode = keyof typeof TEXTS;

/** Makes the warning with a code, and with the header that it is about. */
export function warning(code: WarningCode, phase: Phase | undefined, header?: string): Warning {
  return { code, phase, header, ...TEXTS[code] };
}
