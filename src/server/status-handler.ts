import type { ServingState } from "../services/health-service.ts";
import { answerWhenRead } from "./connect-handler.ts";
import type { RequestHandler } from "./http-listener.ts";
import type { Metrics } from "./metrics.ts";

/**
 * The status listener's pages: `/healthz` (the process works), `/readyz` (it wants transactions: 200, else 503) and
 * `/metrics`. Nothing that asks or tells about traffic itself, since kubelet and Prometheus have to reach it.
 */
export function statusHandler(serving: ServingState, metrics: Metrics): RequestHandler {
  return (request, response) => {
    const path = request.url?.split("?", 1)[0];
    if (request.method !== "GET" && request.method !== "HEAD") {
      answerWhenRead(request, response, { status: 405, text: "Only GET.\n", headers: { allow: "GET, HEAD" } });
    } else if (path === "/healthz") {
      answerWhenRead(request, response, { status: 200, text: "ok\n" });
    } else if (path === "/readyz") {
      answerWhenRead(
        request,
        response,
        serving.serving ? { status: 200, text: "ready\n" } : { status: 503, text: "draining\n" },
      );
    } else if (path === "/metrics") {
      metrics.scrape().then(
        (text) =>
          answerWhenRead(request, response, { status: 200, text, headers: { "content-type": metrics.contentType } }),
        (cause: unknown) => answerWhenRead(request, response, { status: 500, text: `${String(cause)}\n` }),
      );
    } else {
      answerWhenRead(request, response, { status: 404, text: "There are /healthz, /readyz and /metrics.\n" });
    }
  };
}
