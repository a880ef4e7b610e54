import type { CommonResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { FilterDirection } from "../filter/direction-state.ts";
import type { FilterState } from "../filter/filter-state.ts";

/**
 * `clear_route_cache`: Envoy selects the route again when the request continues, by the headers at that time. It needs
 * a header mutation in the same answer, and works in the request direction only.
 */
export function clearRouteCache(filter: FilterState, state: FilterDirection, common: CommonResponse | undefined): void {
  const asked = common?.clearRouteCache ?? false;
  const phase = state.direction === "request" ? "requestHeaders" : "responseHeaders";
  if (state.direction === "response") {
    if (asked) filter.warn("clear_route_cache_ignored", phase);
    return;
  }
  if (!common?.headerMutation) {
    if (!asked) return;
    filter.counters.clear_route_cache_ignored++;
    filter.warn("clear_route_cache_ignored", phase);
    return;
  }
  const action = filter.config.routeCacheAction;
  if (action === "CLEAR" || (action === "DEFAULT" && asked)) filter.callbacks.clearRouteCache();
  else if (asked) {
    filter.counters.clear_route_cache_disabled++;
    filter.warn("clear_route_cache_disabled", phase);
  }
}
