import { isIPv6 } from "node:net";
import { dirname } from "node:path";
import type { Problem } from "../../text/problem.ts";

/** The address of a listener. */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string | undefined; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "off" };

const FORMS = 'write ":9002", "127.0.0.1:9002", "[::1]:9002", "unix:/run/ext-proc.sock" or "off"';

/**
 * The size of `sockaddr_un.sun_path` without its end mark. Node silently truncates a longer path, and listens at
 * another one.
 */
const MAX_SOCKET_PATH_BYTES = process.platform === "linux" ? 107 : 103;

/** The length of the temporary name of a socket in its folder, in bytes. */
export const PRIVATE_NAME_BYTES = 9;

/**
 * Parses an address: `:PORT` (every interface), `HOST:PORT`, `[IPv6]:PORT`, `unix:PATH`, `off`. Port 0 means any free
 * port.
 */
export function parseListenAddress(text: string): ListenAddress | Problem {
  if (text === "off") return { kind: "off" };
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (path === "" || path.includes("\0")) return refused(text, "has no path");
    const bytes = Buffer.byteLength(path);
    if (bytes > MAX_SOCKET_PATH_BYTES)
      return refused(
        text,
        `has a path of ${bytes} bytes; the path of a socket can have at most ${MAX_SOCKET_PATH_BYTES} bytes`,
      );
    const folderBytes = Buffer.byteLength(dirname(path));
    const mostFolderBytes = MAX_SOCKET_PATH_BYTES - 1 - PRIVATE_NAME_BYTES;
    return folderBytes > mostFolderBytes
      ? refused(
          text,
          `has a folder with a path of ${folderBytes} bytes; the folder of a socket can have at most ${mostFolderBytes} bytes`,
        )
      : { kind: "unix", path };
  }
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:[\]/\s]*)):(?<digits>\d{1,5})$/.exec(text);
  const { v6, name, digits } = match?.groups ?? {};
  const port = Number(digits);
  if (!match || port > 65_535 || (v6 !== undefined && !isIPv6(v6))) return refused(text, "is not an address");
  return { kind: "tcp", host: v6 || name || undefined, port };
}

function refused(text: string, why: string): Problem {
  return { problem: `${JSON.stringify(text)} ${why}; ${FORMS}` };
}

/** Writes an address in the form that {@link parseListenAddress} parses. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === "off") return "off";
  if (address.kind === "unix") return `unix:${address.path}`;
  const { host = "", port } = address;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** True if only processes of the same machine can connect. */
export function isLoopback(address: ListenAddress): boolean {
  if (address.kind !== "tcp") return true;
  const { host = "" } = address;
  return host.toLowerCase() === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}
