import { z } from "zod";
import { FAULT_POLICIES, type FaultPolicy } from "../../processor/definition.ts";
import { PROCESSING_MODES } from "../../protocol/envoy-settings.ts";
import { refuseNameExpression } from "../../text/name-expression.ts";
import { parseListenAddress } from "../listen/listen-address.ts";
import { describeKind, isOrigin, type SettingKind } from "./setting-kind.ts";
import type { SettingSpec } from "./setting-spec.ts";
import { SETTINGS } from "./settings.ts";

/** The operator's settings for one processor, under `processors` and its name. */
export interface ProcessorSettings {
  /** The minimum policy; the processor's own `onFault` can be stricter. */
  readonly onFault?: FaultPolicy | undefined;
  /** Replaces the processor's own `timeoutMs`. */
  readonly timeoutMs?: number | undefined;
}

/** The settings of one processor, by name. */
export const PROCESSOR_KINDS: Readonly<Record<keyof ProcessorSettings, SettingKind>> = {
  onFault: { kind: "choice", choices: FAULT_POLICIES },
  timeoutMs: { kind: "integer", least: 1, most: 3_600_000 },
};

/** A place in the file that has names instead of a value. */
export interface Section {
  readonly [name: string]: SettingKind | Section;
}

/** Every name that the file can have, except under `processors`. */
export const SECTIONS: Section = sections(Object.values(SETTINGS));

/** The schema of a configuration file: the settings that it can have, and `processors`. */
export const configSchema = z.strictObject({
  ...shapeOf(SECTIONS),
  processors: z.record(z.string(), z.strictObject(shapeOf(PROCESSOR_KINDS))).optional(),
});

/** What is expected at a place in the file: a value, by its description, or a map, by its names. */
export type Expected = { readonly value: string } | { readonly names: readonly string[] };

/** What is expected at a place in the file. */
export function expectedAt(path: readonly PropertyKey[]): Expected {
  let at: SettingKind | Section = { ...SECTIONS, processors: {} };
  for (const [depth, name] of path.entries()) {
    if (isKind(at)) return expectedInside(at, path.slice(depth + 1));
    const inProcessors = path[0] === "processors" && depth === 1;
    at = inProcessors ? { ...PROCESSOR_KINDS } : ((at[String(name)] ?? {}) as SettingKind | Section);
  }
  return isKind(at) ? { value: describeKind(at) } : { names: Object.keys(at) };
}

/** What is expected in an entry of a setting that is a list. */
function expectedInside(kind: SettingKind, [name]: readonly PropertyKey[]): Expected {
  if (kind.kind !== "modes") return { value: describeKind(kind) };
  if (name === undefined) return { names: Object.keys(PROCESSING_MODES) };
  return { value: `one of ${PROCESSING_MODES[name as keyof typeof PROCESSING_MODES].join(", ")}` };
}

function sections(specs: readonly SettingSpec[]): Section {
  const root: Record<string, unknown> = {};
  for (const { path, kind } of specs) {
    let section = root;
    for (const name of path?.slice(0, -1) ?? []) {
      section[name] ??= {};
      section = section[name] as Record<string, unknown>;
    }
    const last = path?.at(-1);
    if (last !== undefined) section[last] = kind;
  }
  return root as Section;
}

function isKind(at: SettingKind | Section): at is SettingKind {
  return typeof at.kind === "string";
}

function shapeOf(section: Section): Record<string, z.ZodType> {
  return Object.fromEntries(
    Object.entries(section).map(([name, at]) => [
      name,
      (isKind(at) ? schemaOf(at) : z.strictObject(shapeOf(at))).optional(),
    ]),
  );
}

function schemaOf(kind: SettingKind): z.ZodType {
  switch (kind.kind) {
    case "address":
      return z.string().refine((text) => !("problem" in parseListenAddress(text)));
    case "file":
      return z.string().min(1);
    case "choice":
      return z.enum(kind.choices);
    case "integer":
      return z.int().min(kind.least).max(kind.most);
    case "share":
      return z.number().min(0).max(1);
    case "switch":
      return z.boolean();
    case "names":
      return z.array(kind.names === undefined ? z.string().min(1) : z.enum(kind.names));
    case "expression":
      return z.string().refine((text) => refuseNameExpression(text) === undefined);
    case "origins":
      return z.array(z.string().refine(isOrigin));
    case "modes":
      return z.array(z.strictObject(modesShape()));
  }
}

function modesShape(): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(PROCESSING_MODES).map(([name, modes]) => [name, z.enum(modes).optional()]));
}
