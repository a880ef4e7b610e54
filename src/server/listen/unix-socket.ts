import { randomBytes } from "node:crypto";
import { linkSync, lstatSync, renameSync, unlinkSync } from "node:fs";
import { access, chmod, link, lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { isMainThread } from "node:worker_threads";
import { PRIVATE_NAME_BYTES } from "./listen-address.ts";

/**
 * Owner and group can connect, others cannot, whatever the umask is. Envoy may run as another user of the same group.
 */
const SOCKET_MODE = 0o660;
/** Most attempts to take a path that other servers take or leave at the same time. */
const MAX_ATTEMPTS = 20;

/** The socket file of a listener of this process. */
export interface SocketFile {
  /** Removes the file, unless another server has replaced it. Must be called before the listener closes. */
  remove(): void;
}

/**
 * Listens on a socket file. The socket is bound under a private name with its final mode, and then gets its path in one
 * step. That step fails if there is a file already, so only one of several servers that start at the same time gets the
 * path. A socket of a killed server is removed.
 *
 * @param bind Binds the listener. It must create the file before it returns.
 * @throws An error with code `EADDRINUSE` if another process listens there, and an error with the reason if the path
 *   cannot be used.
 */
export async function listenOnSocketFile(path: string, bind: (path: string) => Promise<void>): Promise<SocketFile> {
  await access(dirname(path)).catch(() => {
    throw new Error("its folder does not exist");
  });
  // This check comes before the bind, so that an ordinary failure leaves no file.
  await removeStaleSocket(path);
  const privatePath = privateNameBeside(path);
  await bindWithMode(privatePath, bind);
  try {
    await takePath(privatePath, path);
  } finally {
    await unlink(privatePath).catch(() => undefined);
  }
  const own = await lstat(path, { bigint: true });
  return { remove: () => removeIfSame(path, own) };
}

/** A private name in the same folder. It is short, because the path of a socket can have few bytes. */
function privateNameBeside(path: string): string {
  return join(dirname(path), `.${randomBytes((PRIVATE_NAME_BYTES - 1) / 2).toString("hex")}`);
}

/** Identifies a file. */
interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
}

function isSame(one: FileIdentity, other: FileIdentity): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}

function removeIfSame(path: string, own: FileIdentity): void {
  try {
    if (isSame(lstatSync(path, { bigint: true }), own)) unlinkSync(path);
  } catch {
    // The file or its folder no longer exists.
  }
}

/** Binds a socket with its final mode, so that no other user can connect before a chmod. */
async function bindWithMode(path: string, bind: (path: string) => Promise<void>): Promise<void> {
  // Only the main thread can change the umask. In a worker thread, only the chmod sets the mode.
  const before = isMainThread ? process.umask(0o777 & ~SOCKET_MODE) : undefined;
  let bound: Promise<void>;
  try {
    bound = bind(path);
  } finally {
    if (before !== undefined) process.umask(before);
  }
  await bound;
  await chmod(path, SOCKET_MODE);
}

/** Gives a bound socket its path. It uses a link and not a rename, because a link fails if there is a file. */
async function takePath(privatePath: string, path: string): Promise<void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    try {
      await link(privatePath, path);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    await removeStaleSocket(path);
  }
  throw inUse();
}

/**
 * Removes a socket file on which no process listens.
 *
 * @throws If a process listens on it, if it is not a socket, or if this user is not allowed to remove it.
 */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path, { bigint: true }).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error("the path exists and is not a socket");
  const answer = await probe(path);
  if (answer === "gone") return;
  if (answer === "listening") throw inUse();
  if (answer === "denied") {
    throw new Error(`there is a socket of user ${found.uid} to which this user cannot connect; remove it as that user`);
  }
  removeStale(path, found);
}

/**
 * Removes a file if it is still the file that was checked. The file gets a private name first: if another server has
 * replaced it meanwhile, that server's socket gets its path back. All steps are in one turn, so little time passes
 * between them.
 */
function removeStale(path: string, found: FileIdentity & { readonly uid: bigint }): void {
  const aside = privateNameBeside(path);
  try {
    if (!isSame(lstatSync(path, { bigint: true }), found)) return;
    renameSync(path, aside);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return;
    throw new Error(
      `there is an unused socket of user ${found.uid}, and this user cannot remove it (${code}); remove it as that user`,
    );
  }
  if (!isSame(lstatSync(aside, { bigint: true }), found)) linkSync(aside, path);
  unlinkSync(aside);
}

function inUse(): Error {
  return Object.assign(new Error("another process listens there"), { code: "EADDRINUSE" });
}

/** Checks whether a process listens. Only a refused connection proves that none does; a full backlog does not. */
function probe(path: string): Promise<"listening" | "stale" | "denied" | "gone"> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve("listening");
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => {
      if (code === "ECONNREFUSED") resolve("stale");
      else if (code === "ENOENT") resolve("gone");
      else resolve(code === "EACCES" || code === "EPERM" ? "denied" : "listening");
    });
  });
}
