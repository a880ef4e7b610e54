/** A gRPC message on the wire: a flag, four bytes of length, the bytes. Written by hand, wrong messages included. */
export function grpcFrame(message: Uint8Array | string, { flag = 0, length = message.length } = {}): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, Buffer.from(message)]);
}

/** The messages of a body that is complete. */
export function grpcMessages(body: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    if (body[at] !== 0) throw new Error(`flag ${body[at]} at ${at}`);
    const end = at + 5 + body.readUInt32BE(at + 1);
    if (end > body.length) throw new Error("the body ends inside a message");
    messages.push(body.subarray(at + 5, end));
    at = end;
  }
  return messages;
}
