import { joinBytes } from "../../bodies/owned-bytes.ts";
import { toBytes } from "../../wire/header-text.ts";
import { NO_BYTES } from "./byte-buffer.ts";
import type { FilterPath } from "./filter-path.ts";
import { HeaderMap } from "./header-map.ts";
import type { HttpBodyInit } from "./http-exchange.ts";
import type { VirtualClock } from "./virtual-clock.ts";

type Frame =
  | { readonly kind: "data"; readonly bytes: Uint8Array; readonly endStream: boolean }
  | { readonly kind: "trailers"; readonly trailers: HeaderMap };

const NO_DATA = { kind: "data", bytes: NO_BYTES, endStream: false } as const;

/** Sends an HTTP message on a path as a codec does, headers first. It waits when the path stops it. */
export class HttpMessageSource {
  readonly #clock: VirtualClock;
  readonly #path: FilterPath;
  /** What has arrived and was not passed to the path yet. */
  readonly #arrived: Frame[] = [];
  readonly #onActivity: () => void;
  #delivering = false;

  /** @param onActivity Called when something arrives. */
  constructor(clock: VirtualClock, path: FilterPath, onActivity: () => void) {
    this.#clock = clock;
    this.#path = path;
    this.#onActivity = onActivity;
  }

  /**
   * Sends headers now, and the rest when its time comes. `sliceBytes` is the number of bytes that a codec reads at
   * once.
   */
  send(headers: HeaderMap, body: HttpBodyInit, options: { protocol: "http1" | "http2"; sliceBytes: number }): void {
    const groups = arrivals(body, options);
    this.#onActivity();
    this.#path.receiveHeaders(headers, groups.length === 0);
    const intervalMs = body.chunkIntervalMs ?? 0;
    groups.forEach((frames, index) => {
      if (intervalMs === 0) this.#arrive(frames);
      else this.#clock.after(intervalMs * (index + 1), () => this.#arrive(frames));
    });
  }

  /**
   * Sends headers that a tunnel can follow, so they do not end the HTTP message. Envoy's HTTP/1 codec then passes on
   * what it has read after them, even if that is nothing.
   */
  sendHead(headers: HeaderMap, { protocol, isFollowed }: { protocol: "http1" | "http2"; isFollowed: boolean }): void {
    this.#onActivity();
    this.#path.receiveHeaders(headers, false);
    if (protocol === "http1" && !isFollowed) this.#arrive([NO_DATA]);
  }

  /** Sends the bytes of a tunnel, without an end. `onSent` is called after the last of them. */
  sendThroughTunnel(
    { chunks = [], chunkIntervalMs = 0 }: HttpBodyInit,
    { protocol, onSent }: { protocol: "http1" | "http2"; onSent: () => void },
  ): void {
    const pieces = chunks.map(toBytes).filter(({ length }) => length > 0);
    const isOne = protocol === "http1" && chunkIntervalMs === 0 && pieces.length > 0;
    const sent = isOne ? [joinBytes(pieces)] : pieces;
    sent.forEach((bytes, index) => {
      const frame: Frame = { kind: "data", bytes, endStream: false };
      const arrive = () => {
        this.#arrive([frame]);
        if (index === sent.length - 1) onSent();
      };
      if (chunkIntervalMs === 0) arrive();
      else this.#clock.after(chunkIntervalMs * (index + 1), arrive);
    });
    if (sent.length === 0) onSent();
  }

  /** Ends a tunnel. Over HTTP/1 its connection is closed, which Envoy's codec first reads as no bytes. */
  endTunnel(protocol: "http1" | "http2"): void {
    this.#arrive([protocol === "http1" ? NO_DATA : { ...NO_DATA, endStream: true }]);
  }

  /** Continues after the path stopped it. */
  resume(): void {
    // Not while the path calls this object.
    this.#clock.soon(() => this.#deliver());
  }

  #arrive(frames: readonly Frame[]): void {
    this.#arrived.push(...frames);
    this.#deliver();
  }

  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    while (!this.#path.blocked && !this.#path.aborted) {
      const frame = this.#arrived.shift();
      if (frame === undefined) break;
      this.#onActivity();
      if (frame.kind === "data") this.#path.receiveData(frame.bytes, frame.endStream);
      else this.#path.receiveTrailers(frame.trailers);
    }
    this.#delivering = false;
  }
}

/**
 * Returns what arrives together, in order: everything at once, or one chunk at a time. Empty if the headers end the
 * HTTP message.
 */
function arrivals(
  body: HttpBodyInit,
  { protocol, sliceBytes }: { protocol: "http1" | "http2"; sliceBytes: number },
): readonly (readonly Frame[])[] {
  const { chunks = [], trailers = [], chunkIntervalMs = 0, emptyEnd = false } = body;
  if (chunks.length === 0 && trailers.length === 0) return [];
  const pieces = chunks.map(toBytes);
  const endsEmpty = emptyEnd || protocol === "http1";
  const tail = endFrames(trailers, endsEmpty);
  const joinsPieces = protocol === "http1" && chunkIntervalMs === 0;
  const sent = joinsPieces ? slices(joinBytes(pieces), sliceBytes) : pieces;
  const groups = sent.map((bytes, index): Frame[] => {
    const isLast = index === sent.length - 1;
    return [{ kind: "data", bytes, endStream: isLast && tail.length === 0 }, ...(isLast ? tail : [])];
  });
  // HTTP/1 has no empty chunk, so an empty body is only its end.
  const real = groups.map((frames) => frames.filter((frame) => !isEmptyHttp1Chunk(frame, protocol)));
  return real.length > 0 ? real : [tail];
}

function isEmptyHttp1Chunk(frame: Frame, protocol: "http1" | "http2"): boolean {
  return protocol === "http1" && frame.kind === "data" && frame.bytes.length === 0 && !frame.endStream;
}

function endFrames(trailers: NonNullable<HttpBodyInit["trailers"]>, endsEmpty: boolean): readonly Frame[] {
  if (trailers.length > 0) return [{ kind: "trailers", trailers: new HeaderMap("trailers", trailers) }];
  return endsEmpty ? [{ kind: "data", bytes: NO_BYTES, endStream: true }] : [];
}

function slices(bytes: Uint8Array, sliceBytes: number): readonly Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += sliceBytes) parts.push(bytes.subarray(at, at + sliceBytes));
  return parts;
}
