import { formatListenAddress, type ListenAddress, parseListenAddress } from "./listen-address.ts";

/** The options that name an address. */
export type ListenOption = keyof typeof FLAGS;

const FLAGS = { listen: "--listen", statusListen: "--status-listen", adminListen: "--admin-listen" } as const;

/** Thrown if a listener cannot be opened. `message` is one line that names the option, the address and what to do. */
export class ListenError extends Error {
  /** The option with the address. */
  readonly option: ListenOption;
  /** True if the address itself is wrong, false if the machine rejects it. */
  readonly malformed: boolean;

  constructor(option: ListenOption, problem: string, malformed: boolean) {
    super(`${FLAGS[option]}: ${problem}`);
    this.name = "ListenError";
    this.option = option;
    this.malformed = malformed;
  }
}

/**
 * Parses the address of an option.
 *
 * @throws {ListenError} If it is malformed.
 */
export function listenAddressOf(option: ListenOption, text: string): ListenAddress {
  const parsed = parseListenAddress(text);
  if ("problem" in parsed) throw new ListenError(option, parsed.problem, true);
  return parsed;
}

/** Explains why a listener could not be opened. */
export function listenFailure(option: ListenOption, wanted: ListenAddress, cause: unknown): ListenError {
  return new ListenError(option, explain(formatListenAddress(wanted), cause as NodeJS.ErrnoException), false);
}

function explain(where: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === "EADDRINUSE") return `${where} is in use by another process; stop that process, or set another address`;
  if (code === "EACCES") {
    const wayOut = where.startsWith("unix:") ? "a path in a folder that the user can write to" : "a port above 1023";
    return `${where} is not allowed for this user; set ${wayOut}`;
  }
  const isStrange = code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN";
  if (isStrange) return `${where} is not an address of this machine`;
  return `cannot listen on ${where}: ${message}`;
}
