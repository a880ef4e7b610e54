import type { HeaderList } from "./header-list.ts";
import type { FieldSection } from "./hpack-encoder.ts";
import type { FillFrame } from "./output.ts";

/**
 * The application's side of one request. Every call comes synchronously out of the socket's data event (onWritable also
 * out of its drain event). What the handler sends in a call leaves with the single write of that turn. An exception
 * resets the stream with INTERNAL_ERROR and is reported. It does not affect other streams.
 */
export interface StreamHandler {
  /**
   * Bytes of the request, `bytes[start..end)`: of any length, cut anywhere. They are in the socket's read buffer of up
   * to 64 KiB. Copy what must outlive the call, or the whole buffer stays in memory. They are never overwritten.
   */
  onData(bytes: Buffer, start: number, end: number): void;
  /** The request is complete. `trailers` is undefined if it had none. */
  onEnd(trailers: HeaderList | undefined): void;
  /**
   * The stream is over before both sides ended it, and nothing can be sent any more: the client has reset it, it broke
   * a rule, the handler threw, or the connection is gone (CANCEL). This is the last call. It does not come after the
   * handler's own reset(), nor after end() has been sent.
   */
  onReset(code: number): void;
  /**
   * True while the client has sent half of something and is expected to send the rest. It is read now and then while
   * received bytes are counted for the stream (Http2Stream.holdReceived), for messageStallTimeoutMs. Without this
   * method the stream has no such timeout.
   */
  isMidMessage?(): boolean;
  /**
   * The bytes that wait in the stream have shrunk to half of streamQueueHighWaterBytes, after a write() that returned
   * false.
   */
  onWritable?(): void;
}

/**
 * Called with each valid request, as soon as its headers are there; it can answer at once. The application decides
 * about paths and methods, also about CONNECT and `OPTIONS *`.
 */
export type AcceptStream = (stream: Http2Stream, headers: HeaderList) => StreamHandler;

/** The other end of a connection. */
export interface Http2Peer {
  /** `10.0.0.7:41522`, `[::1]:41522`, or the empty string if the socket has no address. */
  readonly address: string;
}

/**
 * One request and its response (RFC 9113 sections 5 and 8.1). All methods can be called at any time, also between
 * turns. If the stream is over, or its response has ended, all methods except chargeReset() and hold() do nothing, and
 * write() returns true.
 */
export interface Http2Stream {
  /** Odd, rising within a connection. */
  readonly id: number;
  /** The other end of the connection: one object for all of its streams. */
  readonly peer: Http2Peer;
  /** True if both sides have ended the stream, or one side has reset it. */
  readonly isClosed: boolean;
  /** Bytes that wait in the stream for flow control or for the socket. */
  readonly queuedBytes: number;

  /**
   * Sends the response's headers, `:status` first: fields, or an encoded block. With `endStream` the response has no
   * more than these headers.
   *
   * @throws TypeError if the headers have already been sent, or if HTTP/2 does not allow a field.
   */
  respond(headers: Uint8Array | FieldSection, endStream?: boolean): void;

  /** Sends an informational response (1xx) before the final one (RFC 9113 section 8.1). */
  inform(headers: Uint8Array | FieldSection): void;

  /**
   * Sends bytes as DATA, now or as soon as flow control allows. The bytes must not change afterwards, because large
   * ones are not copied.
   *
   * Returns false if more than streamQueueHighWaterBytes wait. The bytes are still kept, but the next ones should wait
   * for onWritable. Bytes that must wait and do not fit (Http2Memory) are dropped, and the stream is
   * reset with ENHANCE_YOUR_CALM in the next turn.
   *
   * @throws TypeError before respond().
   */
  write(bytes: Uint8Array): boolean;

  /**
   * Sends `length` bytes that `fill` puts straight into the output: the cheapest way to send a small message. In all
   * else it works like write(). `fill` is called before this method returns, or never if the stream is over. If `fill`
   * throws, the stream is reset.
   */
  writeFrame(length: number, fill: FillFrame): boolean;

  /**
   * Ends the response after what has been written, with trailers if given. If the request is not complete by then, its
   * rest is declined with RST_STREAM(NO_ERROR) (RFC 9113 section 8.1), and the handler gets no more calls.
   *
   * @throws TypeError before respond().
   */
  end(trailers?: Uint8Array | FieldSection): void;

  /**
   * Ends the stream at once with RST_STREAM. `code` is an error code of RFC 9113 section 7, CANCEL by default. Waiting
   * bytes are dropped.
   */
  reset(code?: number): void;

  /**
   * Stops refilling the receive window of this stream, and of no other. Bytes that the client can still send, at most
   * streamWindowBytes, still arrive through onData, and the handler keeps them.
   */
  pause(): void;

  /** Gives back the window that pause() has withheld. */
  resume(): void;

  /**
   * Counts received bytes that the handler keeps after this call, such as half a message: for the connection and for
   * the server (Http2Memory). Returns false if they do not fit: then they are not counted, and the handler
   * must drop them. Bytes that are still counted when the stream is over count as dropped then.
   */
  holdReceived(bytes: number): boolean;

  /** The handler no longer keeps this number of bytes. */
  releaseReceived(bytes: number): void;

  /**
   * Receives and drops the rest of the request after the response has ended, instead of declining it with
   * RST_STREAM(NO_ERROR): curl loses an answer that a reset follows. The stream stays open until the client ends it.
   */
  receiveRest(): void;

  /** From here on the application works on this stream. A reset by the client is then normal, and is not counted. */
  beginWork(): void;

  /**
   * Ends the stream because its client broke the application's protocol, or gave it no time. This counts like a reset
   * before any work (resetsBeforeWork). Otherwise the client could start more work than maxConcurrentStreams allows.
   */
  chargeReset(): void;

  /**
   * Keeps the stream's place among maxConcurrentStreams if the stream is over before its handler, also if it is already
   * over. So a client that resets and reopens streams cannot pile up work. Every call needs its release, which can be
   * called twice.
   */
  hold(): () => void;
}
