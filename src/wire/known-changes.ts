/** A header that is set or gets one more value. The name is lower-case; the value is exact bytes. */
export interface ValueChange {
  readonly op: "set" | "append";
  readonly name: string;
  readonly value: Uint8Array;
}

/** A change, and the texts that it was made of. */
interface KnownChange {
  readonly name: string;
  readonly value: string;
  readonly change: ValueChange;
}

const SLOTS = 64;
/** Longer values seldom repeat. */
const MAX_UNITS = 128;

/** Module state: most processors set constants, which need not be checked and encoded for each transaction. */
const known: (KnownChange | undefined)[] = new Array(SLOTS).fill(undefined);

/** Returns the change that was made of these texts before; undefined if it is not known. */
export function knownChange(op: ValueChange["op"], name: string, value: string): ValueChange | undefined {
  const found = known[slotOf(name, value)];
  if (found === undefined || found.value !== value || found.name !== name || found.change.op !== op) return undefined;
  return found.change;
}

/** Remembers a change that breaks no rule in any transaction. The change must not be altered from now on. */
export function rememberChange(name: string, value: string, change: ValueChange): void {
  if (value.length <= MAX_UNITS && name.length <= MAX_UNITS) known[slotOf(name, value)] = { name, value, change };
}

function slotOf(name: string, value: string): number {
  const sum =
    name.length * 5 + value.length * 3 + name.charCodeAt(name.length - 1) + value.charCodeAt(value.length - 1);
  return sum & (SLOTS - 1);
}
