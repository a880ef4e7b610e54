import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Health, HealthCheckRequestSchema } from "../../../gen/grpc/health/v1/health_pb.js";
import {
  appendChunk,
  defineProcessor,
  type FaultPolicy,
  type Processor,
  replaceBody,
  replaceJson,
  replaceText,
} from "../../../src/index.ts";
import type { Attack } from "./attack.ts";

/** A processor with one body handler, and its effect as a function of the whole body. */
export interface Step {
  readonly handlers: (attack: Attack) => Readonly<Record<string, unknown>>;
  readonly apply: (body: string) => string;
}

export type StepName = "whole" | "text" | "json" | "chunks" | "stream" | "inspect" | "grpc";

const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
const both = (read: () => object) => ({ requestBody: read(), responseBody: read() });

/** A gRPC message in its frame, as text of one character for each byte. */
export function framed(service: string): string {
  const message = toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service }));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return textOf(Buffer.concat([prefix, message]));
}

function eachMessage(body: string, change: (service: string) => string): string {
  const bytes = Buffer.from(body, "latin1");
  let changed = "";
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    changed += framed(change(fromBinary(HealthCheckRequestSchema, bytes.subarray(at + 5, end)).service));
    at = end;
  }
  return changed;
}

/** One handler of each kind. Its output does not depend on how the body was cut. */
export const STEPS: Readonly<Record<StepName, Step>> = {
  whole: {
    handlers: (attack) =>
      both(() => ({
        read: "whole",
        handle: ({ bytes }: { bytes: Uint8Array }) => attack.piece(replaceBody(bytesOf(`[${textOf(bytes)}]`))),
      })),
    apply: (body) => `[${body}]`,
  },
  text: {
    handlers: (attack) =>
      both(() => ({ read: "text", handle: async (text: string) => await attack.piece(replaceText(`${text}<`)) })),
    apply: (body) => `${body}<`,
  },
  json: {
    handlers: (attack) =>
      both(() => ({ read: "json", handle: (value: unknown) => attack.piece(replaceJson([value])) })),
    apply: (body) => `[${body}]`,
  },
  chunks: {
    handlers: (attack) =>
      both(() => {
        let held = "";
        return {
          read: "chunks",
          // Keeps the last byte of each chunk for the next one, like a handler that searches across chunks.
          chunk(bytes: Uint8Array) {
            const all = held + textOf(bytes);
            held = all.slice(-1);
            return attack.piece(bytesOf(all.slice(0, -1).replaceAll("a", "bb")));
          },
          end: () => attack.point("end", appendChunk(bytesOf(`${held.replaceAll("a", "bb")}>`))),
        };
      }),
    apply: (body) => `${body.replaceAll("a", "bb")}>`,
  },
  stream: {
    handlers: (attack) =>
      both(() => ({
        read: "stream",
        async *handle(chunks: AsyncIterable<Uint8Array>) {
          attack.begun++;
          try {
            let count = 0;
            for await (const chunk of chunks) {
              count += chunk.length;
              yield await attack.piece(bytesOf(textOf(chunk).replaceAll("b", "")));
            }
            yield await attack.point("end", bytesOf(`#${count}`));
          } finally {
            attack.finished++;
          }
        },
      })),
    apply: (body) => `${body.replaceAll("b", "")}#${body.length}`,
  },
  inspect: {
    handlers: (attack) =>
      both(() => ({
        read: "inspect",
        chunk: () => attack.piece(undefined),
        end: () => attack.point("end", undefined),
      })),
    apply: (body) => body,
  },
  grpc: {
    handlers: (attack) => {
      const change = (message: { readonly service?: string }) =>
        attack.piece({ ...message, service: `${message.service}!` });
      // The response is read as the same message: the schema of both has one string or one enum in field 1.
      return { grpc: { service: Health, methods: { check: { request: change } } } };
    },
    apply: (body) => eachMessage(body, (service) => `${service}!`),
  },
};

/** A processor of one step, under attack. */
export function attacked(
  name: string,
  step: StepName,
  { attack, onFault }: { readonly attack: Attack; readonly onFault: FaultPolicy },
): Processor {
  const definition = {
    name,
    onFault,
    requestHeaders: () => attack.point("headers", undefined),
    requestTrailers: () => attack.point("trailers", undefined),
    responseHeaders: () => attack.point("headers", undefined),
    responseTrailers: () => attack.point("trailers", undefined),
    ...STEPS[step].handlers(attack),
    done: () => {
      attack.done++;
    },
  };
  return defineProcessor(definition as never);
}
