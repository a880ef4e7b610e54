import { type StartedServer, startServer } from "../../server/start-server.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "../rows/scene.ts";
import { type BodyCase, MIB } from "./cases.ts";
import { READERS, type ReaderName } from "./readers.ts";
import { declarationOf, filterOf, SETTINGS, type Setting, type SettingName } from "./settings.ts";
import { type BodyUpstream, startBodyUpstream } from "./upstream.ts";

/** Every reader in every setting, behind one Envoy. */
export interface BodyRig {
  readonly upstream: BodyUpstream;
  scene(reader: ReaderName, setting: SettingName): Scene;
  stop(): Promise<void>;
}

/** Starts what the cases need. Those that hang do so for `idleSeconds`. */
export async function startBodyRig(cases: readonly BodyCase[], idleSeconds = 4): Promise<BodyRig> {
  const byId = new Map(cases.map((each) => [each.id, each]));
  const upstream = await startBodyUpstream((id) => byId.get(id));
  const servers: StartedServer[] = [];
  const inits = new Map<string, SceneInit>();
  for (const { reader, setting } of cases) {
    const name = nameOf(reader, setting);
    if (inits.has(name)) continue;
    const { bufferLimitBytes }: Setting = SETTINGS[setting];
    const server = await startServer(READERS[reader].processor(), {
      envoy: declarationOf(SETTINGS[setting]),
      adminListen: "off",
      maxMessageBytes: 64 * MIB,
      maxHeldBodyBytesPerStream: 128 * MIB,
      maxHeldBodyBytes: 512 * MIB,
      maxHeldMessageBytes: 512 * MIB,
      maxHeldAnswerBytes: 512 * MIB,
    });
    servers.push(server);
    inits.set(name, {
      server: async () => ({ port: server.port, close: () => server.server.close() }),
      upstreamPort: upstream.port,
      filter: filterOf(SETTINGS[setting]),
      // A client that works out digests for a second is not a reason to cut it off.
      manager: { stream_idle_timeout: `${idleSeconds}s`, delayed_close_timeout: "60s" },
      bufferLimitBytes,
    });
  }
  const running: RunningScenes = await startScenes(inits);
  return {
    upstream,
    scene(reader, setting) {
      const scene = running.scenes.get(nameOf(reader, setting));
      if (scene === undefined) throw new Error(`${reader} in ${setting} has no scene`);
      return scene;
    },
    async stop() {
      await running.stop();
      await upstream.close();
    },
  };
}

/** Envoy takes names of clusters and statistics as they are; dots and blanks would be cumbersome. */
function nameOf(reader: ReaderName, setting: SettingName): string {
  return `${reader}_${setting}`.replaceAll(/[^a-zA-Z_]+/g, "-");
}
