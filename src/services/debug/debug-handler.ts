import { Code, cors } from "@connectrpc/connect";
import { arrival } from "../connect/bounded-call.ts";
import type { CallBounds } from "../connect/call-body.ts";
import type { ConnectAnswer, ConnectHandler, ConnectRequest } from "../connect/connect-handler.ts";
import { refusal } from "../connect/refusal.ts";
import type { DebugGate } from "./debug-gate.ts";
import { explained } from "./explained-json.ts";

/** Who may debug. */
export interface DebugAccess {
  readonly gate: DebugGate;
  /** Origins whose pages may call, such as `https://console.example`. */
  readonly allowOrigins: readonly string[];
  /** A page that the listener itself serves may call it. Only where its authority has been checked. */
  readonly trustOwnOrigin: boolean;
}

/**
 * A handler for debugging with everything in front of it: pages of other origins are refused, calls beyond the limits
 * too, and JSON that is not a message is answered with the path to the fault.
 */
export function debugHandler(handler: ConnectHandler, access: DebugAccess, bounds: CallBounds): ConnectHandler {
  const call = async (request: ConnectRequest): Promise<ConnectAnswer> => {
    const origin = request.header.get("origin");
    if (origin === null) return await bounded(handler, request, access.gate, bounds);
    const isOwn = access.trustOwnOrigin && origin === new URL(request.url).origin;
    if (!isOwn && !access.allowOrigins.includes(origin)) {
      return refusal(request, Code.PermissionDenied, `pages of ${origin} may not debug; see --debug-allow-origin`);
    }
    const answer =
      request.method === "OPTIONS" ? preflight(request) : await bounded(handler, request, access.gate, bounds);
    return { ...answer, header: withOrigin(answer.header, origin) };
  };
  return Object.assign(call, handler, { requestRoom: bounds.requestRoom });
}

/** The browser's question whether it may call. */
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
  // A place is taken once the body is there: one that never comes must not keep others out.
  const arrived = await arrival(handler, request, bounds);
  if ("status" in arrived) return arrived;
  const entered = gate.enter();
  if (typeof entered === "string") return await refuse(entered, request, gate);
  // A stream may stay open; what is asked on it is counted there.
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
