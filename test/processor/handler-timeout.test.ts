import { describe, expect, test } from "vitest";
import { handlerTimeout } from "../../src/processor/handler-timeout.ts";
import { declareEnvoy } from "../../src/protocol/envoy-declaration.ts";

function limit(timeoutMs: number, messageTimeoutMs: number, maxMessageTimeoutMs: number) {
  return handlerTimeout(timeoutMs, declareEnvoy({ messageTimeoutMs, maxMessageTimeoutMs }));
}

describe("handlerTimeout", () => {
  test("handlerTimeout gives the requested time if Envoy waits so long by itself", () => {
    expect(limit(150, 200, 0)).toEqual({ timeoutMs: 150, extension: undefined });
    expect(limit(150, 200, 1000)).toEqual({ timeoutMs: 150, extension: undefined });
    expect(limit(199, 200, 0)).toEqual({ timeoutMs: 199, extension: undefined });
  });

  test("handlerTimeout leaves a margin if Envoy's own time would be over first", () => {
    expect(limit(200, 200, 0)).toEqual({ timeoutMs: 150, extension: undefined });
    expect(limit(200, 200, 1000)).toEqual({ timeoutMs: 200, extension: { afterMs: 150, grantMs: 100 } });
  });

  test("handlerTimeout cuts to what Envoy waits, less a margin, if Envoy grants no more", () => {
    expect(limit(1000, 200, 0)).toEqual({ timeoutMs: 150, extension: undefined });
    expect(limit(1000, 200, 200)).toEqual({ timeoutMs: 150, extension: undefined });
    expect(limit(1000, 40, 0)).toEqual({ timeoutMs: 30, extension: undefined });
    expect(limit(1000, 1, 0)).toEqual({ timeoutMs: 1, extension: undefined });
  });

  test("handlerTimeout requests more time early enough if Envoy grants it", () => {
    expect(limit(1000, 200, 5000)).toEqual({ timeoutMs: 1000, extension: { afterMs: 150, grantMs: 900 } });
  });

  test("handlerTimeout cuts to what Envoy grants at most", () => {
    expect(limit(1000, 200, 400)).toEqual({ timeoutMs: 400, extension: { afterMs: 150, grantMs: 300 } });
  });

  test.each([1, 2, 50, 199, 200, 1000, 60_000])(
    "handlerTimeout ends before Envoy's own time, and requests no more than allowed, if Envoy waits %d ms",
    (messageTimeoutMs) => {
      for (const maxMessageTimeoutMs of [0, 1, 100, 250, 1000, 100_000]) {
        for (const wantedMs of [1, 150, 201, 999, 1001, 70_000, 200_000]) {
          const { timeoutMs, extension } = limit(wantedMs, messageTimeoutMs, maxMessageTimeoutMs);
          expect(timeoutMs).toBeLessThanOrEqual(wantedMs);
          const envoyMs = extension === undefined ? messageTimeoutMs : extension.afterMs + extension.grantMs;
          expect(timeoutMs).toBeLessThanOrEqual(envoyMs);
          if (extension === undefined) continue;
          expect(extension.afterMs).toBeLessThan(messageTimeoutMs + 1);
          expect(extension.grantMs).toBeGreaterThanOrEqual(1);
          expect(extension.grantMs).toBeLessThanOrEqual(maxMessageTimeoutMs);
        }
      }
    },
  );
});
