import { Code, ConnectError } from "@connectrpc/connect";
import { CANCEL, ENHANCE_YOUR_CALM, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM } from "../../http2/error-codes.ts";
import type { HeaderList } from "../../http2/header-list.ts";
import type { AcceptStream, Http2Stream, StreamHandler } from "../../http2/http2-stream.ts";
import type { ConnectAnswer } from "../../services/connect/connect-handler.ts";
import type { HttpHandler } from "../../services/process/http-service.ts";
import type { Logger } from "../log/logger.ts";
import { describeThrown } from "../log/thrown.ts";
import { ByteQueue, MAX_WAITING_BYTES } from "./byte-queue.ts";
import { LINGER_MS, pathOf } from "./endpoint.ts";
import { noRoomError, RequestBytes, roomIn } from "./request-bytes.ts";

/** How long the rest of a request can make no progress after the answer. */
const REST_TIMEOUT_MS = 10_000;

/** The client has not sent its request in time. */
const REQUEST_TIMEOUT = 408;

/** The Connect code for a client's reset, by HTTP/2 error code. Other codes are ABORTED. */
const RESET_CODES: ReadonlyMap<number, Code> = new Map([
  [REFUSED_STREAM, Code.Unavailable],
  [CANCEL, Code.Canceled],
  [ENHANCE_YOUR_CALM, Code.ResourceExhausted],
]);

/** The parts that all calls of a server share. */
export interface Http2CallOptions {
  readonly log: Logger;
  readonly maxMessageBytes: number;
}

/** Serves one Connect call over this server's HTTP/2: unary and streaming; gRPC, gRPC-Web and Connect. */
export function connectOverHttp2(handler: HttpHandler, options: Http2CallOptions): AcceptStream {
  return (stream, headers) => new ConnectCall(stream, headers, { handler, ...options });
}

interface ServedCall extends Http2CallOptions {
  readonly handler: HttpHandler;
}

/** One call of a Connect handler. */
class ConnectCall implements StreamHandler {
  readonly #stream: Http2Stream;
  readonly #abort = new AbortController();
  readonly #body: ByteQueue;
  readonly #bytes: RequestBytes;
  /** The setting that limits the memory of its request, if it is not the default one. */
  readonly #flag: string | undefined;
  /** Ends a stream whose answer was sent and whose request makes no progress. */
  #restTimer: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;
  #release: (() => void) | undefined;
  #isReset = false;
  /** True: the request did not fit into memory. */
  #isRefused = false;
  /** True: the handler has answered, and does not need the rest of the request. */
  #isDiscarding = false;
  #isSettled = false;

