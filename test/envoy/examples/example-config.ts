import { readFileSync } from "node:fs";
import { parse } from "yaml";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import type { VirtualRoute } from "../../../src/simulator/http/http-exchange.ts";
import type { SimulatedEnvoySettings } from "../../../src/simulator/settings/simulated-envoy-settings.ts";

/** A route, as far as examples have more than one. */
interface RouteConfig {
  readonly match: {
    readonly prefix: string;
    readonly headers?: readonly { readonly name: string; readonly string_match: { readonly exact: string } }[];
  };
  readonly route: { readonly cluster: string };
  readonly typed_per_filter_config?: Readonly<Record<string, PerRouteConfig>>;
}

interface PerRouteConfig {
  readonly overrides: { readonly grpc_initial_metadata: readonly { readonly key: string; readonly value: string }[] };
}

/** An example's `envoy.yaml`. */
export interface ExampleConfig {
  readonly filter: JsonObject;
  /** One that takes everything to the cluster `upstream` where the file has none. */
  readonly routes: readonly RouteConfig[];
}

const EVERYTHING: RouteConfig = { match: { prefix: "/" }, route: { cluster: "upstream" } };
const EXT_PROC = "envoy.filters.http.ext_proc";

/** Reads an example's part of Envoy's configuration. */
export function readExampleConfig(name: string): ExampleConfig {
  const text = readFileSync(new URL(`../../../examples/${name}/envoy.yaml`, import.meta.url), "utf8");
  const { http_filters, route_config } = parse(text);
  const [filter] = http_filters;
  return { filter: filter.typed_config, routes: route_config?.virtual_hosts[0].routes ?? [EVERYTHING] };
}

/** The same for the simulator: Envoy's names in camel case, without what leads to a server. */
export function filterSettings({ filter }: ExampleConfig): SimulatedEnvoySettings {
  const { "@type": _, grpc_service: __, ...settings } = filter;
  return camelCased(settings) as SimulatedEnvoySettings;
}

/** The routes for the simulator, by the names of their clusters. */
export function virtualRoutes({ routes }: ExampleConfig): VirtualRoute[] {
  return routes.map(({ match, route }) => ({
    name: route.cluster,
    pathPrefix: match.prefix,
    headers: Object.fromEntries((match.headers ?? []).map(({ name, string_match }) => [name, string_match.exact])),
  }));
}

/** What the route of a path says in `x-ext-proc-config`. */
export function routeConfigOf({ routes }: ExampleConfig, path: string): string | undefined {
  const route = routes.find(({ match }) => path.startsWith(match.prefix));
  const metadata = route?.typed_per_filter_config?.[EXT_PROC]?.overrides.grpc_initial_metadata ?? [];
  return metadata.find(({ key }) => key === "x-ext-proc-config")?.value;
}

function camelCased(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(
    entries.map(([name, field]) => [
      name.replaceAll(/_([a-z])/g, (_whole, letter: string) => letter.toUpperCase()),
      camelCased(field),
    ]),
  );
}
