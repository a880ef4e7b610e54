/**
 * @typedef {import("./descriptor-table.mjs").FileTable} FileTable
 * @typedef {Record<string, unknown>} Entry
 */

/**
 * Compares what we define with upstream. Upstream types that we do not define are not a difference; within a type that we
 * do define, everything has to match.
 *
 * One line per difference, led by the full name of the thing that is wrong, such as
 * `envoy.service.ext_proc.v3.HttpBody.end_of_stream: number 3, upstream 2`.
 *
 * @param {FileTable} ours
 * @param {FileTable} upstream
 * @returns {string[]}
 */
export function compareTables(ours, upstream) {
  return Object.entries(ours).flatMap(([path, file]) => {
    const theirs = upstream[path];
    if (!theirs) return [`${path}: not in upstream`];
    return [
      ...compareEntries(path, { package: file.package }, { package: theirs.package }),
      ...compareTypes(file.messages, theirs.messages, (entry) => entry.fields),
      ...compareTypes(file.enums, theirs.enums, (entry) => entry.values),
      ...compareTypes(file.services, theirs.services, (entry) => entry.methods),
    ];
  });
}

/**
 * Full names of the messages, enums and services that upstream has, in the files we have a version of, and we do not.
 *
 * @param {FileTable} ours
 * @param {FileTable} upstream
 * @returns {string[]}
 */
export function typesLeftOut(ours, upstream) {
  return Object.entries(ours).flatMap(([path, file]) => {
    const theirs = upstream[path];
    if (!theirs) return [];
    return /** @type {const} */ (["messages", "enums", "services"]).flatMap((kind) =>
      Object.keys(theirs[kind]).filter((name) => !Object.hasOwn(file[kind], name)),
    );
  });
}

/**
 * @template {{ deprecated?: boolean }} T
 * @param {Record<string, T>} ours
 * @param {Record<string, T>} upstream
 * @param {(type: T) => Record<string, Entry>} membersOf fields of a message, values of an enum, methods of a service
 * @returns {string[]}
 */
function compareTypes(ours, upstream, membersOf) {
  return Object.entries(ours).flatMap(([name, type]) => {
    const theirs = upstream[name];
    if (!theirs) return [`${name}: not in upstream`];
    return [
      ...compareEntries(name, { deprecated: type.deprecated }, { deprecated: theirs.deprecated }),
      ...compareMembers(name, membersOf(type), membersOf(theirs)),
    ];
  });
}

/**
 * @param {string} typeName
 * @param {Record<string, Entry>} ours
 * @param {Record<string, Entry>} upstream
 * @returns {string[]}
 */
function compareMembers(typeName, ours, upstream) {
  const names = new Set([...Object.keys(ours), ...Object.keys(upstream)]);
  return [...names].flatMap((name) => {
    const [mine, theirs] = [ours[name], upstream[name]];
    const fullName = `${typeName}.${name}`;
    if (!mine) return [`${fullName}: missing, upstream has ${describe(theirs)}`];
    if (!theirs) return [`${fullName}: not in upstream, ours is ${describe(mine)}`];
    return compareEntries(fullName, mine, theirs);
  });
}

/**
 * @param {string} fullName
 * @param {Entry} ours
 * @param {Entry} upstream
 * @returns {string[]}
 */
function compareEntries(fullName, ours, upstream) {
  const keys = new Set([...Object.keys(ours), ...Object.keys(upstream)]);
  return [...keys]
    .filter((key) => ours[key] !== upstream[key])
    .map((key) => `${fullName}: ${key} ${ours[key] ?? "unset"}, upstream ${upstream[key] ?? "unset"}`);
}

/** @param {Entry | undefined} entry */
function describe(entry) {
  return Object.entries(entry ?? {})
    .map(([key, value]) => `${key} ${value}`)
    .join(", ");
}
