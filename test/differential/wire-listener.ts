import { type AddressInfo, createServer, type Socket } from "node:net";

/** Listens on 127.0.0.1, until it is closed together with its connections. */
export interface WireListener {
  readonly port: number;
  close(): void;
}

/** Listens on a free port. */
export async function listenForSockets(onSocket: (socket: Socket) => void): Promise<WireListener> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
