import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { MAX_HEADER_BYTES, pairs } from "./scene-upstream.ts";

/** A request of a test's client, over HTTP/1.1 on its own connection. */
export interface ClientInit {
  readonly method?: string;
  readonly path?: string;
  /** Text is sent as latin1: a character is a byte. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent at once, with its content-length; undefined: no body. */
  readonly body?: string;
  /** Sent behind the body, which is chunked then. */
  readonly trailers?: Readonly<Record<string, string>>;
}

/** What a client got. */
export interface ClientOutcome {
  /** Undefined: the connection closed without a response. */
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly headerLines: readonly (readonly [name: string, value: string])[];
  /** A byte is a character. */
  readonly body: string;
  readonly trailers: NodeJS.Dict<string>;
  /** False if the connection closed inside the response. */
  readonly complete: boolean;
}

/** A request whose body the test writes piece by piece. */
export interface OpenRequest {
  /** Resolves whatever happens. */
  readonly outcome: Promise<ClientOutcome>;
  write(text: string): void;
  end(): void;
  /** Closes the connection, as a client does that has gone. */
  abort(): void;
}

const NO_RESPONSE: ClientOutcome = {
  status: undefined,
  headers: {},
  headerLines: [],
  body: "",
  trailers: {},
  complete: false,
};

/** Sends a request and waits for its outcome. */
export function sendRequest(port: number, init: ClientInit = {}): Promise<ClientOutcome> {
  const { body, trailers } = init;
  const length = body === undefined || trailers ? {} : { "content-length": String(Buffer.byteLength(body, "latin1")) };
  const { request, outcome } = begin(port, { ...init, headers: { ...length, ...init.headers } });
  if (body !== undefined) request.write(body, "latin1");
  if (trailers) request.addTrailers({ ...trailers });
  request.end();
  return outcome;
}

/** Begins a request; its head goes out at once. */
export function openRequest(port: number, init: ClientInit): OpenRequest {
  const { request, outcome } = begin(port, init);
  request.flushHeaders();
  return {
    outcome,
    write: (text) => void request.write(text, "latin1"),
    end: () => void request.end(),
    abort: () => void request.destroy(),
  };
}

function begin(port: number, { method = "GET", path = "/", headers = {} }: ClientInit) {
  const request = httpRequest({
    host: "127.0.0.1",
    port,
    method,
    path,
    headers: headers as NodeJS.Dict<string | string[]>,
    agent: false,
    maxHeaderSize: MAX_HEADER_BYTES,
  });
  return { request, outcome: outcomeOf(request) };
}

function outcomeOf(request: ClientRequest): Promise<ClientOutcome> {
  return new Promise((resolve) => {
    let responded = false;
    const withoutResponse = () => {
      if (!responded) resolve(NO_RESPONSE);
    };
    request.on("error", withoutResponse).on("close", withoutResponse);
    request.on("response", (response) => {
      responded = true;
      let body = "";
      response.setEncoding("latin1").on("data", (text: string) => {
        body += text;
      });
      response.on("error", () => undefined);
      response.on("close", () => {
        const { statusCode: status, headers, rawHeaders, trailers, complete } = response;
        resolve({ status, headers, headerLines: pairs(rawHeaders), body, trailers, complete });
      });
    });
  });
}
