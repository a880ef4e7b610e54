import type { HeaderChange } from "../../protocol/headers/header-mutation.ts";

/** A change that was found good, and the texts of the effect that it came from. */
interface KnownChange {
  readonly name: string;
  readonly value: string;
  readonly change: HeaderChange;
}

const SLOTS = 64;
/** Longer values are seldom the same twice. */
const MAX_UNITS = 128;

const known: (KnownChange | undefined)[] = new Array(SLOTS).fill(undefined);

/**
 * The change that sets or appends the same value as one before: most processors set constants, which need not be read,
 * checked and encoded for each transaction. Undefined where it was not seen lately.
 */
export function knownChange(op: "set" | "append", name: string, value: string): HeaderChange | undefined {
  const found = known[slotOf(name, value)];
  if (found === undefined || found.value !== value || found.name !== name || found.change.op !== op) return undefined;
  return found.change;
}

/** Remembers a change that breaks no rule, whatever the transaction. */
export function rememberChange(name: string, value: string, change: HeaderChange): void {
  if (value.length <= MAX_UNITS && name.length <= MAX_UNITS) known[slotOf(name, value)] = { name, value, change };
}

function slotOf(name: string, value: string): number {
  const sum =
    name.length * 5 + value.length * 3 + name.charCodeAt(name.length - 1) + value.charCodeAt(value.length - 1);
  return sum & (SLOTS - 1);
}
