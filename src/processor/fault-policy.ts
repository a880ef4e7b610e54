/**
 * What a fault does to its transaction.
 *
 * - `envoy`: the stream ends with a gRPC error, and `failure_mode_allow` of Envoy's filter decides.
 * - `open`: the message passes unchanged, and so does everything that follows.
 * - `closed`: the client gets an error, whatever Envoy's filter allows.
 */
export type FaultPolicy = "envoy" | "open" | "closed";

/** From the loosest to the strictest: `envoy` may let pass or not, the others leave no doubt. */
export const FAULT_POLICIES: readonly FaultPolicy[] = ["open", "envoy", "closed"];

/** The stricter of two policies; one that is undefined asks for nothing. */
export function stricterPolicy(policy: FaultPolicy, other: FaultPolicy | undefined): FaultPolicy {
  return other !== undefined && FAULT_POLICIES.indexOf(other) > FAULT_POLICIES.indexOf(policy) ? other : policy;
}
