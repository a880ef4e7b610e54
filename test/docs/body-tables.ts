import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import {
  appendChunk,
  type BodyMode,
  defineProcessor,
  type Processor,
  replaceBody,
  replaceText,
  setHeader,
} from "../../src/index.ts";
import { bodyClaims, needsOf } from "../../src/processor/body-claims.ts";
import { definitionsOf } from "../../src/processor/definition.ts";
import { type BodyPlan, planBody } from "../../src/protocol/exchange/body-plan.ts";
import { simulate } from "../../src/simulation/simulate.ts";

const upper = (bytes: Uint8Array) => new TextEncoder().encode(new TextDecoder().decode(bytes).toUpperCase());

/** A processor of each kind of body handler, by what docs/bodies.md calls it: all make capitals, where they can. */
export const HANDLERS: Readonly<Record<string, Processor>> = {
  "`whole`": defineProcessor({
    name: "p",
    requestBody: { read: "whole", handle: ({ bytes }) => replaceBody(upper(bytes)) },
  }),
  "`text`, `json`": defineProcessor({
    name: "p",
    requestBody: { read: "text", handle: (text) => replaceText(text.toUpperCase()) },
  }),
  "`chunks`": defineProcessor({ name: "p", requestBody: { read: "chunks", chunk: (bytes) => upper(bytes) } }),
  "`chunks` with `end`": defineProcessor({
    name: "p",
    requestBody: { read: "chunks", chunk: (bytes) => upper(bytes), end: () => appendChunk("!") },
  }),
  "`stream`": defineProcessor({
    name: "p",
    requestBody: {
      read: "stream",
      async *handle(chunks) {
        for await (const chunk of chunks) yield upper(chunk);
        yield appendChunk("!");
      },
    },
  }),
  "`inspect`": defineProcessor({ name: "p", requestBody: { read: "inspect", chunk() {}, end() {} } }),
  "`grpc`": defineProcessor({ name: "p", grpc: { service: Health, methods: { check: { request: () => undefined } } } }),
};

/** How Envoy sends a body, by the heads of the columns. */
const COLUMNS: readonly (readonly [head: string, mode: BodyMode, bodyBytes: number | undefined])[] = [
  ["NONE", "NONE", 4],
  ["BUFFERED", "BUFFERED", undefined],
  ["BUFFERED_PARTIAL", "BUFFERED_PARTIAL", undefined],
  ["STREAMED, length known", "STREAMED", 4],
  ["STREAMED", "STREAMED", undefined],
  ["FULL_DUPLEX_STREAMED", "FULL_DUPLEX_STREAMED", undefined],
  ["GRPC", "GRPC", undefined],
];

const LIMIT = 10;

function plan(processor: Processor, mode: BodyMode, bodyBytes: number | undefined, allowed = false): BodyPlan {
  const needs = needsOf(bodyClaims(definitionsOf(processor))?.request ?? []);
  return planBody({
    phase: "requestBody",
    needs,
    mode,
    bodyBytes,
    answersHeaders: true,
    watched: false,
    bufferLimitBytes: LIMIT,
    override: (asked) => (allowed ? { requestBody: asked } : { problem: "no override is declared" }),
  });
}

/** What is possible: a row for each handler. */
export function possibleTable(): string[][] {
  const rows = Object.entries(HANDLERS).map(([name, processor]) => [
    name,
    ...COLUMNS.map(([, mode, bodyBytes]) => possible(processor, plan(processor, mode, bodyBytes))),
  ]);
  return [["handler", ...COLUMNS.map(([head]) => head)], ...rows];
}

function possible(processor: Processor, made: BodyPlan): string {
  if (made.kind === "fault") return `\`${made.code}\``;
  if (made.kind === "unseen") return "unseen";
  const { whole, tail, changes } = needsOf(bodyClaims(definitionsOf(processor))?.request ?? []);
  const grpc = definitionsOf(processor)[0]?.grpc !== undefined;
  const parts = [changes ? (grpc ? "messages" : "body") : "reads"];
  if ((whole || grpc) && made.takesHeaderChanges) parts.push("headers");
  // Envoy does not say, where trailers come, whether the message was all of the body.
  const isCertain = made.endKnown && made.mode !== "BUFFERED_PARTIAL";
  if (tail) parts.push(isCertain ? "tail" : "tail unless trailers come");
  return parts.join(", ");
}

/** The same from simulated transactions: the rows and columns that the simulated Envoy can run. */
export async function observedTable(): Promise<string[][]> {
  const names = Object.keys(HANDLERS).filter((name) => name !== "`grpc`");
  const columns = COLUMNS.filter(([, mode]) => mode !== "GRPC");
  const row = async (name: string) => [
    name,
    ...(await Promise.all(columns.map(([, mode, bodyBytes]) => observed(name, { mode, bodyBytes })))),
  ];
  return [["handler", ...columns.map(([head]) => head)], ...(await Promise.all(names.map(row)))];
}

const SETS_HEADERS: Readonly<Record<string, Processor>> = {
  "`whole`": defineProcessor({
    name: "p",
    requestBody: { read: "whole", handle: ({ bytes }) => [replaceBody(upper(bytes)), setHeader("x-seen", "1")] },
  }),
  "`text`, `json`": defineProcessor({
    name: "p",
    requestBody: { read: "text", handle: (text) => [replaceText(text.toUpperCase()), setHeader("x-seen", "1")] },
  }),
};

/** The fault of a tail that has no place because trailers came. */
const NO_TAIL: Readonly<Partial<Record<BodyMode, string>>> = {
  STREAMED: "tail_undeliverable",
  BUFFERED_PARTIAL: "body_too_large",
};

