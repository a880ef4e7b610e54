import { Code, type ConnectRouter } from "@connectrpc/connect";
import { jsonProblem } from "../debug/json-problem.ts";
import { joinBytes } from "../protocol/join-bytes.ts";
import { MAX_DEBUG_BYTES } from "./debug-service.ts";
import { readUpTo } from "./read-body.ts";
import { refusal } from "./refusal.ts";

type Handler = ConnectRouter["handlers"][number];
type Request = Parameters<Handler>[0];

/** Calls a unary handler; JSON that is no message of its method is answered with the path to the fault, which Connect would not name. */
export async function explained(handler: Handler, request: Request): Promise<Awaited<ReturnType<Handler>>> {
  const isJson = /^application\/json\s*(?:;|$)/i.test(request.header.get("content-type") ?? "");
  if (!isJson || request.method !== "POST" || request.header.has("content-encoding") || !isStream(request.body)) {
    return await handler(request);
  }
  const chunks = await readUpTo(request.body, MAX_DEBUG_BYTES);
  if (chunks === undefined) {
    return refusal(request, Code.ResourceExhausted, `the request is larger than ${MAX_DEBUG_BYTES} bytes`);
  }
  const problem = textProblem(handler, chunks);
  if (problem !== undefined) return refusal(request, Code.InvalidArgument, problem);
  return await handler({ ...request, body: each(chunks) });
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

async function* each(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

function isStream(body: Request["body"]): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}
