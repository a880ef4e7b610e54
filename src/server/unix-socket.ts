import { access, chmod, lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";

/** Owner and group may connect; others may not, whatever the umask says. */
const SOCKET_MODE = 0o660;

/** Lets Envoy reach the socket when it runs as another user of the same group, and nobody beyond. */
export async function restrictSocket(path: string): Promise<void> {
  await chmod(path, SOCKET_MODE);
}

/**
 * Removes the socket file that a server left behind when it was killed, so that its successor can start. A socket
 * that somebody listens on stays: listening then fails with `EADDRINUSE`.
 *
 * @throws Where there is a file of another kind, or no folder: what the system says of these misleads.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const file = await lstat(path).catch(() => undefined);
  if (file === undefined) {
    await access(dirname(path)).catch(({ code }: NodeJS.ErrnoException) => {
      throw new Error(code === "ENOENT" ? "its folder does not exist" : `its folder cannot be used (${code})`);
    });
  } else if (!file.isSocket()) {
    throw new Error("there is a file that is no socket");
  } else if (!(await accepts(path))) {
    await unlink(path);
  }
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    // Only a refusal proves that nobody is there; a full backlog does not.
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  });
}
