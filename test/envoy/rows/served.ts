import type { Processor } from "../../../src/processor/definition.ts";
import type { ServeOptions } from "../../../src/server/serve.ts";
import { type StartedServer, startServer } from "../../server/start-server.ts";
import type { SceneServer } from "./scene.ts";

/** Our own server as the ext_proc service of a scene. */
export interface ServedScene extends SceneServer, StartedServer {}

/** Serves a processor in a scene; nobody waits for the drain of a server that is closed. */
export function served(processor: Processor, options: ServeOptions = {}): () => Promise<ServedScene> {
  return async () => {
    const started = await startServer(processor, options);
    return { ...started, close: () => started.server.close() };
  };
}
