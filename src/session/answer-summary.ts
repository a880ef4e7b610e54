import type {
  HeaderMutation,
  ProcessingResponse,
  StreamedImmediateResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/** What answers do, by names alone: no value of a header, no body, no metadata. */
export interface AnswerSummary {
  readonly set?: readonly string[];
  readonly append?: readonly string[];
  readonly remove?: readonly string[];
  /** Status of an immediate response. */
  readonly immediateResponse?: number;
  /** Namespaces of dynamic metadata. */
  readonly metadata?: readonly string[];
  readonly body?: "replaced" | "cleared";
  readonly modeOverride?: true;
  readonly clearRouteCache?: true;
}

/** Sums up what was answered to one message; undefined where that lets it pass unchanged. */
export function summarizeAnswers(responses: readonly ProcessingResponse[]): AnswerSummary | undefined {
  let summary: AnswerSummary = {};
  for (const response of responses) summary = { ...summary, ...summarize(response) };
  return Object.keys(summary).length > 0 ? summary : undefined;
}

/** The same in words, for a log line. */
export function describeSummary(summary: AnswerSummary): string {
  return Object.entries(summary)
    .map(([what, value]) => (value === true ? what : `${what} ${Array.isArray(value) ? value.join(", ") : value}`))
    .join("; ");
}

function summarize({
  response,
  dynamicMetadata,
  typedDynamicMetadata,
  modeOverride,
}: ProcessingResponse): AnswerSummary {
  const namespaces = Object.keys({ ...dynamicMetadata, ...typedDynamicMetadata });
  return {
    ...summarizeMember(response),
    ...(namespaces.length > 0 && { metadata: namespaces }),
    ...(modeOverride && { modeOverride: true }),
  };
}

function summarizeMember(response: ProcessingResponse["response"]): AnswerSummary {
  switch (response.case) {
    case "immediateResponse":
      return { ...summarizeMutation(response.value.headers), immediateResponse: response.value.status?.code ?? 200 };
    case "streamedImmediateResponse":
      return summarizeStreamed(response.value);
    case "requestHeaders":
    case "responseHeaders":
    case "requestBody":
    case "responseBody": {
      const { headerMutation, bodyMutation, clearRouteCache } = response.value.response ?? {};
      return {
        ...summarizeMutation(headerMutation),
        ...summarizeBody(bodyMutation?.mutation.case),
        ...(clearRouteCache && { clearRouteCache }),
      };
    }
    case "requestTrailers":
    case "responseTrailers":
      return summarizeMutation(response.value.headerMutation);
    default:
      return {};
  }
}

function summarizeStreamed({ response }: StreamedImmediateResponse): AnswerSummary {
  if (response.case !== "headersResponse") return {};
  const status = response.value.headers?.headers.find(({ key }) => key === ":status");
  return { immediateResponse: status === undefined ? 0 : Number(new TextDecoder().decode(status.rawValue)) };
}

function summarizeBody(kind: "body" | "clearBody" | "streamedResponse" | undefined): AnswerSummary {
  // What goes back piece by piece may be what came: that alone is no change.
  if (kind === undefined || kind === "streamedResponse") return {};
  return { body: kind === "body" ? "replaced" : "cleared" };
}

function summarizeMutation(mutation: HeaderMutation | undefined): AnswerSummary {
  if (mutation === undefined) return {};
  const { setHeaders, removeHeaders } = mutation;
  const names = (appended: boolean) =>
    setHeaders.filter(({ append }) => (append ?? false) === appended).map(({ header }) => header?.key ?? "");
  const [set, append] = [names(false), names(true)];
  return {
    ...(set.length > 0 && { set }),
    ...(append.length > 0 && { append }),
    ...(removeHeaders.length > 0 && { remove: removeHeaders }),
  };
}
