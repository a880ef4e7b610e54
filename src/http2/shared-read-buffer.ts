import { Socket } from "node:net";

/**
 * The most bytes that one read of a socket returns: the messages of one turn of a busy connection, or two chunks of a
 * body.
 */
const READ_BYTES = 128 * 1024;

/** A socket's own fields for {@link https://nodejs.org/api/net.html `onread`}. */
interface ReadFields {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly generator: symbol;
}

const shared = Buffer.allocUnsafeSlow(READ_BYTES);
const fields = findFields();

/**
 * Makes a socket read into a buffer that all connections share. The bytes that `read` gets are valid until it returns.
 * Pausing, the end and errors work as before. Returns false if this socket does not support it: then its data come as
 * events.
 *
 * Without the shared buffer Node allocates 64 KiB for each read, which behind Envoy returns one or two messages. That
 * is a sixth of what a request costs. Node has `onread` for this, but only for sockets that a program opens itself.
 * Sockets that a server accepts have the same fields, and Node does not set them.
 */
export function readThroughSharedBuffer(socket: Socket, read: (bytes: Buffer) => void): boolean {
  const target = socket as unknown as Record<symbol, unknown> & { readonly _handle?: unknown };
  const { _handle: handle } = target;
  // TLS passes on what it has decrypted even while the socket is paused. Events wait.
  if (fields === undefined || "encrypted" in socket || !takesBuffer(handle)) return false;
  target[fields.buffer] = shared;
  target[fields.generator] = null;
  target[fields.callback] = (length: number) => {
    read(length === READ_BYTES ? shared : shared.subarray(0, length));
    return true;
  };
  handle.useUserBuffer(shared);
  return true;
}

/** The fields in which Node keeps the value of `onread`; undefined if this Node keeps it in another way. */
function findFields(): ReadFields | undefined {
  const onread = { buffer: shared, callback: () => true };
  const options: ConstructorParameters<typeof Socket>[0] & { readonly onread: object } = { onread };
  const probe = new Socket(options) as unknown as Record<symbol, unknown>;
  const named = (name: string, value: unknown) =>
    Object.getOwnPropertySymbols(probe).find((key) => key.description === name && probe[key] === value);
  const buffer = named("kBuffer", shared);
  const callback = named("kBufferCb", onread.callback);
  const generator = named("kBufferGen", null);
  return buffer && callback && generator && { buffer, callback, generator };
}

function takesBuffer(handle: unknown): handle is { useUserBuffer(buffer: Buffer): void } {
  return typeof handle === "object" && handle !== null && "useUserBuffer" in handle;
}
