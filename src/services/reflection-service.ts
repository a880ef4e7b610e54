import { type DescFile, type DescService, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type {
  ServerReflection,
  ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import type { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";

/** An answer, or an error. */
type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

/** Called before each answer. Resolves when another answer is allowed. */
type Admit = (signal: AbortSignal) => Promise<void>;

/**
 * `grpc.reflection.v1.ServerReflection` for these services. With other types it is `v1alpha`, whose messages are the
 * same.
 *
 * @param admit Awaited before each answer. Default: no waiting.
 */
export function reflectionService(
  services: readonly DescService[],
  admit: Admit = async () => undefined,
): ServiceImpl<typeof ServerReflection> & ServiceImpl<typeof ServerReflectionAlpha> {
  const served: Served = { services, files: filesOf(services), descriptors: new Map() };
  async function* serverReflectionInfo(
    requests: AsyncIterable<Pick<ServerReflectionRequest, "host" | "messageRequest">>,
    { signal }: { readonly signal: AbortSignal },
  ) {
    for await (const { host, messageRequest } of requests) {
      await admit(signal);
      const messageResponse = answer(messageRequest, served);
      yield { validHost: host, originalRequest: { host, messageRequest }, messageResponse };
    }
  }
  return { serverReflectionInfo } as never;
}

/** What a service answers about. */
interface Served {
  readonly services: readonly DescService[];
  readonly files: readonly DescFile[];
  /** The descriptors that were asked for, as bytes. Serializing one costs far more than a request for it. */
  readonly descriptors: Map<DescFile, Uint8Array>;
}

function answer(question: ServerReflectionRequest["messageRequest"], { services, files, descriptors }: Served): Answer {
  switch (question.case) {
    case "listServices": {
      const service = services.map(({ typeName }) => ({ name: typeName }));
      return { case: "listServicesResponse", value: { service } };
    }
    case "fileByFilename":
      return fileAnswer(
        files.find(({ proto }) => proto.name === question.value),
        `file ${question.value}`,
        descriptors,
      );
    case "fileContainingSymbol":
      return fileAnswer(
        files.find((file) => defines(file, question.value)),
        `symbol ${question.value}`,
        descriptors,
      );
    case "allExtensionNumbersOfType":
      return files.some((file) => defines(file, question.value))
        ? { case: "allExtensionNumbersResponse", value: { baseTypeName: question.value } }
        : notFound(`message ${question.value}`);
    case "fileContainingExtension":
      return notFound(`extension of ${question.value.containingType}`);
    case undefined:
      return failure(Code.InvalidArgument, "the request has no question");
  }
}

function fileAnswer(file: DescFile | undefined, asked: string, descriptors: Served["descriptors"]): Answer {
  if (file === undefined) return notFound(asked);
  const fileDescriptorProto = withImports([file]).map((needed) => descriptorBytes(needed, descriptors));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function descriptorBytes(file: DescFile, descriptors: Served["descriptors"]): Uint8Array {
  const known = descriptors.get(file);
  if (known !== undefined) return known;
  const bytes = toBinary(FileDescriptorProtoSchema, file.proto);
  descriptors.set(file, bytes);
  return bytes;
}

function notFound(asked: string): Answer {
  return failure(Code.NotFound, `there is no ${asked}`);
}

function failure(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

/** Every file that services need, including imported files. */
function filesOf(services: readonly DescService[]): readonly DescFile[] {
  return withImports(services.map(({ file }) => file));
}

/** Files and the files that they import, each once. */
function withImports(files: readonly DescFile[]): readonly DescFile[] {
  const found = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    if (found.has(file.proto.name)) return;
    found.set(file.proto.name, file);
    file.dependencies.forEach(add);
  };
  files.forEach(add);
  return [...found.values()];
}

/** True if a file defines this full name: a type, or a field, value or method of a type. */
function defines(file: DescFile, name: string): boolean {
  const types = [...file.messages, ...file.enums, ...file.services].flatMap(withNested);
  return types.some(
    (type) => type.typeName === name || membersOf(type).some((member) => `${type.typeName}.${member}` === name),
  );
}

type AnyType = DescFile["messages"][number] | DescFile["enums"][number] | DescService;

function withNested(type: AnyType): AnyType[] {
  if (type.kind !== "message") return [type];
  return [type, ...[...type.nestedMessages, ...type.nestedEnums].flatMap(withNested)];
}

function membersOf(type: AnyType): string[] {
  if (type.kind === "enum") return type.values.map(({ name }) => name);
  const members: readonly { readonly name: string }[] =
    type.kind === "message" ? [...type.fields, ...type.oneofs] : type.methods;
  return members.map(({ name }) => name);
}
