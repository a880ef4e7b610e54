import { Code, type ConnectRouter } from "@connectrpc/connect";
import { jsonProblem } from "../debug/json-problem.ts";
import { joinBytes } from "../protocol/join-bytes.ts";
import { MAX_DEBUG_BYTES } from "./debug-service.ts";
import { refusal } from "./refusal.ts";

type Handler = ConnectRouter["handlers"][number];
type Request = Parameters<Handler>[0];

/** Calls a unary handler; JSON that is no message of its method is answered with the path to the fault, which Connect would not name. */
export async function explained(handler: Handler, request: Request): Promise<Awaited<ReturnType<Handler>>> {
  const isJson = /^application\/json\s*(?:;|$)/i.test(request.header.get("content-type") ?? "");
  if (!isJson || request.method !== "POST" || request.header.has("content-encoding") || !isStream(request.body)) {
    return await handler(request);
  }
  const body = await readUpTo(request.body, MAX_DEBUG_BYTES);
  const problem = body.isWhole ? textProblem(handler, body.chunks) : undefined;
  if (problem !== undefined) return refusal(request, Code.InvalidArgument, problem);
  return await handler({ ...request, body: body.again() });
}

function textProblem(handler: Handler, chunks: readonly Uint8Array[]): string | undefined {
  const text = new TextDecoder().decode(joinBytes(chunks));
  if (text.trim() === "") return "the body is empty; {} asks with every default";
  try {
    return jsonProblem(handler.method.input, JSON.parse(text));
  } catch (error) {
    return `the body is no JSON: ${error instanceof Error ? error.message.replace(/\s+/g, " ") : ""}`;
  }
}

interface ReadBody {
  readonly chunks: readonly Uint8Array[];
  /** False where there is more than was to be read. */
  readonly isWhole: boolean;
  /** What was read, and what follows. */
  again(): AsyncIterable<Uint8Array>;
}

async function readUpTo(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<ReadBody> {
  const iterator = body[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  let length = 0;
  let isWhole = false;
  while (length <= maxBytes && !isWhole) {
    const next = await iterator.next();
    if (next.done) isWhole = true;
    else {
      chunks.push(next.value);
      length += next.value.length;
    }
  }
  return {
    chunks,
    isWhole,
    async *again() {
      try {
        yield* chunks;
        if (!isWhole) yield* { [Symbol.asyncIterator]: () => iterator };
      } finally {
        // Whoever takes over the rest of the request has to be the only one who reads.
        await iterator.return?.();
      }
    },
  };
}

function isStream(body: Request["body"]): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}
