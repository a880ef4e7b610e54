import { fork } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, connect, createServer, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { hello } from "../../../src/builtin/hello.ts";
import { ListenError } from "../../../src/server/listen/listen-error.ts";
import { listenOnSocketFile } from "../../../src/server/listen/unix-socket.ts";
import { createLogger } from "../../../src/server/log/log.ts";
import { serve } from "../../../src/server/serve.ts";
import { processAll } from "../../network/grpc-js-client.ts";
import { requestHeaders } from "../../network/messages.ts";
import { serverForTest } from "../start-server.ts";

const SILENT = createLogger("silent");
const OFF = { statusListen: "off", adminListen: "off" };
const FREE = { listen: "127.0.0.1:0", statusListen: "127.0.0.1:0", adminListen: "127.0.0.1:0" };

function folderForTest(): string {
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function occupiedPort(host = "127.0.0.1"): Promise<number> {
  const server = createServer().listen(0, host);
  onTestFinished(() => {
    server.close();
  });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function refuses(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => {
    socket.destroy();
  });
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(false)).once("error", () => resolve(true));
  });
}

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const probe: TcpServer = createServer().listen(0, "::1", () => probe.close(() => resolve(true)));
  probe.once("error", () => resolve(false));
});

test("a value that is not a processor is rejected before any listener opens", async () => {
  const definition = { name: "bare", requestHeaders: () => undefined };
  await expect(serve(definition as never, FREE)).rejects.toThrow(
    new TypeError("serve: its argument is not a processor; make one with defineProcessor"),
  );
});

describe("an address", () => {
  test("an address with port 0 gets a free port, which is returned and logged", async () => {
    const started = await serverForTest(hello, { listen: ":0" });
    expect(started.server.address).toMatch(/^:[1-9]\d*$/);
    expect(started.logLines()[0]).toMatchObject({
      level: "info",
      msg: `Starting gRPC server on port ${started.server.address}`,
      address: started.server.address,
      processor: "hello",
    });
    expect((await processAll(started.port, [requestHeaders()])).status.code).toBe(0);
  });

  test.skipIf(!hasIpv6)("an address may be an IPv6 address", async () => {
    const { server, port } = await serverForTest(hello, { ...OFF, listen: "[::1]:0" });
    expect(server.address).toMatch(/^\[::1\]:[1-9]\d*$/);
    expect((await processAll(`[::1]:${port}`, [requestHeaders()])).status.code).toBe(0);
  });

  test.each(["listen", "statusListen", "adminListen"] as const)(
    "a malformed address is rejected by its flag: %s",
    async (option) => {
      const flag = { listen: "--listen", statusListen: "--status-listen", adminListen: "--admin-listen" }[option];
      const error = await serve(hello, { ...FREE, [option]: "9002" }).catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(ListenError);
      expect(error).toMatchObject({ option, malformed: true });
      expect((error as Error).message).toMatch(new RegExp(`^${flag}: "9002" is not an address; write `));
    },
  );

  test("the address of the main listener cannot be off", async () => {
    await expect(serve(hello, { ...OFF, listen: "off" })).rejects.toMatchObject({ option: "listen", malformed: true });
  });

  test.each([
    ["listen", "--listen"],
    ["statusListen", "--status-listen"],
    ["adminListen", "--admin-listen"],
  ] as const)(
    "an address in use is rejected by its flag, and no other listener stays open: %s",
    async (option, flag) => {
      const port = await occupiedPort();
      const others = [await freePort(), await freePort()];
      const [first = 0, second = 0] = others;
      const addresses = {
        listen: `127.0.0.1:${first}`,
        statusListen: `127.0.0.1:${second}`,
        adminListen: option === "listen" ? `127.0.0.1:${first}` : "off",
        [option]: `127.0.0.1:${port}`,
      };
      await expect(serve(hello, addresses)).rejects.toMatchObject({
        option,
        malformed: false,
        message: `${flag}: 127.0.0.1:${port} is in use by another process; stop that process, or set another address`,
      });
      expect(await Promise.all(others.map(refuses))).toEqual([true, true]);
    },
  );

  test.each([
    ["192.0.2.1:0", "is not an address of this machine"],
    ["no-such-host.invalid:0", "is not an address of this machine"],
  ])("an address of another machine is rejected: %s", async (listen, problem) => {
    await expect(serve(hello, { ...OFF, listen })).rejects.toMatchObject({
      message: expect.stringMatching(new RegExp(`^--listen: ${listen.replaceAll(".", "\\.")} ${problem}`)),
      malformed: false,
    });
  });
});

