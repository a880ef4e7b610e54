import { type Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { ExternalProcessor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { DebugService } from "../../gen/extproc/debug/v1/debug_pb.js";
import type { ProcessingRequest, ProcessingResponse } from "../../src/index.ts";
import { FAULT_METADATA } from "../../src/protocol/fault.ts";
import { processAll } from "./grpc-js-client.ts";

/** What one transaction gave: its answers, and the status it ended with by gRPC's numbers. */
export interface Heard {
  readonly answers: readonly ProcessingResponse[];
  readonly code: number;
  /** The code of the fault that ended it, as its metadata names it. */
  readonly fault?: string | undefined;
}

/** A way into the server for a whole transaction: all messages, then a half-close. */
export interface WayIn {
  readonly name: string;
  readonly run: (port: number, messages: readonly ProcessingRequest[]) => Promise<Heard>;
}

/** The ways that carry an answer as soon as it is there. A fault comes behind the answers before it. */
export const STREAMING_WAYS: readonly WayIn[] = [
  { name: "gRPC by grpc-js", run: byGrpcJs },
  { name: "gRPC by connect-node", run: streaming((baseUrl) => createGrpcTransport({ baseUrl })) },
  { name: "gRPC-Web", run: streaming((baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })) },
  { name: "Connect", run: streaming((baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })) },
  {
    name: "Connect in JSON",
    run: streaming((baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false })),
  },
];

/** The ways that carry a transaction in one call. A fault is all that comes of it. */
export const UNARY_WAYS: readonly WayIn[] = [
  {
    name: "DebugService over HTTP/1.1",
    run: unary((baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false })),
  },
  {
    name: "DebugService over HTTP/2",
    run: unary((baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false })),
  },
  { name: "DebugService over gRPC", run: unary((baseUrl) => createGrpcTransport({ baseUrl })) },
];

async function byGrpcJs(port: number, messages: readonly ProcessingRequest[]): Promise<Heard> {
  const { answers, status } = await processAll(port, messages);
  return { answers, code: status.code, fault: status.metadata.get(FAULT_METADATA)[0]?.toString() };
}

function streaming(connect: (baseUrl: string) => Transport): WayIn["run"] {
  return async (port, messages) => {
    const client = createClient(ExternalProcessor, connect(`http://127.0.0.1:${port}`));
    const answers: ProcessingResponse[] = [];
    try {
      for await (const answer of client.process(each(messages))) answers.push(answer);
      return { answers, code: 0 };
    } catch (error) {
      return { answers, ...endOf(error) };
    }
  };
}

function unary(connect: (baseUrl: string) => Transport): WayIn["run"] {
  return async (port, messages) => {
    const client = createClient(DebugService, connect(`http://127.0.0.1:${port}`));
    try {
      const { responses } = await client.process({ requests: [...messages] });
      return { answers: responses, code: 0 };
    } catch (error) {
      return { answers: [], ...endOf(error) };
    }
  };
}

function endOf(error: unknown): { readonly code: Code; readonly fault: string | undefined } {
  const { code, metadata } = ConnectError.from(error);
  return { code, fault: metadata.get(FAULT_METADATA) ?? undefined };
}

async function* each(messages: readonly ProcessingRequest[]): AsyncGenerator<ProcessingRequest> {
  yield* messages;
}
