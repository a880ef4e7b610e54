import type { HeaderMap } from "./header-map.ts";
import type { VirtualRoute } from "./http-exchange.ts";

const DEFAULT_ROUTES: readonly VirtualRoute[] = [{ name: "default" }];

/** Returns the first route that fits the headers; undefined if none fits. */
export function chooseRoute(
  routes: readonly VirtualRoute[] = DEFAULT_ROUTES,
  headers: HeaderMap,
): VirtualRoute | undefined {
  return routes.find((route) => matches(route, headers));
}

function matches({ pathPrefix, authority, headers: wanted = {} }: VirtualRoute, headers: HeaderMap): boolean {
  // CONNECT has no path: a `connect_matcher` finds it.
  const prefix = pathPrefix ?? (headers.get(":method") === "CONNECT" ? "" : "/");
  if (!(headers.get(":path") ?? "").startsWith(prefix)) return false;
  if (authority !== undefined && headers.get(":authority")?.toLowerCase() !== authority.toLowerCase()) return false;
  return Object.entries(wanted).every(([name, value]) => headers.get(name) === value);
}
