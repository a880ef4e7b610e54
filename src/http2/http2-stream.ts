import type { HeaderList } from "./header-list.ts";
import type { FieldSection } from "./hpack-encoder.ts";
import type { FillFrame } from "./output.ts";

/**
 * The application's side of one request. Every call comes synchronously out of the socket's data event (onWritable: also
 * out of its drain event), and what the handler sends in it leaves with that turn's single write. An exception resets
 * the stream with INTERNAL_ERROR and is reported; other streams do not notice.
 */
export interface StreamHandler {
  /**
   * Bytes of the request, `bytes[start..end)`: of any length, cut anywhere. They lie in the socket's read buffer of up
   * to 64 KiB: copy what must outlive the call, or the whole buffer stays in memory. They are never overwritten.
   */
  onData(bytes: Buffer, start: number, end: number): void;
  /** The request is complete; `trailers` if it had any. */
  onEnd(trailers: HeaderList | undefined): void;
  /**
   * The stream is over before both sides had ended it, and nothing can be sent any more: the peer has reset it, it broke
   * a rule, the handler threw, or the connection is gone (CANCEL). The last call; there is none after the stream's own
   * reset(), nor once end() has been sent.
   */
  onReset(code: number): void;
  /**
   * True while the peer has sent half of something and is expected to send on. Asked now and then while received bytes are
   * counted for the stream (Http2Stream.holdReceived), for messageStallTimeoutMs. Without it the stream is not timed.
   */
  isMidMessage?(): boolean;
  /** What waits in the stream has shrunk to half of streamQueueHighWaterBytes, after a write() that returned false. */
  onWritable?(): void;
}

/**
 * Called with each valid request, as soon as its headers are there; it may answer at once. Paths and methods are the
 * application's business, CONNECT and `OPTIONS *` included.
 */
export type AcceptStream = (stream: Http2Stream, headers: HeaderList) => StreamHandler;

/** The other end of a connection. */
export interface Http2Peer {
  /** `10.0.0.7:41522`, `[::1]:41522`, or the empty string if the socket has no address. */
  readonly address: string;
}

/**
 * One request and its response (RFC 9113 sections 5 and 8.1). All methods may be called at any time, also between turns:
 * when the stream is over, or its response has been ended, all but chargeReset() and hold() do nothing and write() returns true.
 */
export interface Http2Stream {
  /** Odd, rising within a connection. */
  readonly id: number;
  /** The other end of the connection; one object for all of its streams. */
  readonly peer: Http2Peer;
  /** Both sides have ended the stream, or one has reset it. */
  readonly isClosed: boolean;
  /** Bytes that wait in the stream for flow control or for the socket. */
  readonly queuedBytes: number;

  /**
   * Sends the response's headers, `:status` first: fields, or a block encoded before. With `endStream` they are all of
   * the response.
   *
   * @throws TypeError when the headers have been sent already, or a field is not allowed in HTTP/2.
   */
  respond(headers: Uint8Array | FieldSection, endStream?: boolean): void;

  /** Sends an informational response (1xx) before the final one (RFC 9113 section 8.1). */
  inform(headers: Uint8Array | FieldSection): void;

  /**
   * Sends bytes as DATA, now or as soon as flow control allows. They must not change afterwards: large ones are not
   * copied. False: over streamQueueHighWaterBytes wait; they are still kept, but the next ones should wait for
   * onWritable. Bytes that must wait, and for which there is no room (Http2Memory), are dropped, and the stream is reset
   * with ENHANCE_YOUR_CALM in the next turn.
   *
   * @throws TypeError before respond().
   */
  write(bytes: Uint8Array): boolean;

  /**
   * Like write(), for `length` bytes that `fill` puts straight into the output: the cheapest way to send a small
   * message. `fill` is called before this returns, or never when the stream is over; when it throws, the stream is reset.
   */
  writeFrame(length: number, fill: FillFrame): boolean;

  /**
   * Ends the response, after what has been written, with trailers if given. When the request is not complete by then
   * its rest is declined with RST_STREAM(NO_ERROR) (RFC 9113 section 8.1) and the handler gets no more calls.
   *
   * @throws TypeError before respond().
   */
  end(trailers?: Uint8Array | FieldSection): void;

  /** Ends the stream at once with RST_STREAM; `code` as in RFC 9113 section 7, default CANCEL. What waits is dropped. */
  reset(code?: number): void;

  /**
   * Stops refilling the receive window of this stream, and of no other. What the client may still send, at most
   * streamWindowBytes, still arrives through onData: the handler keeps it.
   */
  pause(): void;

  /** Gives back what pause() has withheld. */
  resume(): void;

  /**
   * Counts received bytes that the handler keeps beyond this call, such as half a message: for the connection and for the
   * server (Http2Memory). False: there is no room for them, and they are not counted; the handler must drop them. What is
   * still counted when the stream is over counts as dropped then.
   */
  holdReceived(bytes: number): boolean;

  /** The handler keeps so many of those bytes no longer. */
  releaseReceived(bytes: number): void;

  /**
   * The rest of the request is received and dropped once the response has ended, instead of being declined with
   * RST_STREAM(NO_ERROR): curl loses an answer that a reset follows. The stream stays open until the peer ends it.
   */
  receiveRest(): void;

  /** From here on the application works on this stream: its reset by the peer is normal and costs no budget. */
  beginWork(): void;

  /**
   * The stream ends because its peer broke the application's protocol, or gave it no time. Costs the peer what a reset
   * before any work costs it, resetsBeforeWork, or it could start more work than maxConcurrentStreams allows.
   */
  chargeReset(): void;

  /**
   * Keeps the stream's place among maxConcurrentStreams when the stream is over before its handler, also if it is over
   * already: a peer that resets and reopens cannot pile up work. Every call needs its release, which may be called twice.
   */
  hold(): () => void;
}
