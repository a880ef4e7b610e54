import { Code } from "@connectrpc/connect";
import { refuseJson } from "../../debug/json-problem.ts";
import type { ArrivedCall } from "../connect/bounded-call.ts";
import type { ConnectAnswer, ConnectHandler } from "../connect/connect-handler.ts";
import { refusal } from "../connect/refusal.ts";

/**
 * Calls a handler. If JSON is not a message of its method, the answer has the path to the error, which Connect would
 * not name.
 */
export async function explained(handler: ConnectHandler, { request, bytes }: ArrivedCall): Promise<ConnectAnswer> {
  const isJson = /^application\/json\s*(?:;|$)/i.test(request.header.get("content-type") ?? "");
  const problem = isJson && bytes !== undefined ? textProblem(handler, bytes) : undefined;
  return problem === undefined ? await handler(request) : refusal(request, Code.InvalidArgument, problem);
}

function textProblem(handler: ConnectHandler, bytes: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(bytes);
  if (text.trim() === "") return "the body is empty; use {} for all defaults";
  try {
    return refuseJson(handler.method.input, JSON.parse(text));
  } catch (error) {
    return `the body is not JSON: ${error instanceof Error ? error.message.replace(/\s+/g, " ") : ""}`;
  }
}
