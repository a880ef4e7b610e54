import type { Phase } from "../protocol/phase.ts";
import type { Warning } from "./outcome.ts";

interface WarningText {
  readonly rule: string;
  readonly wayOut: string;
}

/** What Envoy does without a word, by the code of the warning about it. */
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
    rule: "mutation_rules.disallow_all refuses what allow_expression does not allow",
    wayOut: "have the name match mutation_rules.allow_expression",
  },
  routing_refused: {
    rule: "host, :authority, :scheme and :method are not taken by default",
    wayOut: "configure mutation_rules.allow_all_routing; for :method CONTINUE_AND_REPLACE will do",
  },
  system_refused: {
    rule: "mutation_rules.disallow_system refuses every header whose name begins with a colon",
    wayOut: "drop disallow_system, or have the name match mutation_rules.allow_expression",
  },
  pseudo_append_refused: {
    rule: "a header whose name begins with a colon has one value; Envoy does not append to it",
    wayOut: "set it with append: false",
  },
  envoy_refused: {
    rule: "x-envoy-* headers are not taken by default",
    wayOut: "choose another name, or configure mutation_rules.allow_envoy",
  },
  status_invalid: {
    rule: ":status has to be a whole number of at least 200",
    wayOut: "set a final status",
  },
  scheme_invalid: {
    rule: ":scheme has to be http or https",
    wayOut: "set one of the two",
  },
  authority_invalid: {
    rule: "host and :authority have to be a host, with a port or without",
    wayOut: "set a valid one",
  },
  header_name_empty: {
    rule: "a header without a name is sent as it is: a line that begins with a colon",
    wayOut: "name the header",
  },
  value_without_raw_value: {
    rule: "Envoy reads raw_value alone: an entry with only value sets an empty header",
    wayOut: "put the value into raw_value",
  },
  append_action_ignored: {
    rule: "Envoy's ext_proc does not read append_action: append decides, and is false by default",
    wayOut: "set append as well; decide about ADD_IF_ABSENT and OVERWRITE_IF_EXISTS in the server",
  },
  content_length_skipped: {
    rule: "in this body mode Envoy removes content-length and takes no other",
    wayOut: "leave it out; the body is sent chunked",
  },
  header_mutation_too_late: {
    rule: "headers have left Envoy: a header_mutation in this answer is ignored",
    wayOut: "put it in the answer to the headers, or use BUFFERED",
  },
  body_mutation_in_headers_answer: {
    rule: "a body_mutation in an answer to headers counts only with CONTINUE_AND_REPLACE",
    wayOut: "set status CONTINUE_AND_REPLACE, or send it in the answer to the body",
  },
  trailers_ignored: {
    rule: "Envoy ignores CommonResponse.trailers",
    wayOut: "change trailers in the answer to trailers",
  },
  streamed_response_ignored: {
    rule: "streamed_response counts in FULL_DUPLEX_STREAMED only; here the body stays as it was",
    wayOut: "use body",
  },
  mode_override_ignored: {
    rule: "mode_override is not honoured here",
    wayOut:
      "needs allow_mode_override, an awaited answer to headers, no FULL_DUPLEX_STREAMED in the filter's own modes, and a mode in allowed_override_modes",
  },
  mode_override_resets_body_mode: {
    rule: "an override sets both body modes: what is not named becomes NONE",
    wayOut: "name the body mode of the other direction, too",
  },
  content_length_kept: {
    rule: "an override to a streaming mode keeps content-length: a body of another length is cut, or waited for",
    wayOut: "remove content-length in the same answer",
  },
  timeout_override_ignored: {
    rule: "override_message_timeout is not honoured here",
    wayOut: "once a message, while its timer runs, from 1 ms to max_message_timeout",
  },
  answer_lost_to_timeout_override: {
    rule: "a message with override_message_timeout is nothing else: the answer in it is lost",
    wayOut: "send the answer in a message of its own",
  },
  clear_route_cache_ignored: {
    rule: "clear_route_cache counts only beside a header_mutation, in the request direction",
    wayOut: "send both in one answer",
  },
  clear_route_cache_disabled: {
    rule: "the filter is configured to keep the route",
    wayOut: "configure route_cache_action DEFAULT",
  },
  dynamic_metadata_dropped: {
    rule: "the namespace is not among metadata_options.receiving_namespaces",
    wayOut: "configure it, or set another",
  },
  typed_metadata_unsupported: {
    rule: "this release ignores typed_dynamic_metadata",
    wayOut: "needs Envoy 1.40",
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
    rule: "after an entry that cannot be sent Envoy drops the rest of the headers, and sends the reply",
    wayOut: "mend the entry",
  },
  immediate_too_late: {
    rule: "response headers have reached the client: the stream is reset instead",
    wayOut: "answer before the response's headers are let go",
  },
  body_lost: {
    rule: "in FULL_DUPLEX_STREAMED Envoy keeps no copy: what the server does not send back is lost",
    wayOut: "send back every byte, and do not end the stream before the end of the body",
  },
  body_after_content_length: {
    rule: "content-length is smaller than the body: what follows it is read as another message",
    wayOut: "remove content-length, or set the right one beside a body_mutation",
  },
  body_short_of_content_length: {
    rule: "content-length is larger than the body: the peer waits for the rest",
    wayOut: "remove content-length, or set the right one beside a body_mutation",
  },
  answer_after_end: {
    rule: "Envoy was done with the stream: the message is ignored",
    wayOut: "send nothing after the last answer",
  },
  answer_in_observability_mode: {
    rule: "in observability mode Envoy ignores every answer",
    wayOut: "answer nothing",
  },
} as const satisfies Readonly<Record<string, WarningText>>;

/** The stable code of a warning. */
export type WarningCode = keyof typeof TEXTS;

/** The warning of that code, about a header if it is about one. */
export function warning(code: WarningCode, phase: Phase | undefined, header?: string): Warning {
  return { code, phase, header, ...TEXTS[code] };
}
