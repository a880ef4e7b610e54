import { formatListenAddress, type ListenAddress, parseListenAddress } from "./listen-address.ts";

/** The options that name an address. */
export type ListenOption = keyof typeof FLAGS;

const FLAGS = { listen: "--listen", statusListen: "--status-listen", adminListen: "--admin-listen" } as const;

/** A listener that cannot be had. `message` is one line that names the option, the address and what to do. */
export class ListenError extends Error {
  /** The option whose address it is. */
  readonly option: ListenOption;
  /** True where the address itself is wrong, false where the machine refuses it. */
  readonly malformed: boolean;

  constructor(option: ListenOption, problem: string, malformed: boolean) {
    super(`${FLAGS[option]}: ${problem}`);
    this.name = "ListenError";
    this.option = option;
    this.malformed = malformed;
  }
}

/**
 * Reads the address of an option.
 *
 * @throws {ListenError} Where it is malformed.
 */
export function listenAddressOf(option: ListenOption, text: string): ListenAddress {
  const parsed = parseListenAddress(text);
  if (typeof parsed === "string") throw new ListenError(option, parsed, true);
  return parsed;
}

/** What it means that an address could not be listened on. */
export function listenFailure(option: ListenOption, wanted: ListenAddress, cause: unknown): ListenError {
  return new ListenError(option, explain(formatListenAddress(wanted), cause as NodeJS.ErrnoException), false);
}

function explain(where: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === "EADDRINUSE") return `${where} is in use by another process; stop that or name another address`;
  if (code === "EACCES") {
    const wayOut = where.startsWith("unix:") ? "a path in a folder that it may write to" : "a port above 1023";
    return `${where} may not be used by this user; name ${wayOut}`;
  }
  const isStrange = code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN";
  if (isStrange) return `${where} is no address of this machine`;
  return `${where} cannot be listened on: ${message}`;
}
