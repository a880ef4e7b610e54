import { MemoryShare } from "./memory-share.ts";

/**
 * The kinds of memory that clients can make the process hold.
 *
 * - `bodies`: bodies that handlers wait for or work on, and the native memory of coders.
 * - `headers`: headers, from 4 KiB on, of transactions that are under way, and of handlers that outlive theirs.
 * - `messages`: unfinished messages, messages that wait for a handler, and requests of Connect calls.
 * - `answers`: answers that wait to be sent.
 * - `debug`: requests to the debug service, and other Connect and JSON requests.
 */
export const MEMORY_KINDS = ["bodies", "headers", "messages", "answers", "debug"] as const;

export type MemoryKind = (typeof MEMORY_KINDS)[number];

const MIB = 1 << 20;

/**
 * The default caps, in bytes. Together with the process itself they fit the memory limit of `deploy/ext.yaml`, 512 MiB;
 * docs/limits.md has the sum.
 */
export const DEFAULT_MEMORY_CAPS: Readonly<Record<MemoryKind, number>> = {
  bodies: 128 * MIB,
  headers: 32 * MIB,
  messages: 48 * MIB,
  answers: 48 * MIB,
  debug: 16 * MIB,
};

/** The memory account of a server: each kind of memory with its share. */
export class MemoryAccount {
  readonly bodies: MemoryShare;
  readonly headers: MemoryShare;
  readonly messages: MemoryShare;
  readonly answers: MemoryShare;
  readonly debug: MemoryShare;

  /** @param maxBytes The cap of each kind. Default: {@link DEFAULT_MEMORY_CAPS}. */
  constructor(maxBytes: { readonly [K in MemoryKind]?: number | undefined } = {}) {
    const share = (kind: MemoryKind) => new MemoryShare(kind, maxBytes[kind] ?? DEFAULT_MEMORY_CAPS[kind]);
    this.bodies = share("bodies");
    this.headers = share("headers");
    this.messages = share("messages");
    this.answers = share("answers");
    this.debug = share("debug");
  }

  /** Every share, in the order of {@link MEMORY_KINDS}. */
  get shares(): readonly MemoryShare[] {
    return MEMORY_KINDS.map((kind) => this[kind]);
  }
}