async function observed(name: string, column: Column): Promise<string> {
  const plain = await send(HANDLERS[name], column);
  const [fault] = plain.faults;
  if (fault !== undefined) return `\`${fault.code}\``;
  if (column.mode === "NONE") return plain.request?.body === "abcd" ? "unseen" : "?";
  if (name === "`inspect`") return plain.request?.body === "abcd" ? "reads" : "?";
  const parts = [plain.request?.body.startsWith("ABCD") ? "body" : "?"];
  const setting = SETS_HEADERS[name];
  if (setting) {
    const { request, faults } = await send(setting, column);
    if (request?.headers["x-seen"] === "1") parts.push("headers");
    else if (faults[0]?.code !== "headers_already_sent") parts.push("?");
  }
  if (plain.request?.body === "ABCD!") {
    const { request, faults } = await send(HANDLERS[name], column, { "x-t": "1" });
    if (request?.body === "ABCD!") parts.push("tail");
    else if (faults[0]?.code === NO_TAIL[column.mode]) parts.push("tail unless trailers come");
  }
  return parts.join(", ");
}

interface Column {
  readonly mode: BodyMode;
  readonly bodyBytes: number | undefined;
}

async function send(processor: Processor | undefined, { mode, bodyBytes }: Column, trailers?: Record<string, string>) {
  if (processor === undefined) throw new Error("there is no such handler");
  const streams = mode === "STREAMED" || mode === "FULL_DUPLEX_STREAMED";
  const processingMode = {
    requestBodyMode: mode as Exclude<BodyMode, "GRPC">,
    requestTrailerMode: streams && (trailers || mode === "FULL_DUPLEX_STREAMED") ? "SEND" : "SKIP",
    responseHeaderMode: "SKIP",
  } as const;
  const headers = bodyBytes === undefined ? {} : { "content-length": String(bodyBytes) };
  return await simulate(processor, { envoy: { processingMode } }).post("/", {
    chunks: ["ab", "cd"],
    chunkIntervalMs: 20,
    // Over HTTP/1 the end of a body comes in a separate piece.
    protocol: trailers ? "http2" : "http1",
    headers,
    trailers,
  });
}

/** What is asked for where overrides are declared: a row for each handler. */
export function askedTable(): string[][] {
  const columns: readonly (readonly [string, BodyMode, number | undefined])[] = [
    ["NONE, fits the buffer", "NONE", LIMIT],
    ["NONE, longer or unknown", "NONE", undefined],
    ["STREAMED, fits the buffer", "STREAMED", LIMIT],
    ["STREAMED, longer", "STREAMED", LIMIT + 1],
    ["STREAMED, unknown", "STREAMED", undefined],
    ["BUFFERED, longer or unknown", "BUFFERED", undefined],
    ["BUFFERED_PARTIAL, longer", "BUFFERED_PARTIAL", LIMIT + 1],
  ];
  const rows = Object.entries(HANDLERS).map(([name, processor]) => [
    name,
    ...columns.map(([, mode, bodyBytes]) => {
      const made = plan(processor, mode, bodyBytes, true);
      return made.kind === "run" && made.override?.requestBody ? `\`${made.override.requestBody}\`` : "–";
    }),
  ]);
  return [["handler", ...columns.map(([head]) => head)], ...rows];
}

/** What goes over the wire, for `ab` and `cd`: a row for what Envoy sends, and one for each handler's answers. */
export async function wireTable(): Promise<string[][]> {
  const columns = COLUMNS.filter(([, mode]) => mode !== "GRPC");
  const rows: string[][] = [];
  const sent: string[] = ["Envoy sends"];
  for (const [name, processor] of Object.entries(HANDLERS)) {
    if (name === "`grpc`") continue;
    const cells: string[] = [];
    for (const [, mode, bodyBytes] of columns) {
      const { questions, answers } = await overTheWire(processor, { mode, bodyBytes });
      if (rows.length === 0 || questions.length > (sent[cells.length + 1]?.length ?? 0))
        sent[cells.length + 1] = questions;
      cells.push(answers);
    }
    rows.push([name, ...cells]);
  }
  return [["handler", ...columns.map(([head]) => head)], sent, ...rows];
}

async function overTheWire(processor: Processor, column: Column) {
  const { report, faults } = await send(processor, column);
  const questions = report.messages.flatMap((one) => (one.from === "envoy" ? [question(one.message)] : []));
  const answers = report.messages.flatMap((one) => (one.from === "server" ? [answer(one.message)] : []));
  const [fault] = faults;
  const held = report.messages.findIndex(({ from }) => from === "server") > 1;
  const cells = fault ? [...answers, fault.code] : held ? ["…", ...answers] : answers;
  return { questions: code(questions), answers: code(cells) };
}

function code(words: readonly string[]): string {
  return words.map((word) => (word === "…" ? word : `\`${word}\``)).join(" ");
}

function question({ request }: ProcessingRequest): string {
  if (request.case === "requestHeaders") return "H";
  if (request.case !== "requestBody") return String(request.case);
  const { body, endOfStream } = request.value;
  return `${new TextDecoder().decode(body)}${endOfStream ? "." : ""}`;
}

function answer({ response }: ProcessingResponse): string {
  if (response.case === "requestHeaders") return "h";
  if (response.case !== "requestBody") return String(response.case);
  const mutation = response.value.response?.bodyMutation?.mutation;
  switch (mutation?.case) {
    case "body":
      return new TextDecoder().decode(mutation.value);
    case "clearBody":
      return "clear";
    case "streamedResponse":
      return `${new TextDecoder().decode(mutation.value.body)}${mutation.value.endOfStream ? "." : ""}`;
    default:
      return "=";
  }
}

/** A table in Markdown. */
export function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
