import type { ServingState } from "../../services/serving-state.ts";
import type { ProcessorSetup } from "../../session/setup.ts";
import { type Endpoint, type Page, pagesEndpoint } from "../endpoints/endpoint.ts";
import { PartNotLoaded } from "../log/lazy-part.ts";
import type { Metrics } from "./metrics.ts";

/**
 * The pages of the status listener: `/healthz` (the process works), `/readyz` (200 if it accepts transactions, 503 if
 * not) and `/metrics`. They have no data of transactions, because kubelet and Prometheus must be able to reach them
 * without authentication.
 */
export function statusPages(serving: ServingState, setup: Pick<ProcessorSetup, "unready">, metrics: Metrics): Endpoint {
  return pagesEndpoint(({ method, path, connection }) => {
    if (method !== "GET" && method !== "HEAD")
      return { status: 405, text: "Use GET.\n", headers: { allow: "GET, HEAD" } };
    switch (path) {
      case "/healthz":
        return { status: 200, text: "ok\n" };
      case "/readyz":
        return readyPage(serving, setup);
      case "/metrics":
        return metricsPage(metrics, connection);
      default:
        return { status: 404, text: "Not found. The pages are /healthz, /readyz and /metrics.\n" };
    }
  });
}

function readyPage({ serving, ended }: ServingState, { unready }: Pick<ProcessorSetup, "unready">): Page {
  if (serving) return { status: 200, text: "ready\n" };
  return { status: 503, text: ended || unready === undefined ? "draining\n" : `not ready: ${unready.message}\n` };
}

async function metricsPage(metrics: Metrics, connection: object): Promise<Page> {
  try {
    const text = await metrics.scrape(connection);
    return text === undefined
      ? TOO_MANY_SCRAPES
      : { status: 200, text, headers: { "content-type": metrics.contentType } };
  } catch (cause) {
    // The error can name a file of this machine, so its message is not sent.
    return cause instanceof PartNotLoaded
      ? { status: 503, text: `${cause.message}; the log says why\n` }
      : { status: 500, text: "the metrics could not be read\n" };
  }
}

const TOO_MANY_SCRAPES: Page = {
  status: 503,
  text: "Too many requests are waiting for the metrics.\n",
  headers: { "retry-after": "1" },
};
