import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import type { EnvoyProcess } from "../../src/cli/demo/envoy-process.ts";

const NAME = "second";

/** A bootstrap with the listener of another one in addition to its own, in front of the same clusters. */
export function withSecondListener(bootstrap: JsonObject, other: JsonObject): JsonObject {
  const { listeners, ...resources } = resourcesOf(bootstrap);
  const [second] = resourcesOf(other).listeners;
  return { ...bootstrap, static_resources: { ...resources, listeners: [...listeners, { ...second, name: NAME }] } };
}

/** The port it really has. */
export async function secondListenerPort({ adminPort }: EnvoyProcess): Promise<number> {
  type Status = { name: string; local_address: { socket_address: { port_value: number } } };
  const answer = await fetch(`http://127.0.0.1:${adminPort}/listeners?format=json`);
  const { listener_statuses: statuses } = (await answer.json()) as { listener_statuses: Status[] };
  return statuses.find(({ name }) => name === NAME)?.local_address.socket_address.port_value ?? 0;
}

function resourcesOf(bootstrap: JsonObject): { readonly listeners: readonly JsonObject[] } & JsonObject {
  const { static_resources: resources } = bootstrap;
  return resources as never;
}
