import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";

/** An upstream on bare sockets. */
export interface BareUpstream {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Starts it.
 *
 * @param take Takes whole requests off what waits on a connection, a character a byte, and answers them; gives what is left.
 */
export async function startBareUpstream(take: (waiting: string, socket: Socket) => string): Promise<BareUpstream> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let waiting = "";
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.setEncoding("latin1").on("data", (text: string) => {
      waiting = take(waiting + text, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
