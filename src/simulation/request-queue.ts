import type { ProcessingRequest } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/** The messages that Envoy sends, as an iterable for a client call. */
export class RequestQueue implements AsyncIterable<ProcessingRequest> {
  readonly #waiting: ProcessingRequest[] = [];
  #ended = false;
  #wake: () => void = () => undefined;

  push(request: ProcessingRequest): void {
    this.#waiting.push(request);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ProcessingRequest> {
    while (true) {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) yield next;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
