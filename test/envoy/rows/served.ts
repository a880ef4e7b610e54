import type { Processor } from "../../../src/processor/definition.ts";
import type { ServeOptions } from "../../../src/server/serve.ts";
import { type StartedServer, startServer } from "../../server/start-server.ts";
import type { Scene, SceneServer } from "./scene.ts";
import { SCENE_MESSAGE_TIMEOUT_MS } from "./scene-bootstrap.ts";

/** Our own server as the ext_proc service of a scene. */
export interface ServedScene extends SceneServer, StartedServer {}

/** Serves a processor in a scene, with the scene's `message_timeout` declared. */
export function served(processor: Processor, options: ServeOptions = {}): () => Promise<ServedScene> {
  return async () => {
    const envoy = { messageTimeoutMs: SCENE_MESSAGE_TIMEOUT_MS, ...options.envoy };
    const started = await startServer(processor, { ...options, envoy });
    return { ...started, close: () => started.server.close() };
  };
}

/**
 * What a served scene counted, if it is not 0: faults by code, processor and outcome, reasons of what was not enforced,
 * and results of transactions, each as `labels: count`, sorted.
 */
export async function countedBy({ server }: Scene<ServedScene>): Promise<string[]> {
  const { port } = new URL(`http://${server.server.statusAddress}`);
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const wanted = /^ext_proc_(?:fault_outcomes|unenforced|streams)_total\{(.*)\} ([1-9]\d*)$/gm;
  return [...text.matchAll(wanted)]
    .map(([, labels = "", count = ""]) => {
      const label = (name: string) => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1];
      const parts = [label("code"), label("processor"), label("outcome"), label("reason"), label("result")];
      return `${parts.filter(Boolean).join(" ")}: ${count}`;
    })
    .sort();
}
