import {
  type ClientDuplexStream,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  type StatusObject,
} from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { GrpcReply } from "../../src/grpc/reply.ts";
import { encodeGrpcMessage } from "../../src/grpc/status.ts";
import { GrpcStatus } from "../../src/protocol/grpc-status.ts";
import { AnswerBytes } from "../../src/wire/answer-cache.ts";
import { TestServer } from "../http2/test-server.ts";
import { FakeStream } from "./fake-stream.ts";

const bytesOf = (value: Buffer) => value;
const Client = makeGenericClientConstructor(
  {
    say: {
      path: "/test.Test/Say",
      requestStream: true,
      responseStream: true,
      requestSerialize: bytesOf,
      requestDeserialize: bytesOf,
      responseSerialize: bytesOf,
      responseDeserialize: bytesOf,
    },
  },
  "test.Test",
);

/** The messages and the status that grpc-js reads from a reply. */
async function heard(reply: (reply: GrpcReply) => void): Promise<{ messages: Buffer[]; status: StatusObject }> {
  const server = new TestServer({ handle: ({ stream }) => ({ onEnd: () => reply(new GrpcReply(stream)) }) });
  const { port, stop } = await server.listen();
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  onTestFinished(async () => {
    client.close();
    await stop();
  });
  const call = (client.say as unknown as (metadata: Metadata) => ClientDuplexStream<Buffer, Buffer>).call(
    client,
    new Metadata(),
  );
  const messages: Buffer[] = [];
  call.on("error", () => undefined).on("data", (message: Buffer) => messages.push(message));
  call.end();
  const status = await new Promise<StatusObject>((resolve) => call.once("status", resolve));
  expect(server.errors).toEqual([]);
  return { messages, status };
}

const EVERY_CHARACTER = Buffer.from(Uint8Array.from({ length: 256 }, (_, byte) => byte)).toString("latin1");

describe("a reply to grpc-js", () => {
  test("grpc-js reads the messages of a reply and OK", async () => {
    const { messages, status } = await heard((reply) => {
      reply.send(new AnswerBytes(Buffer.from("one")));
      reply.send(new AnswerBytes(new Uint8Array(0)));
      reply.send(new AnswerBytes(new Uint8Array(100_000).fill(7)));
      reply.end(GrpcStatus.OK);
    });
    expect(messages.map(({ length }) => length)).toEqual([3, 0, 100_000]);
    expect(status).toMatchObject({ code: 0, details: "" });
  });

  test.each([
    ["every character of latin1", EVERY_CHARACTER],
    ["more than latin1", "grüße 🙂 日本"],
    ["a blank at its start and its end", " a "],
    ["a blank and nothing else", " "],
    ["a tab at its end", "a\t"],
    ["a percent sign", "100% %41"],
  ])("grpc-js reads a status message of %s, behind an answer and without one", async (_name, text) => {
    for (const answers of [0, 1]) {
      const { status } = await heard((reply) => {
        for (let n = 0; n < answers; n++) reply.send(new AnswerBytes(Buffer.from("x")));
        reply.end(GrpcStatus.INTERNAL, text);
      });
      expect(status).toMatchObject({ code: 13, details: text });
    }
  });
});

describe("a reply", () => {
  test("a reply ends once, and drops what comes after its end", () => {
    const stream = new FakeStream();
    const reply = new GrpcReply(stream);
    reply.send(new AnswerBytes(Buffer.from("x")));
    reply.end(GrpcStatus.OK);
    const log = [...stream.log];
    expect(reply.send(new AnswerBytes(Buffer.from("y")))).toBe(true);
    reply.end(GrpcStatus.INTERNAL, "too late");
    expect(stream.log).toEqual(log);
    expect(stream.ending).toEqual({ "grpc-status": "0" });
  });

  test("a reply does nothing on a stream that is over", () => {
    const stream = new FakeStream();
    const reply = new GrpcReply(stream);
    stream.close();
    expect(reply.send(new AnswerBytes(Buffer.from("x")))).toBe(true);
    reply.end(GrpcStatus.OK);
    expect([stream.log, stream.fields]).toEqual([[], []]);
  });

  test("a reply tells whether more messages may follow", () => {
    const stream = new FakeStream();
    const reply = new GrpcReply(stream);
    expect(reply.send(new AnswerBytes(Buffer.from("x")))).toBe(true);
    stream.takesMore = false;
    expect(reply.send(new AnswerBytes(Buffer.from("x")))).toBe(false);
  });

  test("a reply has a message that is a valid header value, whatever its text", () => {
    for (const text of ["", " ", "\t", "a\r\n", " \0 ", EVERY_CHARACTER.repeat(3)])
      expect(encodeGrpcMessage(text)).not.toMatch(/^[ \t]|[ \t]$|[\0\r\n]/);
  });
});
