import { type ClientRequest, request as httpRequest } from "node:http";
import { type ClientHttp2Stream, connect, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from "node:http2";
import type { Writable } from "node:stream";
import type { BodyCase } from "./cases.ts";
import { bodyOf } from "./material.ts";
import { READERS } from "./readers.ts";
import { Arrival, type Arrived, cutAnywhere, writePieces } from "./wire.ts";

/** What the client got. */
export interface Received extends Arrived {
  /** Undefined: no response came. */
  readonly status: number | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly trailers: NodeJS.Dict<string | string[]>;
  /** False if it ended inside the response. */
  readonly complete: boolean;
}

/** Sends the request of a case on its own connection, and waits for the result. */
export function sendCase(port: number, test: BodyCase): Promise<Received> {
  return test.protocol === "http1" ? sendHttp1(port, test) : sendHttp2(port, test);
}

const GRPC_PATH = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

function headOf(test: BodyCase): { readonly method: string; readonly path: string; readonly headers: object } {
  const { id, reader, direction, framing, size } = test;
  const isGrpc = READERS[reader].material === "grpc";
  const sends = direction === "request";
  return {
    method: sends ? "POST" : "GET",
    path: isGrpc ? GRPC_PATH : "/",
    headers: {
      "x-case": id,
      ...(isGrpc && { "content-type": "application/grpc" }),
      ...(sends && framing.length && { "content-length": String(size) }),
      ...(sends && framing.trailers && { trailer: "x-end" }),
    },
  };
}

function sendHttp1(port: number, test: BodyCase): Promise<Received> {
  const { method, path, headers } = headOf(test);
  const chunked = test.direction === "request" && !test.framing.length ? { "transfer-encoding": "chunked" } : {};
  const request = httpRequest({
    ...{ host: "127.0.0.1", port, method, path, agent: false },
    headers: { ...headers, ...chunked } as NodeJS.Dict<string>,
  });
  const received = responseOf(request);
  if (test.direction === "response") request.end();
  else {
    if (test.framing.trailers) request.addTrailers({ "x-end": "kept" });
    void writeBody(request, test);
  }
  return received;
}

function responseOf(request: ClientRequest): Promise<Received> {
  return new Promise((resolve) => {
    const arrival = new Arrival();
    let responded = false;
    const withoutResponse = () => {
      if (!responded) resolve({ ...NOTHING, ...arrival.whole });
      responded = true;
    };
    request.on("error", withoutResponse).on("close", withoutResponse);
    request.on("response", (response) => {
      responded = true;
      response.on("error", () => undefined).on("data", (piece: Buffer) => arrival.take(piece));
      response.on("close", () => {
        const { statusCode: status, headers, trailers, complete } = response;
        resolve({ status, headers, trailers, complete, ...arrival.whole });
      });
    });
  });
}

const NOTHING = { status: undefined, headers: {}, trailers: {}, complete: false };

function sendHttp2(port: number, test: BodyCase): Promise<Received> {
  const { method, path, headers } = headOf(test);
  const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 1 << 20 } });
  session.on("error", () => undefined);
  // A body without bytes is absent if its length is 0. If not, it is an empty frame.
  const isBodiless =
    test.direction === "response" || (test.size === 0 && test.framing.length && !test.framing.trailers);
  const stream = session.request(
    { ...headers, ":method": method, ":path": path },
    { endStream: isBodiless, waitForTrailers: test.framing.trailers && !isBodiless },
  );
  const received = streamResponseOf(stream).finally(() => session.destroy());
  if (isBodiless) return received;
  if (test.framing.trailers) stream.on("wantTrailers", () => stream.sendTrailers({ "x-end": "kept" }));
  void writeBody(stream, test);
  return received;
}

function streamResponseOf(stream: ClientHttp2Stream): Promise<Received> {
  return new Promise((resolve) => {
    const arrival = new Arrival();
    let headers: IncomingHttpHeaders & IncomingHttpStatusHeader = {};
    let trailers: NodeJS.Dict<string | string[]> = {};
    let complete = false;
    const settle = () => {
      const { ":status": status, ...rest } = headers;
      const others: NodeJS.Dict<string | string[]> = rest;
      resolve({
        status,
        headers: others,
        trailers,
        complete: complete && stream.rstCode === 0,
        ...arrival.whole,
      });
    };
    stream.on("response", (got) => {
      headers = got;
    });
    stream.on("trailers", (got) => {
      trailers = got;
    });
    stream.on("data", (piece: Buffer) => arrival.take(piece));
    stream.on("error", () => {
      complete = false;
    });
    stream.on("end", () => {
      complete = true;
      // A stream that was reset ends too; one whose request was never taken whole may never close.
      setImmediate(settle);
    });
    stream.on("close", settle);
  });
}

async function writeBody(stream: Writable, { reader, size, direction, id }: BodyCase): Promise<void> {
  await writePieces(stream, cutAnywhere(bodyOf(READERS[reader].material, size, direction), Number(id)));
  stream.end();
}