  constructor(stream: Http2Stream, headers: HeaderList, call: ServedCall) {
    this.#stream = stream;
    const { method, requestRoom } = call.handler;
    const bytes = new RequestBytes({
      room: requestRoom?.memory ? roomIn(requestRoom.memory) : stream,
      method,
      contentType: headers.get("content-type") ?? "",
      maxMessageBytes: requestRoom?.maxBytes ?? call.maxMessageBytes,
    });
    this.#bytes = bytes;
    this.#flag = requestRoom?.flag;
    this.#body = new ByteQueue({
      maxWaitingBytes: MAX_WAITING_BYTES,
      full: () => stream.pause(),
      room: () => stream.resume(),
      handedOver: (count) => bytes.handedOver(count),
    });
    // A reset before the answer counts as an early reset, although the handler runs: only Envoy's own calls normally
    // end in this way.
    void this.#run(headers, call);
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.#restTimer?.refresh();
    if (this.#isRefused || this.#isDiscarding) return;
    // Kept bytes must be copies, because the socket's buffer is reused after this call.
    const whole = this.#bytes.receive(bytes.subarray(start, end));
    if (whole !== undefined) {
      for (const chunk of whole) this.#body.push(chunk);
      return;
    }
    // Unlike after a reset, an answer is possible, and the rest of the request can still come.
    this.#isRefused = true;
    this.#body.refuse(noRoomError(this.#flag));
    this.#bytes.release();
  }

  isMidMessage(): boolean {
    return this.#bytes.isMidMessage;
  }

  onEnd(): void {
    for (const chunk of this.#bytes.end()) this.#body.push(chunk);
    this.#body.end();
  }

  onReset(code: number): void {
    this.#isReset = true;
    const reason = new ConnectError("the client reset the stream", RESET_CODES.get(code) ?? Code.Aborted);
    this.#body.fail(reason);
    this.#abort.abort(reason);
    this.onWritable();
    // A handler that ignores its signal still uses resources, so its stream keeps counting as a concurrent stream.
    if (!this.#isSettled) this.#release = this.#stream.hold();
  }

  onWritable(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  async #run(headers: HeaderList, { handler, log }: ServedCall): Promise<void> {
    try {
      const answer = await handler({
        httpVersion: "2.0",
        method: headers.method,
        url: urlOf(headers),
        header: webHeaders(headers),
        body: this.#body,
        signal: this.#abort.signal,
      });
      if (handler.method.methodKind === "unary") await this.#discardRest(answer.status);
      await this.#answer(answer);
    } catch (cause) {
      if (!this.#isReset) {
        if (!this.#isRefused) {
          const status = Code[ConnectError.from(cause).code];
          log.error({ path: pathOf(headers.path), status, ...describeThrown(cause) }, "A call failed in the transport");
        }
        this.#stream.reset(this.#isRefused ? ENHANCE_YOUR_CALM : INTERNAL_ERROR);
      }
    } finally {
      this.#isSettled = true;
      this.#bytes.release();
      this.#release?.();
    }
  }

  /**
   * Receives and drops the rest of a request after the answer, while the rest makes progress. An answer before the end
   * of a request makes clients stop sending, and curl lose the answer. After 408 the stream is reset.
   */
  async #discardRest(status: number): Promise<void> {
    this.#isDiscarding = true;
    this.#bytes.release();
    await this.#body.discard(LINGER_MS);
    if (this.#body.isOver || status === REQUEST_TIMEOUT) return;
    this.#stream.receiveRest();
    this.#restTimer = setTimeout(() => this.#stream.reset(NO_ERROR), REST_TIMEOUT_MS).unref();
    void this.#body.discard().then(() => clearTimeout(this.#restTimer));
  }

  async #answer({ status, header, body, trailer }: ConnectAnswer): Promise<void> {
    const chunks = body?.[Symbol.asyncIterator]();
    try {
      // A handler can set headers until its first message, so the headers wait for that message.
      let next = await chunks?.next();
      if (this.#isReset) return;
      this.#stream.respond([[":status", String(status)], ...(header ?? [])]);
      while (next !== undefined && !next.done && !this.#isReset) {
        if (!this.#stream.write(next.value)) await this.#untilWritable();
        next = await chunks?.next();
      }
    } finally {
      await chunks?.return?.();
    }
    // Trailers are created while the body is read, so they are complete only now.
    const trailers = [...(trailer ?? [])];
    if (trailers.length > 0) this.#stream.end(trailers);
    else this.#stream.end();
  }

  async #untilWritable(): Promise<void> {
    if (this.#isReset) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}

/**
 * The URL of a request for Connect. The authority comes from the client and can be unusable, such as Istio's
 * `outbound|9002||ext-proc`.
 */
function urlOf({ authority, path }: HeaderList): string {
  const url = `http://${authority}${path}`;
  return URL.canParse(url) ? url : `http://localhost${path}`;
}

function webHeaders(list: HeaderList): Headers {
  const headers = new Headers();
  // Connect would allocate memory for the announced length. HTTP/2 has checked that the length is right.
  for (const { name, value } of list.fields)
    if (!name.startsWith(":") && name !== "content-length") headers.append(name, value);
  return headers;
}
