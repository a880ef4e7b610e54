import { createHash } from "node:crypto";
import { ExternalProcessor } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import {
  appendChunk,
  compose,
  defineProcessor,
  type Processor,
  replaceBody,
  replaceJson,
  replaceText,
} from "../../../src/index.ts";
import type { Direction } from "../../../src/protocol/phase.ts";
import { editedMessages, type Material } from "./material.ts";

/** A way to read a body, and the expected result. */
export interface Reader {
  readonly material: Material;
  readonly processor: () => Processor;
  /** What the handler makes of a body, however it was cut. */
  readonly expected: (body: Buffer, direction: Direction) => Buffer;
  /** It cannot begin before the end is there. */
  readonly whole?: boolean;
  /** What it adds at the end, behind the last chunk. */
  readonly tail?: (body: Buffer) => Buffer;
  /** Fault where the body is one byte. */
  readonly refusesOneByte?: string;
  /** A body without its end is not a use. */
  readonly needsAll?: boolean;
  readonly inspects?: boolean;
}

/** How each transaction ended, as `done` was told, by the request's `x-case`. */
export const ended = new Map<string, { readonly result: string; readonly fault: string | undefined }>();
/** A digest of what `inspect` saw, by the request's `x-case`. */
export const inspected = new Map<string, string>();

const MAX_BYTES = 64 << 20;
/** No test here is about time. */
const timeoutMs = 60_000;
const options = { maxBytes: MAX_BYTES } as const;

type Define = typeof defineProcessor;

/** The same handler both ways. */
function reading(name: string, handler: object): () => Processor {
  return () =>
    (defineProcessor as (definition: object) => ReturnType<Define>)({
      name,
      timeoutMs,
      requestBody: { ...options, ...handler },
      responseBody: { ...options, ...handler },
      done: tellEnd,
    });
}

interface Told {
  readonly request: { get(name: string): string | undefined };
}

function tellEnd(tx: Told, { result, fault }: { readonly result: string; readonly fault?: unknown }): void {
  const code = (fault as { readonly code?: string } | undefined)?.code;
  ended.set(tx.request.get("x-case") ?? "", { result, fault: code });
}

/** Every byte turned over: where it stands and how it was cut makes no difference. */
function inverted(bytes: Uint8Array): Uint8Array {
  const other = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at++) other[at] = (bytes[at] ?? 0) ^ 0xff;
  return other;
}

function doubled(bytes: Uint8Array): Uint8Array {
  const twice = new Uint8Array(2 * bytes.length);
  for (let at = 0; at < bytes.length; at++) twice[2 * at] = twice[2 * at + 1] = bytes[at] ?? 0;
  return twice;
}

/** Without line feeds and zeros. */
function thinned(bytes: Uint8Array): Uint8Array {
  const kept = new Uint8Array(bytes.length);
  let length = 0;
  for (const byte of bytes) if (byte !== 10 && byte !== 0) kept[length++] = byte;
  return kept.subarray(0, length);
}

function reversed(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(bytes).reverse(), Buffer.from("END")]);
}

const counted = (body: Uint8Array) => Buffer.from(`=${body.length}`);

const invertingChunks = {
  read: "chunks",
  // In place: an author may change the bytes.
  chunk(bytes: Uint8Array) {
    for (let at = 0; at < bytes.length; at++) bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    return bytes;
  },
};
const doublingStream = {
  read: "stream",
  async *handle(chunks: AsyncIterable<Uint8Array>) {
    let length = 0;
    for await (const chunk of chunks) {
      length += chunk.length;
      yield doubled(chunk);
    }
    yield Buffer.from(`=${length}`);
  },
};
const reversingWhole = {
  read: "whole",
  handle: ({ bytes }: { bytes: Uint8Array }) => replaceBody(reversed(bytes)),
};

