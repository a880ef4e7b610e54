import type { ProcessingRequest } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/** A client's side of a stream. It passes on one message at a time, and only on request. */
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

  /** Fails reading, as Connect does if a message cannot be read or the client is gone. */
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