describe("a socket file", () => {
  test("a socket file is served, only owner and group can use it, and the server removes it at its end", async () => {
    const path = join(folderForTest(), "ext-proc.sock");
    const before = process.umask(0);
    onTestFinished(() => {
      process.umask(before);
    });
    const { server, logLines } = await serverForTest(hello, { ...OFF, listen: `unix:${path}` });
    expect(server.address).toBe(`unix:${path}`);
    expect(logLines()[0]?.msg).toBe(`Starting gRPC server on unix:${path}`);
    expect((statSync(path).mode & 0o777).toString(8)).toBe("660");
    expect((await processAll(`unix:${path}`, [requestHeaders()])).status.code).toBe(0);
    await server.close();
    expect(() => statSync(path)).toThrow("ENOENT");
  });

  test("a socket file that a killed server left is replaced", async () => {
    const path = join(folderForTest(), "stale.sock");
    await leaveStaleSocket(path);
    expect(statSync(path).isSocket()).toBe(true);
    await serverForTest(hello, { ...OFF, listen: `unix:${path}` });
    expect((await processAll(`unix:${path}`, [requestHeaders()])).status.code).toBe(0);
  });

  test("a socket file on which another server listens is not taken", async () => {
    const path = join(folderForTest(), "live.sock");
    await serverForTest(hello, { ...OFF, listen: `unix:${path}` });
    await expect(serve(hello, { ...OFF, listen: `unix:${path}` })).rejects.toMatchObject({
      message: `--listen: unix:${path} is in use by another process; stop that process, or set another address`,
    });
    expect((await processAll(`unix:${path}`, [requestHeaders()])).status.code).toBe(0);
  });

  test("a stale socket file that several servers want at once goes to one of them, and the others are rejected", async () => {
    for (let round = 0; round < 5; round++) {
      const path = join(folderForTest(), "race.sock");
      await leaveStaleSocket(path);
      const results = await Promise.allSettled(
        Array.from({ length: 8 }, () => serve(hello, { ...OFF, listen: `unix:${path}`, log: SILENT })),
      );
      const started = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      onTestFinished(async () => {
        for (const server of started) await server.close();
      });
      expect(started).toHaveLength(1);
      for (const result of results)
        if (result.status === "rejected") expect(String(result.reason)).toContain("is in use by another process");
      expect((await processAll(`unix:${path}`, [requestHeaders()])).status.code).toBe(0);
      // Nothing else is left in the folder.
      expect(readdirSync(dirname(path))).toEqual(["race.sock"]);
    }
  });

  test("a server that ends does not remove the socket file of its successor", async () => {
    const path = join(folderForTest(), "successor.sock");
    const first = await serverForTest(hello, { ...OFF, listen: `unix:${path}` });
    unlinkSync(path);
    await serverForTest(hello, { ...OFF, listen: `unix:${path}` });
    await first.server.close();
    expect((await processAll(`unix:${path}`, [requestHeaders()])).status.code).toBe(0);
  });

  test("a socket file has its mode before it has its path", async () => {
    const folder = folderForTest();
    const path = join(folder, "mode.sock");
    const before = process.umask(0);
    onTestFinished(() => {
      process.umask(before);
    });
    const seen = new Set<string>();
    // The bind and the look at the file are in one turn of the event loop.
    await listenOnSocketFile(path, (privatePath) => {
      const server = createServer().listen(privatePath);
      onTestFinished(() => {
        server.close();
      });
      expect([dirname(privatePath), existsSync(path)]).toEqual([folder, false]);
      seen.add((statSync(privatePath).mode & 0o777).toString(8));
      return once(server, "listening").then(() => undefined);
    });
    expect([...seen, (statSync(path).mode & 0o777).toString(8)]).toEqual(["660", "660"]);
    expect(process.umask()).toBe(0);
  });

  test.skipIf(process.getuid?.() !== 0).each([
    [0o660, /there is a socket of user 0 to which this user cannot connect; remove it as that user$/],
    [0o666, /an unused socket of user 0, and this user cannot remove it \(E(?:PERM|ACCES)\); remove it/],
  ])(
    "a socket file of another user that this user may not use is rejected with the id of its owner: mode %i",
    async (mode, problem) => {
      const folder = folderForTest();
      const path = join(folder, "foreign.sock");
      await leaveStaleSocket(path);
      chmodSync(path, mode);
      chmodSync(folder, 0o1777);
      const uid = 65_534;
      // Another process, since the user of this one cannot come back.
      const script = `
        process.setgid(${uid}); process.setuid(${uid});
        const { serve } = await import(${JSON.stringify(new URL("../../../dist/server.js", import.meta.url).href)});
        const { defineProcessor } = await import(${JSON.stringify(new URL("../../../dist/index.js", import.meta.url).href)});
        await serve(defineProcessor({ name: "a" }), ${JSON.stringify({ ...OFF, listen: `unix:${path}` })})
          .then(() => "started", (error) => error.message)
          .then((text) => process.send(text, () => process.exit()));`;
      const program = join(folder, "start.mjs");
      writeFileSync(program, script);
      const child = fork(program, [], { execArgv: [], silent: true });
      const [message] = await once(child, "message");
      expect(message).toMatch(problem);
      expect(statSync(path).isSocket()).toBe(true);
    },
  );

  test("a socket file does not replace a file of another kind", async () => {
    const path = join(folderForTest(), "notes.txt");
    writeFileSync(path, "precious");
    await expect(serve(hello, { ...OFF, listen: `unix:${path}` })).rejects.toMatchObject({
      message: `--listen: cannot listen on unix:${path}: the path exists and is not a socket`,
    });
    expect(readFileSync(path, "utf8")).toBe("precious");
  });

  test("a socket file in a folder that does not exist is rejected", async () => {
    const path = join(folderForTest(), "missing", "a.sock");
    await expect(serve(hello, { ...OFF, listen: `unix:${path}` })).rejects.toMatchObject({
      message: `--listen: cannot listen on unix:${path}: its folder does not exist`,
    });
  });

  test("a socket file whose path is longer than the system allows is rejected", async () => {
    const path = join(folderForTest(), "x".repeat(200));
    await expect(serve(hello, { ...OFF, listen: `unix:${path}` })).rejects.toMatchObject({
      name: "ListenError",
      malformed: true,
    });
  });
});

/** A socket file that nothing listens on, as a killed server leaves it. */
async function leaveStaleSocket(path: string): Promise<void> {
  const script = 'require("node:net").createServer().listen(process.argv[1], () => process.send("listening"))';
  const killed = fork("-e", [], { execArgv: ["-e", script, path] });
  await once(killed, "message");
  killed.kill("SIGKILL");
  await once(killed, "exit");
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
