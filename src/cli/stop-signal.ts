/** The signals that ask this process to stop. From this call on they no longer end it by themselves. */
export interface StopSignal {
  /** Resolves with the name of the first one. */
  readonly first: Promise<string>;
  /** Resolves with the name of the second: somebody is in a hurry. */
  readonly second: Promise<string>;
}

/** Listens for SIGTERM (Kubernetes, `docker stop`) and SIGINT (Ctrl-C). */
export function stopSignal(): StopSignal {
  const seen: ((name: string) => void)[] = [];
  const next = () => new Promise<string>((resolve) => seen.push(resolve));
  const stop = { first: next(), second: next() };
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => seen.shift()?.(name));
  return stop;
}
