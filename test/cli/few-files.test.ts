import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { processAll } from "../network/grpc-js-client.ts";
import { requestHeaders } from "../network/messages.ts";
import { http2Session, openRawCall } from "../network/raw-grpc.ts";
import { tcp, untilClosed } from "../network/tcp.ts";
import { spawnBinary } from "../server/spawn-binary.ts";

// Of util-linux.
const PRLIMIT = "prlimit";
const hasPrlimit = spawnSync(PRLIMIT, ["--version"]).status === 0;
const HOARDER = fileURLToPath(new URL("../fixtures/file-hoarder.js", import.meta.url));
const PORTS = ["--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

async function metrics(statusPort: number): Promise<string> {
  return (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
}

/** Does something again and again until the other thing has happened. */
async function pressedUntil(happened: Promise<unknown>, press: () => Promise<void>): Promise<void> {
  let hasHappened = false;
  happened.then(
    () => (hasHappened = true),
    () => undefined,
  );
  await expect
    .poll(
      async () => {
        await press();
        return hasHappened;
      },
      { timeout: 12_000, interval: 200 },
    )
    .toBe(true);
}

describe.skipIf(process.platform === "win32")("a server that may open few files", () => {
  test("a server that may open few files serves Envoy and its status port next to 200 silent connections to each port", async () => {
    const server = spawnBinary(["serve", ...PORTS], { openFiles: 128 });
    const [port, others] = [await server.port(), await server.otherPorts()];
    for (const each of [port, others.status, others.admin])
      await Promise.all(Array.from({ length: 200 }, () => tcp(each)));
    const { answers, status } = await processAll(port, [requestHeaders()]);
    expect([answers.length, status.code]).toEqual([1, 0]);
    const text = await metrics(others.status);
    expect(text).toMatch(/^ext_proc_connections_max\{listener="main"\} 46$/m);
    expect(text).toMatch(
      /^ext_proc_connection_failures_total\{listener="main",reason="closed_to_make_room"\} 15[45]$/m,
    );
    expect(text).toMatch(/^ext_proc_descriptor_shortages_total 0$/m);
    expect(await server.logged("--max-connections is 46")).toMatchObject({
      level: "warn",
      reason: "closed_to_make_room",
    });
  });

  test("a server that may open few files warns if --max-connections does not fit, and uses the largest number that fits", async () => {
    const server = spawnBinary(["serve", ...PORTS, "--max-connections", "1000"], { openFiles: 128 });
    expect(await server.logged("--max-connections 1000")).toMatchObject({
      level: "warn",
      maxConnections: 58,
      openFiles: 128,
      msg: expect.stringContaining("the process's limit of 128 open files"),
    });
  });

  test.skipIf(!hasPrlimit)(
    "a server closes silent connections if the limit of open files is lowered while it runs",
    // What the server loads at the same time takes and gives back descriptors too.
    { retry: 2 },
    async () => {
      const server = spawnBinary(["serve", ...PORTS]);
      const [port, others] = [await server.port(), await server.otherPorts()];
      await metrics(others.status);
      execFileSync(PRLIMIT, ["--pid", String(server.child.pid), "--nofile=64:64"]);
      const sockets = await Promise.all(Array.from({ length: 200 }, () => tcp(port)));
      // A part of the server that loads meanwhile gives a descriptor back when it is there.
      await pressedUntil(server.logged("no free file descriptor"), async () => void sockets.push(await tcp(port)));
      await Promise.all(sockets.map((socket) => socket.closed || once(socket, "close")));
      expect((await fetch(`http://127.0.0.1:${others.status}/healthz`)).status).toBe(200);
      expect((await processAll(port, [requestHeaders()])).status.code).toBe(0);
    },
  );

  test("a server logs and counts that no descriptor is free, and accepts connections when one is free", async () => {
    const server = spawnBinary(["serve", HOARDER, ...PORTS], { openFiles: 128 });
    const [port, others] = [await server.port(), await server.otherPorts()];
    const session = http2Session(port);
    const ask = async (files: string) => {
      const call = openRawCall(session);
      call.send(requestHeaders([["x-files", files]]));
      await call.next();
    };
    const shortage = server.logged("no free file descriptor");
    await pressedUntil(shortage, () => ask("take"));
    expect(await shortage).toMatchObject({ level: "error", code: "EMFILE" });
    const refused = await tcp(others.status);
    expect(await untilClosed(refused)).toBe("");
    await ask("give");
    const text = await metrics(others.status);
    expect(text).toMatch(/^ext_proc_descriptor_shortages_total [1-9]\d*$/m);
    expect((await processAll(port, [requestHeaders()])).status.code).toBe(0);
  });
});
