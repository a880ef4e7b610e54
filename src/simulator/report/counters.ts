/** Every counter of the filter, by the names of Envoy's statistics, without their prefix. */
export const COUNTER_NAMES = [
  "streams_started",
  "stream_msgs_sent",
  "stream_msgs_received",
  "streams_closed",
  "streams_failed",
  "server_half_closed",
  "spurious_msgs_received",
  "message_timeouts",
  "failure_mode_allowed",
  "rejected_header_mutations",
  "override_message_timeout_received",
  "override_message_timeout_ignored",
  "clear_route_cache_ignored",
  "clear_route_cache_disabled",
  "clear_route_cache_upstream_ignored",
  "immediate_responses_sent",
  "http_not_ok_resp_received",
] as const;

/** The name of a counter. */
export type CounterName = (typeof COUNTER_NAMES)[number];

/** The counters after one transaction. Counters that a release of Envoy does not have stay at 0. */
export type Counters = Record<CounterName, number>;

/** Counters that are all 0. */
export function zeroCounters(): Counters {
  return Object.fromEntries(COUNTER_NAMES.map((name) => [name, 0])) as Counters;
}
