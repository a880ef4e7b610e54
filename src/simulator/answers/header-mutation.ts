import {
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction,
} from "../../../gen/envoy/config/core/v3/base_pb.js";
import type { HeaderMutation } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HeaderMap } from "../http/header-map.ts";
import type { WarningCode } from "../report/warnings.ts";
import type { MutationRuleChecker } from "../settings/mutation-rules.ts";

/** Most headers that a map can have, and that a mutation can set or remove. Envoy's default `max_headers_count`. */
const MAX_HEADERS = 100;
/** Envoy's default `max_request_headers_kb`, and its limit for responses. */
const MAX_REQUEST_KIB = 60;
const MAX_RESPONSE_KIB = 80;

const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/i;

/** How a mutation is applied, and to which headers. */
export interface MutationContext {
  readonly checker: MutationRuleChecker;
  /** CONTINUE_AND_REPLACE: `:method` can be set, whatever the rules say. */
  readonly replacingMessage: boolean;
  /** Entries for `content-length` are skipped and not counted. */
  readonly skipContentLength: boolean;
  /** The limits of a message's headers apply. Default true. */
  readonly limited: boolean;
  /** Envoy 1.37 and later have shorter texts. */
  readonly shortDetails: boolean;
  /** Called if an entry or the whole mutation is refused. */
  readonly countRejected: () => void;
  readonly warn: (code: WarningCode, header: string) => void;
}

/**
 * Applies a server's mutation as Envoy does. All removals come first, then all settings in their order. The rules are
 * checked for each entry. An overwritten header moves to the end. Only `append` decides between adding and overwriting.
 *
 * @returns The response code details of the error that fails the transaction; undefined if there is none. Entries that
 * were applied before an error stay applied.
 */
export function applyHeaderMutation(
  mutation: HeaderMutation,
  headers: HeaderMap,
  context: MutationContext,
): string | undefined {
  const { removeHeaders, setHeaders } = mutation;
  if (context.limited && Math.max(removeHeaders.length, setHeaders.length) > MAX_HEADERS) {
    context.countRejected();
    return context.shortDetails
      ? "header_mutation_operation_count_exceeds_limit"
      : `Header mutation remove header count ${removeHeaders.length} or set header count ${setHeaders.length} exceed the HCM header countlimit ${MAX_HEADERS}`;
  }
  for (const name of removeHeaders) {
    const error = removeHeader(name, headers, context);
    if (error !== undefined) return error;
  }
  for (const option of setHeaders) {
    const error = setHeader(option, headers, context);
    if (error !== undefined) return error;
  }
  return context.limited ? checkResult(headers, context) : undefined;
}

function removeHeader(givenName: string, headers: HeaderMap, context: MutationContext): string | undefined {
  if (givenName === "") return undefined;
  const name = givenName.toLowerCase();
  if (!NAME.test(name)) {
    context.countRejected();
    return context.shortDetails
      ? "header_mutation_remove_contains_invalid_character"
      : "Invalid character in remove_headers mutation.";
  }
  const refusal = context.checker.check("remove", name, new Uint8Array());
  if (refusal === undefined) {
    headers.remove(name);
    return undefined;
  }
  context.countRejected();
  context.warn(refusal, name);
  if (!context.checker.refusalIsError) return undefined;
  return context.shortDetails ? "header_mutation_remove_headers_failed" : `Invalid attempt to remove ${name}`;
}

function setHeader(option: HeaderValueOption, headers: HeaderMap, context: MutationContext): string | undefined {
  const { header } = option;
  if (header === undefined) return undefined;
  const name = header.key.toLowerCase();
  if (name === "") context.warn("header_name_empty", name);
  if (context.skipContentLength && name === "content-length") {
    context.warn("content_length_skipped", name);
    return undefined;
  }
  const value = header.rawValue;
  if ((name !== "" && !NAME.test(name)) || !isHeaderValue(value)) {
    context.countRejected();
    return context.shortDetails
      ? "header_mutation_set_contains_invalid_character"
      : "Invalid character in set_headers mutation.";
  }
  warnOfReading(option, name, context);
  const append = option.append ?? false;
  const operation = append && headers.has(name) ? "append" : "set";
  const exempt = context.replacingMessage && name === ":method";
  const refusal = exempt ? undefined : context.checker.check(operation, name, value);
  if (refusal === undefined) {
    if (append) headers.add(name, value);
    else headers.set(name, value);
    return undefined;
  }
  context.countRejected();
  context.warn(refusal, name);
  if (!context.checker.refusalIsError) return undefined;
  return context.shortDetails ? "header_mutation_set_headers_failed" : `Invalid attempt to modify ${name}`;
}

/** Warns if the author may have meant something else. */
function warnOfReading(option: HeaderValueOption, name: string, context: MutationContext): void {
  const { header, append = false, appendAction } = option;
  if (header && header.rawValue.length === 0 && header.value !== "") context.warn("value_without_raw_value", name);
  const appends = appendAction === HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD;
  const overwrites = appendAction === HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD;
  // The zero of the enum means append, so it counts only if `append` is set too.
  const meant = append ? appends : overwrites || (appends && option.append === undefined);
  if (!meant) context.warn("append_action_ignored", name);
}

function checkResult(headers: HeaderMap, context: MutationContext): string | undefined {
  const maxKib = headers.kind === "response" ? MAX_RESPONSE_KIB : MAX_REQUEST_KIB;
  const { size, byteSize } = headers;
  if (size <= MAX_HEADERS && byteSize <= maxKib * 1024) return undefined;
  context.countRejected();
  return context.shortDetails
    ? "header_mutation_result_exceeds_limit"
    : `Header mutation causes end result header count ${size} or header size ${byteSize} bytes, exceeding the count limit ${MAX_HEADERS} or the size limit ${maxKib} kilobytes`;
}

function isHeaderValue(value: Uint8Array): boolean {
  return value.every((byte) => byte === 0x09 || (byte >= 0x20 && byte !== 0x7f));
}
