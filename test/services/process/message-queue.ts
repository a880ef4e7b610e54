import type { ProcessingRequest } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/** A peer's side of a stream: messages are handed over one by one, and only when they are asked for. */
export class MessageQueue implements AsyncIterable<ProcessingRequest> {
  /** How many messages were taken. */
  taken = 0;
  readonly #messages: ProcessingRequest[] = [];
  #closed = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  send(...messages: readonly ProcessingRequest[]): void {
    this.#messages.push(...messages);
    this.#wake?.();
  }

  /** Half-close. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  /** What Connect does where a message cannot be read, or the peer is gone. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ProcessingRequest> {
    while (true) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        this.taken++;
        yield message;
      } else if (this.#failure) {
        throw this.#failure.error;
      } else if (this.#closed) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
