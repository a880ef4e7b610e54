import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type DescService, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { ServerReflection, type ServerReflectionRequestSchema } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { serverForTest } from "../server/start-server.ts";

const run = promisify(execFile);
const buf = fileURLToPath(new URL("../../node_modules/.bin/buf", import.meta.url));
const SERVICES = [
  "envoy.service.ext_proc.v3.ExternalProcessor",
  "extproc.debug.v1.DebugService",
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];

type Question = MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"];

function findGrpcurl(): string | undefined {
  const { GRPCURL, GOBIN, PATH = "" } = process.env;
  const folders = [...(GOBIN ? [GOBIN] : []), ...PATH.split(delimiter), join(homedir(), "go/bin")];
  const files = [...(GRPCURL ? [GRPCURL] : []), ...folders.map((folder) => join(folder, "grpcurl"))];
  return files.find((file) => existsSync(file));
}

const grpcurl = findGrpcurl();
if (grpcurl === undefined) {
  const how = "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4, or set GRPCURL";
  if (process.env.CI === "true") throw new Error(`grpcurl is missing: ${how}`);
  process.stderr.write(`The grpcurl test is skipped, grpcurl is missing: ${how}\n`);
}

/** Limits that these tests do not reach. */
const debugLimits = { maxCallsPerSecond: 1000 };

describe.each<[string, typeof ServerReflection | typeof ServerReflectionAlpha]>([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionAlpha],
])("reflection %s", (_version, service) => {
  async function ask(questions: readonly Question[]) {
    const { port } = await serverForTest(hello, { debug: "on", debugLimits });
    const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` });
    const client = createClient(service as typeof ServerReflection & DescService, transport);
    async function* each() {
      for (const messageRequest of questions) yield { host: "h", messageRequest } as never;
    }
    const answers = [];
    for await (const { messageResponse, originalRequest } of client.serverReflectionInfo(each())) {
      expect(originalRequest?.host).toBe("h");
      answers.push(messageResponse);
    }
    return answers;
  }

  test("reflection names every service", async () => {
    const [answer] = await ask([{ case: "listServices", value: "" }]);
    const listed = answer?.case === "listServicesResponse" ? answer.value.service.map(({ name }) => name) : [];
    expect(listed.sort()).toEqual(SERVICES);
  });

  test("reflection returns files by name and by symbol, with all that they import", async () => {
    const questions: Question[] = [
      { case: "fileByFilename", value: "extproc/debug/v1/debug.proto" },
      ...["extproc.debug.v1.DebugService", "extproc.debug.v1.DebugService.Simulate"].map(
        (value): Question => ({ case: "fileContainingSymbol", value }),
      ),
    ];
    for (const answer of await ask(questions)) {
      if (answer.case !== "fileDescriptorResponse") throw new Error(answer.case);
      const names = answer.value.fileDescriptorProto.map((file) => fromBinary(FileDescriptorProtoSchema, file).name);
      expect(names[0]).toBe("extproc/debug/v1/debug.proto");
      expect(names).toContain("envoy/config/core/v3/base.proto");
      expect(names).toContain("google/protobuf/struct.proto");
      expect(new Set(names).size).toBe(names.length);
    }
  });

  test("reflection finds messages, fields, enums and enum values", async () => {
    const prefix = "envoy.extensions.filters.http.ext_proc.v3.ProcessingMode";
    const names = ["", ".BodySendMode", ".BodySendMode.STREAMED", ".request_body_mode"].map((end) => prefix + end);
    const answers = await ask(names.map((value): Question => ({ case: "fileContainingSymbol", value })));
    expect(answers.map((answer) => answer.case)).toEqual(names.map(() => "fileDescriptorResponse"));
  });

  test("reflection reports what does not exist, and continues", async () => {
    const answers = await ask([
      { case: "fileByFilename", value: "no.proto" },
      { case: "fileContainingSymbol", value: "no.Such" },
      { case: "fileContainingExtension", value: { containingType: "no.Such", extensionNumber: 7 } },
      { case: "allExtensionNumbersOfType", value: "extproc.debug.v1.ProcessRequest" },
      { case: undefined },
      { case: "listServices", value: "" },
    ]);
    expect(answers.map((answer) => (answer.case === "errorResponse" ? answer.value.errorCode : answer.case))).toEqual([
      ...[5, 5, 5, "allExtensionNumbersResponse", 3, "listServicesResponse"],
    ]);
  });
});

test("buf curl calls by reflection alone, over each protocol", { timeout: 60_000 }, async () => {
  const { port } = await serverForTest(hello, { debug: "on", debugLimits });
  for (const protocol of ["connect", "grpc", "grpcweb"]) {
    const args = ["curl", "--protocol", protocol, "--http2-prior-knowledge", "-d", '{"request":{"path":"/x"}}'];
    const { stdout } = await run(buf, [...args, `http://127.0.0.1:${port}/extproc.debug.v1.DebugService/Simulate`]);
    expect(JSON.parse(stdout).upstreamRequest.headers).toEqual({ "x-ext-proc-header": "hello-to-asm" });
  }
});

test.skipIf(grpcurl === undefined)("grpcurl lists, describes and calls", { timeout: 30_000 }, async () => {
  const { port } = await serverForTest(hello, { debug: "on", debugLimits });
  const call = async (...args: readonly string[]) => (await run(grpcurl ?? "", ["-plaintext", ...args])).stdout;
  const address = `127.0.0.1:${port}`;
  expect((await call(address, "list")).trim().split("\n")).toEqual(SERVICES);
  expect(await call(address, "describe", "extproc.debug.v1.DebugService.Describe")).toContain("DescribeResponse");
  const described = JSON.parse(await call(address, "extproc.debug.v1.DebugService/Describe"));
  expect(described).toMatchObject({ name: "hello", processors: [{ phases: ["requestHeaders", "responseHeaders"] }] });
});
