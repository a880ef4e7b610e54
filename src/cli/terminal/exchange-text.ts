import type { LineStyle } from "./terminal.ts";

/** An exchange and its result, in the JSON format of `DebugService.Simulate`. */
export interface ShownExchange {
  readonly asked: { readonly request?: HttpMessage | undefined; readonly upstream?: HttpMessage | undefined };
  readonly result: {
    readonly upstreamRequest?: HttpMessage | undefined;
    readonly clientResponse?: HttpMessage | undefined;
    readonly warnings?: readonly Readonly<Record<string, string>>[] | undefined;
    readonly faults?: readonly Readonly<Record<string, string>>[] | undefined;
    readonly messages?: readonly unknown[] | undefined;
    readonly handlers?: readonly { readonly durationMs?: number }[] | undefined;
    readonly metadata?: Readonly<Record<string, unknown>> | undefined;
    readonly details?: string | undefined;
  };
}

type HttpMessage = Readonly<Record<string, unknown>>;

/** One line with its style. */
export interface StyledLine {
  readonly text: string;
  readonly style?: LineStyle | undefined;
}

/** An exchange as lines of text: what the upstream and the client got, as differences from what had been sent. */
export function exchangeText({ asked, result }: ShownExchange): StyledLine[] {
  const { upstreamRequest, clientResponse = {}, warnings = [], faults = [], metadata = {} } = result;
  const { messages = [], handlers = [], details = "" } = result;
  const handlerMs = handlers.reduce((sum, { durationMs = 0 }) => sum + durationMs, 0);
  const local = upstreamRequest === undefined || details !== "via_upstream";
  return [
    ...(upstreamRequest === undefined
      ? [title("The upstream was not asked")]
      : [
          title(`The upstream got ${upstreamRequest.method} ${upstreamRequest.path}${cut(upstreamRequest)}`),
          ...changes(asked.request ?? {}, upstreamRequest),
        ]),
    title(
      `The client got ${clientResponse.status ?? "no response"}${cut(clientResponse)}${local && details !== "" ? `, ${details}` : ""}`,
    ),
    ...changes(local ? {} : (asked.upstream ?? {}), clientResponse),
    ...Object.entries(metadata).map(([namespace, value]) => ({
      text: `Metadata ${namespace}: ${JSON.stringify(value)}`,
    })),
    ...faults.map(({ code, message }) => bad(`Fault ${code}: ${message}`)),
    ...warnings.map(({ code, rule, wayOut }) => bad(`Warning ${code}: ${rule} ${wayOut}`)),
    { text: `${messages.length} message${messages.length === 1 ? "" : "s"}, ${handlerMs.toFixed(2)} ms in handlers` },
  ];
}

function title(text: string): StyledLine {
  return { text, style: "bold" };
}

function bad(text: string): StyledLine {
  return { text, style: "yellow" };
}

function cut({ end }: HttpMessage): string {
  return end === "complete" || end === undefined ? "" : ` (${end})`;
}

function changes(before: HttpMessage, after: HttpMessage): StyledLine[] {
  const lines = [
    ...compared(fieldLines(before.headers), fieldLines(after.headers)),
    ...compared(fieldLines(before.trailers, "trailer "), fieldLines(after.trailers, "trailer ")),
    ...bodyLines(before, after),
  ];
  return lines.map(([mark, text]) => ({ text: `  ${mark} ${text}`, style: CHANGE_STYLES[mark] }));
}

type Line = readonly [mark: "+" | "-" | " ", text: string];

const CHANGE_STYLES: Readonly<Record<Line[0], LineStyle | undefined>> = { "+": "green", "-": "red", " ": undefined };

function compared(before: readonly string[], after: readonly string[]): Line[] {
  const gone = before.filter((line) => !after.includes(line));
  return [
    ...gone.map((line): Line => ["-", line]),
    ...after.map((line): Line => [before.includes(line) ? " " : "+", line]),
  ];
}

function fieldLines(fields: unknown, prefix = ""): string[] {
  return Object.entries((fields ?? {}) as HttpMessage).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map((value: unknown) => {
      const text = typeof value === "string" ? value : `base64 ${(value as { base64?: string }).base64}`;
      return `${prefix}${name}: ${text}`;
    }),
  );
}

function bodyLines(before: HttpMessage, after: HttpMessage): Line[] {
  const was = bodyText(before);
  const is = bodyText(after);
  if (was === is) return is === "" ? [] : textLines(" ", is);
  return [...textLines("-", was), ...textLines("+", is)];
}

function textLines(mark: Line[0], text: string): Line[] {
  return text === ""
    ? []
    : text
        .replace(/\n$/, "")
        .split("\n")
        .map((line): Line => [mark, `| ${line}`]);
}

function bodyText({ body, bodyBase64, json, chunks, chunksBase64 }: HttpMessage): string {
  if (json !== undefined) return JSON.stringify(json);
  const bytes = [bodyBase64 ?? [], chunksBase64 ?? []].flat().map((text) => Buffer.from(String(text), "base64"));
  if (bytes.length > 0) {
    const joined = Buffer.concat(bytes);
    const text = joined.toString();
    return Buffer.from(text).equals(joined) ? text : `${joined.length} bytes`;
  }
  return String(body ?? ((chunks as readonly string[] | undefined) ?? []).join(""));
}
