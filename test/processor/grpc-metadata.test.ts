import { describe, expect, test } from "vitest";
import { NO_CALL_HEADERS, readGrpcMetadata } from "../../src/processor/grpc-metadata.ts";

const VALUES: Readonly<Record<string, readonly string[]>> = {
  "x-route": ["blue", "green"],
  "x-key-bin": ["3q2+7w==", "AA=="],
  "x-bare-bin": ["3q2+7w"],
  "x-joined-bin": ["3q2+7w,AA"],
  "x-bad-bin": ["&"],
  ":path": ["/secret"],
};
const metadata = readGrpcMetadata({ all: (name) => VALUES[name] ?? [] });

describe("gRPC metadata", () => {
  test("gRPC metadata is read by name, whatever its case", () => {
    expect(metadata.get("X-Route")).toBe("blue");
    expect(metadata.all("x-route")).toEqual(["blue", "green"]);
    expect([metadata.get("x-none"), metadata.all("x-none")]).toEqual([undefined, []]);
  });

  test("gRPC metadata decodes binary values, with and without padding, and one of several", () => {
    const bytes = Uint8Array.of(0xde, 0xad, 0xbe, 0xef);
    for (const name of ["x-key-bin", "X-Bare-Bin", "x-joined-bin"]) expect(metadata.bytes(name)).toEqual(bytes);
  });

  test("gRPC metadata has no bytes for a value that is not base64, or a name that is not binary", () => {
    for (const name of ["x-bad-bin", "x-route", "x-none-bin"]) expect(metadata.bytes(name)).toBeUndefined();
  });

  test("gRPC metadata leaves out the pseudo-headers of the call", () => {
    expect(metadata.get(":path")).toBeUndefined();
  });

  test("gRPC metadata is empty if a call has none", () => {
    expect(readGrpcMetadata(NO_CALL_HEADERS).get("x-route")).toBeUndefined();
  });
});
