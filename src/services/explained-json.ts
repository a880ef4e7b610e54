import { Code } from "@connectrpc/connect";
import { jsonProblem } from "../debug/json-problem.ts";
import { joinBytes } from "../protocol/join-bytes.ts";
import { bodyOf, type ConnectAnswer, type ConnectHandler, type ConnectRequest } from "./connect-handler.ts";
import { MAX_DEBUG_BYTES } from "./debug-service.ts";
import { readUpTo } from "./read-body.ts";
import { refusal } from "./refusal.ts";

/** Calls a unary handler; JSON that is no message of its method is answered with the path to the fault, which Connect would not name. */
export async function explained(handler: ConnectHandler, request: ConnectRequest): Promise<ConnectAnswer> {
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
  return await handler({ ...request, body: bodyOf(...chunks) });
}

function textProblem(handler: ConnectHandler, chunks: readonly Uint8Array[]): string | undefined {
  const text = new TextDecoder().decode(joinBytes(chunks));
  if (text.trim() === "") return "the body is empty; {} asks with every default";
  try {
    return jsonProblem(handler.method.input, JSON.parse(text));
  } catch (error) {
    return `the body is no JSON: ${error instanceof Error ? error.message.replace(/\s+/g, " ") : ""}`;
  }
}

function isStream(body: ConnectRequest["body"]): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}
