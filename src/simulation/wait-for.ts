// A test may put timers of its own in place of the global ones, which then would never go off.
const { setTimeout, clearTimeout } = globalThis;

/** Waits for a promise for so many milliseconds of real time. False where it takes longer. */
export async function waitFor(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  const inTime = await Promise.race([promise.then(() => true), tooLong]);
  clearTimeout(timer);
  return inTime;
}
