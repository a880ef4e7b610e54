import { Code, cors } from "@connectrpc/connect";
import { arrival } from "../connect/bounded-call.ts";
import type { CallBounds } from "../connect/call-body.ts";
import type { ConnectAnswer, ConnectHandler, ConnectRequest } from "../connect/connect-handler.ts";
import { refusal } from "../connect/refusal.ts";
import type { DebugGate } from "./debug-gate.ts";
import { explained } from "./explained-json.ts";

/** Which clients can debug, and how much. */
export interface DebugAccess {
  readonly gate: DebugGate;
  /** Web origins that can call, such as `https://console.example`. */
  readonly allowOrigins: readonly string[];
  /** True: pages of the listener's own origin can call. Only valid if the listener checks the authority of requests. */
  readonly trustOwnOrigin: boolean;
}

/**
 * A handler for debugging with all checks: it rejects pages of other origins and calls above the limits. For JSON that
 * is not a message, the answer has the path to the error.
 */
export function debugHandler(handler: ConnectHandler, access: DebugAccess, bounds: CallBounds): ConnectHandler {
  const call = async (request: ConnectRequest): Promise<ConnectAnswer> => {
    const origin = request.header.get("origin");
    if (origin === null) return await bounded(handler, request, access.gate, bounds);
    const isOwn = access.trustOwnOrigin && origin === new URL(request.url).origin;
    if (!isOwn && !access.allowOrigins.includes(origin)) {
      return refusal(
        request,
        Code.PermissionDenied,
        `pages of ${origin} are not allowed to debug; see --debug-allow-origin`,
      );
    }
    const answer =
      request.method === "OPTIONS" ? preflight(request) : await bounded(handler, request, access.gate, bounds);
    return { ...answer, header: withOrigin(answer.header, origin) };
  };
  return Object.assign(call, handler, { requestRoom: bounds.requestRoom });
}

/** The answer to the browser's preflight request. */
function preflight(request: ConnectRequest): ConnectAnswer {
  const header = new Headers({
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": [...cors.allowedHeaders, "Authorization"].join(", "),
    "access-control-max-age": "600",
  });
  if (request.header.get("access-control-request-private-network") === "true") {
    header.set("access-control-allow-private-network", "true");
  }
  return { status: 204, header };
}

function withOrigin(given: Headers | undefined, origin: string): Headers {
  const header = new Headers(given);
  header.set("access-control-allow-origin", origin);
  header.set("access-control-expose-headers", cors.exposedHeaders.join(", "));
  header.append("vary", "Origin");
  return header;
}

async function bounded(
  handler: ConnectHandler,
  request: ConnectRequest,
  gate: DebugGate,
  bounds: CallBounds,
): Promise<ConnectAnswer> {
  const early = gate.refusal;
  if (early !== undefined) return await refuse(early, request, gate);
  // The call counts only when its body is there, because a body that never comes must not block other calls.
  const arrived = await arrival(handler, request, bounds);
  if ("status" in arrived) return arrived;
  const entered = gate.enter();
  if ("problem" in entered) return await refuse(entered.problem, request, gate);
  // A stream can stay open; its requests are counted separately.
  if (handler.method.methodKind !== "unary") entered();
  try {
    return await explained(handler, arrived);
  } finally {
    entered();
  }
}

async function refuse(why: string, request: ConnectRequest, gate: DebugGate): Promise<ConnectAnswer> {
  await gate.holdBack(request.signal);
  return refusal(request, Code.ResourceExhausted, why);
}
