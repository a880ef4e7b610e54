/** A header line with one character per byte (ISO 8859-1), pseudo-headers among them. */
export type WireField = readonly [name: string, value: string];

/** An HTTP message as it comes in, byte by byte. */
export interface IncomingMessage {
  /** Undefined until the headers are there. */
  fields: WireField[] | undefined;
  readonly chunks: Buffer[];
  trailers: WireField[];
  /** `cut`: the stream or its connection ended before the message did. */
  end: "open" | "complete" | "cut";
  /** HTTP/1 only: what followed the message on its connection. */
  readonly surplus: Buffer[];
}

/** One side of one HTTP exchange: a client with one request, or an upstream with one answer. */
export interface WireStream {
  readonly incoming: IncomingMessage;
  /** Writes go out together at the end of `batch`, so that the peer reads them at once. */
  batch(write: () => void): void;
  /** `isTunnel`: what follows is not a body, and HTTP/1 does not frame it. */
  head(fields: readonly WireField[], how: { readonly endStream: boolean; readonly isTunnel?: boolean }): void;
  data(bytes: Uint8Array, endStream: boolean): void;
  trailers(fields: readonly WireField[]): void;
  /** Goes away without a word. */
  destroy(): void;
}

/** Tells of everything that comes in. */
export type OnActivity = () => void;

/** A message of which nothing has come. */
export function nothingReceived(): IncomingMessage {
  return { fields: undefined, chunks: [], trailers: [], end: "open", surplus: [] };
}

/** The text with one character per byte. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
