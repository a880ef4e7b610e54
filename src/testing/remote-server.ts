import type { Client } from "@connectrpc/connect";
import type { ExternalProcessor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { GrpcStatus } from "../protocol/grpc-status.ts";
import type { LiveServer } from "../simulation/drive-transaction.ts";
import { RequestQueue } from "../simulation/request-queue.ts";
import type { EnvoySide, ServerSide } from "../simulator/filter/ext-proc-server.ts";

/** Reads the status of a call's error; undefined if the error has no status. */
type ReadStatus = (error: unknown) => { readonly code: number; readonly message: string } | undefined;

/** A server that cannot be reached. */
export const UNREACHABLE: LiveServer = {
  busy: false,
  onChange: () => undefined,
  open(stream) {
    stream.unreachable();
    return { message: () => undefined, halfClose: () => undefined, reset: () => undefined };
  },
};

/** A remote ext_proc server, for one transaction: its stream is a gRPC call. */
export class RemoteServer implements LiveServer {
  readonly #client: Client<typeof ExternalProcessor>;
  readonly #readStatus: ReadStatus;
  #unanswered = 0;
  #changed: () => void = () => undefined;

  constructor(client: Client<typeof ExternalProcessor>, readStatus: ReadStatus) {
    this.#client = client;
    this.#readStatus = readStatus;
  }

  /** True if some messages have no answer yet. They may never get one. */
  get busy(): boolean {
    return this.#unanswered > 0;
  }

  onChange(callback: () => void): void {
    this.#changed = callback;
  }

  open(stream: ServerSide, initialMetadata: Readonly<Record<string, string>>): EnvoySide {
    const requests = new RequestQueue();
    const abort = new AbortController();
    const call = this.#client.process(requests, {
      signal: abort.signal,
      headers: { ...initialMetadata },
      onHeader: () => stream.responseHeaders(),
    });
    this.#read(call, stream).catch(() => undefined);
    return {
      message: (request) => {
        // In observability mode the server sends no answer.
        if (!request.observabilityMode) this.#unanswered++;
        requests.push(request);
      },
      halfClose: () => requests.end(),
      reset: () => {
        this.#unanswered = 0;
        abort.abort();
      },
    };
  }

  async #read(call: ReturnType<Client<typeof ExternalProcessor>["process"]>, stream: ServerSide): Promise<void> {
    try {
      for await (const response of call) {
        // In FULL_DUPLEX_STREAMED there can be more answers than messages.
        this.#unanswered = Math.max(0, this.#unanswered - 1);
        stream.message(response);
        this.#changed();
      }
      stream.end(0);
    } catch (error) {
      const { code, message } = this.#readStatus(error) ?? { code: GrpcStatus.UNKNOWN, message: "" };
      stream.end(code, message);
    } finally {
      this.#unanswered = 0;
      this.#changed();
    }
  }
}
