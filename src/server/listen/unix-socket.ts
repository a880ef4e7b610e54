import { randomBytes } from "node:crypto";
import { linkSync, lstatSync, renameSync, unlinkSync } from "node:fs";
import { access, chmod, link, lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { isMainThread } from "node:worker_threads";
import { PRIVATE_NAME_BYTES } from "./listen-address.ts";

/**
 * Owner and group may connect, others may not, whatever the umask says: Envoy may run as another user of the same group.
 */
const SOCKET_MODE = 0o660;
/** Attempts to take a path that others take or leave at the same time. */
const MAX_ATTEMPTS = 20;

/** A socket file that a listener of this process has at its path. */
export interface SocketFile {
  /** Removes the file, unless another server has put its own in its place. Must be called before the listener closes. */
  remove(): void;
}

/**
 * Listens on a socket file. The socket is bound under a private name with its final mode, and gets its path in one step, which
 * fails if there is a file already: of several servers that start at once, one gets the path. A socket that a killed server
 * left behind is removed.
 *
 * @param bind Binds the listener. It must create the file before it returns.
 * @throws An error with code `EADDRINUSE` if another process listens there, and an error that says why if the path cannot be
 *   had for another reason.
 */
export async function listenOnSocketFile(path: string, bind: (path: string) => Promise<void>): Promise<SocketFile> {
  await access(dirname(path)).catch(() => {
    throw new Error("its folder does not exist");
  });
  // Before anything is bound: an ordinary refusal should leave no trace.
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

/** As short as most names, since the path of a socket has few bytes. */
function privateNameBeside(path: string): string {
  return join(dirname(path), `.${randomBytes((PRIVATE_NAME_BYTES - 1) / 2).toString("hex")}`);
}

/** What tells one file from another. */
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
    // It is gone already, or its folder is.
  }
}

/** The mode is right from the bind on, so that no other user can connect before a chmod. */
async function bindWithMode(path: string, bind: (path: string) => Promise<void>): Promise<void> {
  // Only the main thread may change the umask. In a worker, the chmod alone has to do.
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

/** Gives a bound socket its path. A link, and not a rename: it fails where a file is. */
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
 * Removes a socket file that nothing listens on.
 *
 * @throws If something listens on it, if it is a file of another kind, or if this user may not remove it.
 */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path, { bigint: true }).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error("there is a file that is not a socket");
  const answer = await probe(path);
  if (answer === "gone") return;
  if (answer === "listening") throw inUse();
  if (answer === "denied") {
    throw new Error(
      `there is a socket of user ${found.uid}, which this user may not connect to; remove it as that user`,
    );
  }
  removeStale(path, found);
}

/**
 * Removes a file if it is still the one that was looked at. It gets a private name first: if another server has put its own
 * socket there meanwhile, that gets its path back. All in one turn, so that little time passes between the steps.
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
      `there is a socket of user ${found.uid} that nothing listens on, and this user may not remove it (${code}); remove it as that user`,
    );
  }
  if (!isSame(lstatSync(aside, { bigint: true }), found)) linkSync(aside, path);
  unlinkSync(aside);
}

function inUse(): Error {
  return Object.assign(new Error("another process listens there"), { code: "EADDRINUSE" });
}

/** Only a refusal proves that nothing listens; a full backlog does not. */
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