function countingChunks(): () => Processor {
  return () => {
    const handler = {
      ...options,
      read: "chunks",
      chunk(bytes: Uint8Array, tx: { state: { length: number } }) {
        tx.state.length += bytes.length;
        return thinned(bytes);
      },
      end: (tx: { state: { length: number } }) => appendChunk(`=${tx.state.length}`),
    } as const;
    return defineProcessor({
      name: "counting",
      timeoutMs,
      state: () => ({ length: 0 }),
      requestBody: handler,
      responseBody: handler,
      done: tellEnd,
    });
  };
}

function inspecting(): Processor {
  const handler = {
    ...options,
    read: "inspect",
    chunk(bytes: Uint8Array, tx: { state: { hash: ReturnType<typeof createHash> } }) {
      tx.state.hash.update(bytes);
    },
    end(tx: Told & { state: { hash: ReturnType<typeof createHash> } }) {
      inspected.set(tx.request.get("x-case") ?? "", tx.state.hash.digest("hex"));
    },
  } as const;
  return defineProcessor({
    name: "inspecting",
    timeoutMs,
    state: () => ({ hash: createHash("sha256") }),
    requestBody: handler,
    responseBody: handler,
    done: tellEnd,
  });
}

const grpc = () =>
  defineProcessor({
    name: "grpc",
    timeoutMs,
    grpc: {
      service: ExternalProcessor,
      methods: {
        process: {
          request: (message) => ({ ...message, observabilityMode: true }),
          response: (message) => ({ ...message, requestDrain: true }),
        },
      },
    },
    done: tellEnd,
  });

/** Every way to read a body, by its name. */
export const READERS = {
  untouched: {
    material: "bytes",
    processor: () => defineProcessor({ name: "untouched", timeoutMs, requestHeaders: () => undefined, done: tellEnd }),
    expected: (body) => body,
  },
  whole: {
    material: "bytes",
    processor: reading("whole", reversingWhole),
    expected: reversed,
    whole: true,
  },
  text: {
    material: "text",
    processor: reading("text", { read: "text", handle: (text: string) => replaceText(`<${text.toUpperCase()}>`) }),
    expected: (body) => Buffer.from(`<${body.toString().toUpperCase()}>`),
    whole: true,
    needsAll: true,
  },
  json: {
    material: "json",
    processor: reading("json", { read: "json", handle: (value: unknown) => replaceJson({ value, seen: true }) }),
    expected: (body) => Buffer.from(JSON.stringify({ value: JSON.parse(body.toString()), seen: true })),
    whole: true,
    needsAll: true,
  },
  chunks: {
    material: "bytes",
    processor: reading("chunks", invertingChunks),
    expected: (body) => Buffer.from(inverted(body)),
  },
  "chunks with a tail": {
    material: "text",
    processor: countingChunks(),
    expected: (body) => Buffer.concat([thinned(body), counted(body)]),
    tail: counted,
  },
  stream: {
    material: "bytes",
    processor: reading("stream", doublingStream),
    expected: (body) => Buffer.concat([doubled(body), counted(body)]),
    tail: counted,
  },
  inspect: { material: "bytes", processor: inspecting, expected: (body) => body, inspects: true },
  grpc: {
    material: "grpc",
    processor: grpc,
    expected: editedMessages,
    refusesOneByte: "grpc_message_malformed",
  },
  "three in a row": {
    material: "bytes",
    processor: () =>
      compose(
        reading("one", invertingChunks)(),
        reading("two", reversingWhole)(),
        // A byte is a byte whichever handler doubles it, but the order is reversed on the response.
        reading("three", { read: "chunks", chunk: (bytes: Uint8Array) => doubled(bytes) })(),
      ),
    expected: (body, direction) =>
      Buffer.from(direction === "request" ? doubled(reversed(inverted(body))) : inverted(reversed(doubled(body)))),
    whole: true,
  },
} as const satisfies Record<string, Reader>;

export type ReaderName = keyof typeof READERS;
