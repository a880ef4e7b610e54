import { Code, cors } from "@connectrpc/connect";
import type { ConnectAnswer, ConnectHandler, ConnectRequest } from "./connect-handler.ts";
import type { DebugGate } from "./debug-gate.ts";
import { explained } from "./explained-json.ts";
import { pause } from "./pause.ts";
import { refusal } from "./refusal.ts";

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
 * too, before anything of them is read, and JSON that is no message is told with the path to the fault.
 */
export function debugHandler(handler: ConnectHandler, access: DebugAccess): ConnectHandler {
  const call = async (request: ConnectRequest): Promise<ConnectAnswer> => {
    const origin = request.header.get("origin");
    if (origin === null) return await bounded(handler, request, access.gate);
    const isOwn = access.trustOwnOrigin && origin === new URL(request.url).origin;
    if (!isOwn && !access.allowOrigins.includes(origin)) {
      return refusal(request, Code.PermissionDenied, `pages of ${origin} may not debug; see --debug-allow-origin`);
    }
    const answer = request.method === "OPTIONS" ? preflight(request) : await bounded(handler, request, access.gate);
    return { ...answer, header: withOrigin(answer.header, origin) };
  };
  return Object.assign(call, handler);
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

async function bounded(handler: ConnectHandler, request: ConnectRequest, gate: DebugGate): Promise<ConnectAnswer> {
  const entered = gate.enter();
  if (typeof entered === "string") {
    await pause(gate.refusalDelayMs, request.signal);
    return refusal(request, Code.ResourceExhausted, entered);
  }
  // A stream may stay open; what is asked on it is counted there.
  if (handler.method.methodKind !== "unary") entered();
  try {
    return await explained(handler, request);
  } finally {
    entered();
  }
}
