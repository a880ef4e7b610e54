import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** A bare connection that is destroyed when the test is over. */
export async function tcp(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => {
    socket.destroy();
  });
  await once(socket, "connect");
  socket.on("error", () => undefined);
  return socket;
}

/** Writes bytes on a new connection, and returns everything until the server closes it. */
export async function sayAndListen(port: number, bytes: string | Uint8Array): Promise<string> {
  const socket = await tcp(port);
  socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  return untilClosed(socket);
}

/** Everything that comes until the connection is closed, as latin1. */
export async function untilClosed(socket: Socket): Promise<string> {
  let said = "";
  socket.on("data", (chunk: Buffer) => {
    said += chunk.toString("latin1");
  });
  await once(socket, "close");
  return said;
}
