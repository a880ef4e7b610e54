import type { Message } from "@bufbuild/protobuf";
import type { GenMessage, GenService } from "@bufbuild/protobuf/codegenv2";
import { describe, expectTypeOf, test } from "vitest";
import {
  appendChunk,
  compose,
  continueAndReplace,
  defineProcessor,
  immediateResponse,
  overrideMode,
  replaceJson,
  replaceText,
  setDynamicMetadata,
  setHeader,
  setPath,
  setStatus,
  type Transaction,
  type WholeBody,
} from "../../src/index.ts";

type SayRequest = Message<"e.SayRequest"> & { sentence: string };
type SayResponse = Message<"e.SayResponse"> & { answer: string };
declare const Eliza: GenService<{
  say: { methodKind: "unary"; input: GenMessage<SayRequest>; output: GenMessage<SayResponse> };
}>;

describe("inference inside one object literal, in body handlers", () => {
  test("handlers of a whole body, text, and JSON have the right types", () => {
    defineProcessor({
      name: "p",
      state: () => ({ user: "" }),
      requestBody: {
        read: "json",
        maxBytes: 1 << 20,
        when: (tx) => tx.request.get("content-type")?.startsWith("application/json"),
        handle(value, tx) {
          expectTypeOf(value).toEqualTypeOf<unknown>();
          expectTypeOf(tx).toEqualTypeOf<Transaction<{ user: string }, undefined>>();
          return replaceJson({ ...(value as object), seenBy: tx.state.user });
        },
      },
      responseBody: {
        read: "whole",
        async handle(body) {
          expectTypeOf(body).toEqualTypeOf<WholeBody>();
          expectTypeOf(body.bytes).toEqualTypeOf<Uint8Array<ArrayBuffer>>();
          return body.complete ? [setStatus(201), setHeader("a", "b")] : immediateResponse(502);
        },
      },
    });
    defineProcessor({
      name: "p",
      requestBody: { read: "text", handle: (text) => [replaceText(text.toUpperCase()), setPath("/")] },
    });
  });

  test("handlers of chunks, a stream, and inspection have the right types", () => {
    defineProcessor({
      name: "p",
      state: () => ({ n: 0, tail: new Uint8Array() }),
      requestBody: {
        read: "chunks",
        maxBytes: undefined,
        chunk(bytes, tx) {
          expectTypeOf(bytes).toEqualTypeOf<Uint8Array<ArrayBuffer>>();
          tx.state.n++;
          return bytes;
        },
        end: (tx) => [appendChunk(tx.state.tail), setDynamicMetadata("pii", { n: tx.state.n })],
      },
      responseBody: {
        read: "stream",
        async *handle(chunks, tx) {
          for await (const chunk of chunks) {
            tx.state.n += chunk.length;
            yield chunk;
          }
          yield setDynamicMetadata("llm", { bytes: tx.state.n });
        },
      },
    });
    defineProcessor({
      name: "p",
      requestBody: {
        read: "inspect",
        chunk: (bytes) => void bytes.length,
        end: () => setDynamicMetadata("x", { a: 1 }),
      },
    });
  });

  test("handlers of gRPC messages have the types of their method", () => {
    const processor = defineProcessor({
      name: "p",
      state: () => ({ question: "" }),
      grpc: {
        service: Eliza,
        methods: {
          say: {
            request(message, tx) {
              expectTypeOf(message).toEqualTypeOf<SayRequest>();
              tx.state.question = message.sentence;
              return { ...message, sentence: "x" };
            },
            response: (message, tx) => ({ ...message, answer: message.answer + tx.state.question }),
          },
        },
      },
    });
    compose(processor);
    defineProcessor({
      name: "p",
      // @ts-expect-error no such method
      grpc: { service: Eliza, methods: { tell: { request: () => undefined } } },
    });
  });

  test("results that a body handler may not return do not compile", () => {
    // @ts-expect-error an override in a body
    defineProcessor({ name: "p", requestBody: { read: "whole", handle: () => overrideMode({}) } });
    // @ts-expect-error headers cannot be set at the end of a chunked body
    defineProcessor({ name: "p", requestBody: { read: "chunks", chunk: (b) => b, end: () => setHeader("a", "b") } });
    // @ts-expect-error a chunk is bytes
    defineProcessor({ name: "p", requestBody: { read: "chunks", chunk: () => replaceText("a") } });
    // @ts-expect-error a request has no status
    defineProcessor({ name: "p", requestBody: { read: "text", handle: () => setStatus(200) } });
    // @ts-expect-error a handler that only looks cannot change a body
    defineProcessor({ name: "p", requestBody: { read: "inspect", end: () => appendChunk("a") } });
    defineProcessor({
      name: "p",
      responseBody: {
        read: "stream",
        // @ts-expect-error headers have left when a stream yields
        async *handle(c) {
          for await (const x of c) yield x;
          yield setHeader("a", "b");
        },
      },
    });
    defineProcessor({ name: "p", requestHeaders: () => continueAndReplace("a") });
    // @ts-expect-error the whole body was replaced where the headers were, or not at all
    defineProcessor({ name: "p", requestBody: { read: "whole", handle: () => continueAndReplace("a") } });
    // @ts-expect-error no such way to read
    defineProcessor({ name: "p", requestBody: { read: "bytes", handle: () => undefined } });
    // @ts-expect-error the whole body has no chunks
    defineProcessor({ name: "p", requestBody: { read: "whole", chunk: (b: Uint8Array) => b } });
  });
});
