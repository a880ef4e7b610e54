import { expect } from "vitest";
import { isSince } from "../rows/envoy-release.ts";
import { eventually } from "../rows/eventually.ts";
import type { BodyRig } from "./body-rig.ts";
import { type BodyCase, titleOf } from "./cases.ts";
import { type Received, sendCase } from "./client.ts";
import { expectationOf } from "./expectation.ts";
import { ended, inspected, READERS, type Reader } from "./readers.ts";
import type { UpstreamSaw } from "./upstream.ts";
import { arrivedOf } from "./wire.ts";

/** Sends a case and compares the result, byte by byte, with the expected one; rejects with its title in the message. */
export async function checkCase(rig: BodyRig, test: BodyCase): Promise<void> {
  const { port } = rig.scene(test.reader, test.setting);
  const received = await sendCase(port, test);
  const expectation = expectationOf(test, !isSince("1.40"));
  const seen = rig.upstream.saw.get(test.id) ?? [];
  const title = `${titleOf(test)} (case ${test.id}, status ${received.status})`;
  expect(seen.length, `${title}: requests at the upstream`).toBeLessThanOrEqual(1);
  if (expectation.kind !== "passes") {
    expect(passed(received, test), `${title}: is passed off as success`).toBe(false);
    if (expectation.kind === "fails") await expectFault(test.id, expectation.fault, title);
    return;
  }
  const arrived = test.direction === "request" ? seen[0] : received;
  expect({ status: received.status, complete: received.complete, arrived: arrived !== undefined }, title).toEqual({
    status: test.direction === "request" ? 204 : 200,
    complete: true,
    arrived: true,
  });
  expectBody(arrived as UpstreamSaw | Received, expectation.body, { test, title });
  const reader: Reader = READERS[test.reader];
  // An end that trailers hide is told of where something may have been left to say, and changes nothing.
  const isTold = !expectation.handled && ended.get(test.id)?.fault === "tail_undeliverable";
  if (!isTold || reader.tail === undefined) await expectFault(test.id, undefined, title);
  if (!reader.inspects || !expectation.handled) return;
  // An empty end may be told after the client has everything.
  await eventually(() => expect(inspected.get(test.id), title).toBe(arrivedOf(expectation.body).digest));
}

/**
 * What a client takes for a valid response; gRPC has its own rule. Node's HTTP/2 client cannot distinguish a reset with
 * NO_ERROR, as 1.36 sends it, from a normal end.
 */
function passed(
  { status, complete, headers, trailers }: Received,
  { direction, framing, protocol }: BodyCase,
): boolean {
  if (direction === "response" && protocol === "http2" && !isSince("1.38")) return false;
  const isCut = direction === "response" && framing.trailers && trailers["x-end"] === undefined;
  return (status === 200 || status === 204) && complete && !isCut && (headers["grpc-status"] ?? "0") === "0";
}

async function expectFault(id: string, fault: string | undefined, title: string): Promise<void> {
  // `done` is not called for a transaction in which no handler ran.
  await eventually(() => expect(ended.get(id)?.fault, `${title}: fault`).toBe(fault));
}

function expectBody(
  arrived: UpstreamSaw | Received,
  body: Buffer,
  { test, title }: { readonly test: BodyCase; readonly title: string },
): void {
  const { bytes, digest } = arrivedOf(body);
  expect({ bytes: arrived.bytes, digest: arrived.digest }, title).toEqual({ bytes, digest });
  const { "content-length": length } = arrived.headers;
  if (length !== undefined) expect(Number(length), `${title}: content-length`).toBe(bytes);
  const { "x-end": end } = arrived.trailers;
  // Behind a body with a length HTTP/1.1 has no trailers, and that is what the upstream speaks.
  const isCut = test.direction === "request" && length !== undefined;
  expect(end, `${title}: trailer`).toBe(test.framing.trailers && !isCut ? "kept" : undefined);
}
