import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

/** An empty project in which the packed tarball was installed, and nothing else. */
let folder: string;
let tarballBytes: number;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "ext-proc-package-")));
  // `npm test` has just built dist/; building again would take it away from the other tests.
  await npm(root, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder);
  const [tarball = ""] = (await readdir(folder)).filter((name) => name.endsWith(".tgz"));
  tarballBytes = (await stat(join(folder, tarball))).size;
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  await npm(folder, "install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", `./${tarball}`);
  await cp(join(root, "test/package/consumer"), join(folder, "consumer"), { recursive: true });
}, 180_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the packed tarball", () => {
  test("the packed tarball is small", () => {
    expect(tarballBytes).toBeGreaterThan(20_000);
    expect(tarballBytes).toBeLessThan(1_500_000);
  });

  test("the packed tarball has the ext-proc command", async () => {
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    const { stdout } = await npm(folder, "exec", "--no", "--", "ext-proc", "--version");
    expect(stdout).toBe(`${version}\n`);
  });
});

describe("a program that uses it", () => {
  const strict = {
    target: "es2023",
    module: "nodenext",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    rootDir: "consumer",
    outDir: "out",
  };
  const nodeTypes = { typeRoots: [join(root, "node_modules/@types")], types: ["node"] };

  test("a program that uses the package compiles with Node's types and without the DOM's", async () => {
    expect(await compile("main.ts", { ...strict, ...nodeTypes, lib: ["es2023"] })).toBe("");
  });

  test("a program that uses the package compiles without Node's types", async () => {
    expect(await compile("main.ts", { ...strict, types: [], lib: ["es2023", "dom"] })).toBe("");
  });

  test("a program that uses ext-proc/connect compiles with the DOM's types, which Connect needs", async () => {
    expect(await compile("routes.ts", { ...strict, types: [], lib: ["es2023", "dom"] })).toBe("");
  });

  test("a program that uses the package serves a processor, drains, and ends by itself", async () => {
    expect(await compile("main.ts", { ...strict, ...nodeTypes, lib: ["es2023"] })).toBe("");
    expect(await evaluate("./out/main.js", "module.result")).toEqual({
      greeting: "hello ada",
      refusal: "listen",
      started: true,
      simulated: "ada",
    });
  });

  test("a program that uses the package puts the routes on its own Connect router", async () => {
    expect(await compile("routes.ts", { ...strict, types: [], lib: ["es2023", "dom"] })).toBe("");
    expect(await evaluate("./out/routes.js", "module.result")).toEqual([
      "/envoy.service.ext_proc.v3.ExternalProcessor/Process",
      "/grpc.health.v1.Health/Check",
      "/grpc.health.v1.Health/List",
      "/grpc.health.v1.Health/Watch",
      "/extproc.debug.v1.DebugService/Process",
      "/extproc.debug.v1.DebugService/Simulate",
      "/extproc.debug.v1.DebugService/Describe",
      "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ]);
  });
});

describe("the exports", () => {
  // A new name here needs a doc comment, a line in CHANGELOG.md, and the will to keep it.
  const NAMES: Readonly<Record<string, { readonly values: readonly string[]; readonly types: readonly string[] }>> = {
    "ext-proc": {
      values: [
        "FaultError",
        "SplitError",
        "addHeaderIfAbsent",
        "appendChunk",
        "appendHeader",
        "clearBody",
        "clearRouteCache",
        "compose",
        "continueAndReplace",
        "createJsonLineParser",
        "createLineSplitter",
        "createReplacer",
        "createSseSplitter",
        "createUtf8Decoder",
        "defineProcessor",
        "formatJsonLine",
        "formatLine",
        "formatSseEvent",
        "header",
        "immediateResponse",
        "jsonLines",
        "lines",
        "overrideMode",
        "overwriteHeaderIfExists",
        "removeHeader",
        "replaceBody",
        "replaceJson",
        "replaceText",
        "replacedChunks",
        "setAuthority",
        "setDynamicMetadata",
        "setHeader",
        "setMethod",
        "setPath",
        "setStatus",
        "setTypedDynamicMetadata",
        "sseEvents",
        "streamedImmediateResponse",
        "utf8Text",
      ],
      types: [
        "BodyChunks",
        "BodyEnd",
        "BodyHandler",
        "BodyMode",
        "BodyOptions",
        "BodyPhase",
        "BytePatternOptions",
        "Direction",
        "EditablePhase",
        "EditablePlace",
        "Effect",
        "EffectKind",
        "EffectPlace",
        "Effects",
        "Fault",
        "FaultCode",
        "FaultPolicy",
        "FaultSource",
        "GrpcHandlers",
        "GrpcMetadata",
        "Handler",
        "Handlers",
        "Head",
        "HeaderMap",
        "HeaderPhase",
        "HeaderValue",
        "HeaderValues",
        "HttpBody",
        "HttpHeaders",
        "HttpTrailers",
        "ImmediateResponseOptions",
        "JsonLine",
        "JsonLineOptions",
        "Line",
        "LineEndsOptions",
        "LineOptions",
        "ModeOverride",
        "Modes",
        "Origin",
        "OverrideBodyMode",
        "Peer",
        "Phase",
        "ProcessingRequest",
        "ProcessingResponse",
        "Processor",
        "ProcessorDefinition",
        "ReplaceOptions",
        "Replacement",
        "Replacer",
        "SchemaIssue",
        "SchemaResult",
        "SendMode",
        "ServerSentEvent",
        "SplitErrorCode",
        "Splitter",
        "SseEventFields",
        "SseOptions",
        "StandardSchema",
        "StreamedImmediateResponseOptions",
        "TrailerPhase",
        "Transaction",
        "TransactionEnd",
        "TransactionResult",
        "Utf8Decoder",
        "Utf8Options",
        "WholeBody",
      ],
    },
    "ext-proc/server": {
      values: ["ListenError", "TlsFileError", "serve"],
      types: [
        "BodySendMode",
        "DebugExposure",
        "DecisionLogOptions",
        "DeclaredEnvoySettings",
        "EnvoySettings",
        "HeaderSendMode",
        "Http2Settings",
        "Logger",
        "MutationRules",
        "OperatorOptions",
        "ProcessingModeSettings",
        "ProcessorOverride",
        "ServeOptions",
        "Server",
        "TlsFiles",
      ],
    },
    "ext-proc/testing": {
      values: [
        "httpHeaders",
        "httpTrailers",
        "requestBody",
        "requestHeaders",
        "requestTrailers",
        "responseBody",
        "responseHeaders",
        "responseTrailers",
        "sendMessages",
        "simulate",
        "simulateRemote",
      ],
      types: [
        "BodySendMode",
        "ClientResponse",
        "DeclaredEnvoySettings",
        "EndOfStream",
        "EnvoyOptions",
        "EnvoySettings",
        "EnvoyVersion",
        "HeaderRecord",
        "HeaderSendMode",
        "HttpReport",
        "MessageAnswers",
        "MessageEnvelope",
        "MutationRules",
        "OperatorOptions",
        "ProcessingModeSettings",
        "ReceivedHeaders",
        "ReceivedMessage",
        "SendMessagesOptions",
        "SendRequest",
        "SimulateOptions",
        "SimulatedBody",
        "SimulatedEnvoy",
        "SimulatedEnvoySettings",
        "SimulatedRequest",
        "SimulatedRequestLine",
        "SimulatedResponse",
        "SimulatedTransaction",
        "SimulatedUpstream",
        "UpstreamRequest",
        "VirtualRoute",
        "Warning",
      ],
    },
    "ext-proc/connect": {
      values: ["ServingState", "SessionSet", "extProcRoutes"],
      types: [
        "ExtProcRoutesOptions",
        "ExternalProcessorOptions",
        "OperatorOptions",
        "ProcessorOverride",
        "SetupObserver",
      ],
    },
  };

  test.each(Object.entries(NAMES))(
    "the entry point %s exports exactly the listed names",
    async (entry, { values, types }) => {
      expect(await namesOf(entry)).toEqual(values);
      const declarations = await readFile(join(folder, "node_modules/ext-proc", await typesOf(entry)), "utf8");
      expect(exportedNames(declarations)).toEqual([...values, ...types].sort());
    },
  );

  test("ext-proc/envoy exports every name that is generated for Envoy", async () => {
    const generated = ["config/core/v3/base", "extensions/filters/http/ext_proc/v3/processing_mode"]
      .concat("service/ext_proc/v3/external_processor", "type/v3/http_status")
      .map((file) => `./node_modules/ext-proc/gen/envoy/${file}_pb.js`);
    const names = await Promise.all(generated.map(namesOf));
    expect(await namesOf("ext-proc/envoy")).toEqual(names.flat().sort());
  });

  test("package.json can be imported from the package", () => {
    expect(createRequire(join(folder, "x.js"))("ext-proc/package.json").name).toBe("ext-proc");
  });

  test("the list of names has every entry point of package.json", async () => {
    const { exports } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    const entries = Object.keys(exports).map((entry) => entry.replace(/^\./, "ext-proc"));
    expect(entries.sort()).toEqual([...Object.keys(NAMES), "ext-proc/envoy", "ext-proc/package.json"].sort());
  });

  test.each([
    "ext-proc/dist/index.js",
    "ext-proc/dist/protocol/exchange/exchange.js",
    "ext-proc/index.js",
    "ext-proc/gen/envoy/type/v3/http_status_pb.js",
    "ext-proc/processor",
  ])("the import of %s is refused", async (entry) => {
    await expect(namesOf(entry)).rejects.toThrow("ERR_PACKAGE_PATH_NOT_EXPORTED");
  });

  test.each(["index.js", "testing.js"])("the entry point %s loads no dependency except protobuf-es", async (file) => {
    const dist = join(folder, "node_modules/ext-proc/dist");
    expect(await packagesLoadedBy(join(dist, "server.js"))).toContain("pino");
    const packages = await packagesLoadedBy(join(dist, file));
    expect(packages.filter((name) => !/^@bufbuild\/protobuf(?:\/|$)/.test(name))).toEqual([]);
  });
});

async function npm(cwd: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return await run("npm", args, { cwd, shell: process.platform === "win32" });
}

/** Compiles a file of the consumer and gives what the compiler has to say. */
async function compile(file: string, compilerOptions: object): Promise<string> {
  const project = join(folder, `tsconfig.${file}.json`);
  await writeFile(project, JSON.stringify({ compilerOptions, files: [`consumer/${file}`] }));
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  return await run(process.execPath, [compiler, "-p", project], { cwd: folder }).then(
    ({ stdout }) => stdout,
    ({ stdout }: { stdout: string }) => stdout,
  );
}

/** The names that a module has when the consumer imports it. */
async function namesOf(entry: string): Promise<string[]> {
  const names = await evaluate<string[]>(entry, "Object.keys(module)");
  return names.sort();
}

/** What an expression over a module's namespace gives in a separate Node process, after that process has ended by itself. */
async function evaluate<T>(entry: string, expression: string): Promise<T> {
  const script = `import * as module from ${JSON.stringify(entry)}; console.log(JSON.stringify(${expression}))`;
  // NODE_OPTIONS and NODE_ENV are the test runner's.
  const { NODE_OPTIONS: _, NODE_ENV: __, ...env } = process.env;
  const args = ["--input-type=module", "--eval", script];
  const { stdout } = await run(process.execPath, args, { cwd: folder, env, timeout: 10_000 });
  return JSON.parse(stdout);
}

async function typesOf(entry: string): Promise<string> {
  const { exports } = JSON.parse(await readFile(join(folder, "node_modules/ext-proc/package.json"), "utf8"));
  return exports[entry.replace("ext-proc", ".")].types;
}

/** The names in the export lists of a declaration file. */
function exportedNames(declarations: string): string[] {
  const lists = [...declarations.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].map(([, list = ""]) => list);
  return lists
    .flatMap((list) => list.split(","))
    .map((name) => name.trim().replace(/^type /, ""))
    .filter((name) => name !== "")
    .sort();
}

/** What a module imports from other packages, or from Node, statically: itself, or through other modules of its package. */
async function packagesLoadedBy(start: string): Promise<string[]> {
  const files = [start];
  const packages = new Set<string>();
  // The list grows while it is walked.
  for (const file of files) {
    const text = await readFile(file, "utf8");
    for (const [, specifier = ""] of text.matchAll(/^(?:import|export)\s(?:[\w$*{}\s,]*\sfrom\s)?["']([^"']+)["']/gm)) {
      if (!specifier.startsWith(".")) packages.add(specifier);
      else if (!files.includes(join(file, "..", specifier))) files.push(join(file, "..", specifier));
    }
  }
  return [...packages].sort();
}
