import type { Processor } from "../../../src/processor/definition.ts";
import type { ServeOptions } from "../../../src/server/serve.ts";
import { type StartedServer, startServer } from "../../server/start-server.ts";
import type { SceneServer } from "./scene.ts";
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
