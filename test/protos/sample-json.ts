import { createRegistry, type DescField, type DescMessage, type JsonValue, ScalarType } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";

/** Knows the message that samples of `google.protobuf.Any` hold. */
export const sampleRegistry = createRegistry(DurationSchema);

const scalarSamples: Partial<Record<ScalarType, JsonValue>> = {
  [ScalarType.INT32]: -2147483648,
  [ScalarType.STRING]: "text",
  [ScalarType.BYTES]: "AP/+",
  [ScalarType.BOOL]: true,
  // proto-JSON writes 64-bit numbers as strings, so that no digit is lost.
  [ScalarType.INT64]: "9007199254740993",
  [ScalarType.UINT32]: 4294967295,
};

const wellKnownSamples: Record<string, JsonValue> = {
  "google.protobuf.Struct": { text: "a", number: 1.5, list: [true, null], nested: { deep: "b" } },
  "google.protobuf.Any": { "@type": "type.googleapis.com/google.protobuf.Duration", value: "1s" },
  "google.protobuf.Duration": "0.200s",
  "google.protobuf.BoolValue": false,
};

/** Which of a field's two names is written. */
export type NameOf = (field: DescField) => string;

/** JSON with every field of a message set, and the chosen member of each oneof (the last, if it has fewer). */
export function sampleMessage(desc: DescMessage, nameOf: NameOf, member: number): JsonValue {
  const wellKnown = wellKnownSamples[desc.typeName];
  if (wellKnown !== undefined) return wellKnown;
  const chosen = desc.oneofs.map((oneof) => oneof.fields[Math.min(member, oneof.fields.length - 1)]);
  return Object.fromEntries(
    desc.fields
      .filter((field) => !field.oneof || chosen.includes(field))
      .map((field) => [nameOf(field), sampleField(field, nameOf, member)]),
  );
}

function sampleField(field: DescField, nameOf: NameOf, member: number): JsonValue {
  const element = sampleElement(field, nameOf, member);
  if (field.fieldKind === "list") return [element, element];
  return field.fieldKind === "map" ? { first: element, second: element } : element;
}

function sampleElement(field: DescField, nameOf: NameOf, member: number): JsonValue {
  if (field.message) return sampleMessage(field.message, nameOf, member);
  if (field.enum) return field.enum.values.at(-1)?.name ?? null;
  const sample = field.scalar === undefined ? undefined : scalarSamples[field.scalar];
  if (sample === undefined) throw new Error(`no sample for ${field.toString()}`);
  return sample;
}
