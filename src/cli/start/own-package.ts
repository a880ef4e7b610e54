import module, { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/**
 * The packages that a processor can import from any folder: this package, and those whose types its handlers get. They
 * come from the running program, unless the processor's own folder has a copy.
 */
export const OFFERED_PACKAGES: readonly string[] = ["ext-proc", "@bufbuild/protobuf", "@connectrpc/connect"];

type Context = module.ResolveHookContext;
type NextResolve<Result> = (specifier: string, context?: Context) => Result;

/** The module from which the packages are resolved: this package by its own name, the others as its dependencies. */
const HERE = import.meta.url;
const require = createRequire(HERE);

/**
 * From now on, modules can import {@link OFFERED_PACKAGES} from any folder, such as one that is mounted into a
 * container. If Node itself finds a copy, that copy is used.
 */
export function offerOwnPackage(): void {
  if (isOffering) return;
  isOffering = true;
  // Node 22.15 and later. In older releases hooks run in a separate thread, and only for `import`.
  const { registerHooks } = module as unknown as SyncHooks;
  if (registerHooks !== undefined) {
    registerHooks({ resolve: resolveSync });
    return;
  }
  module.register(HERE);
  offerToRequire();
}

let isOffering = false;

/** A function that is missing in the type declarations of Node 20. */
interface SyncHooks {
  readonly registerHooks?: (hooks: { readonly resolve: typeof resolveSync }) => unknown;
}

/**
 * The hook of module.register, which loads this module into its thread.
 *
 * @public Node calls it by its name.
 */
export async function resolve(
  specifier: string,
  context: Context,
  nextResolve: NextResolve<module.ResolveFnOutput | Promise<module.ResolveFnOutput>>,
): Promise<module.ResolveFnOutput> {
  try {
    return await nextResolve(specifier, context);
  } catch (error) {
    if (!isMissing(specifier, error)) throw error;
    return nextResolve(specifier, { ...context, parentURL: HERE });
  }
}

function resolveSync(
  specifier: string,
  context: Context,
  nextResolve: NextResolve<module.ResolveFnOutput>,
): module.ResolveFnOutput {
  try {
    return nextResolve(specifier, context);
  } catch (error) {
    if (!isMissing(specifier, error)) throw error;
    // For `require` Node uses the module that calls it, and ignores the context.
    if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND")
      return { url: pathToFileURL(require.resolve(specifier)).href, shortCircuit: true };
    return nextResolve(specifier, { ...context, parentURL: HERE });
  }
}

/** The function with which Node's CommonJS loader resolves names. It is missing in the type declarations. */
interface CommonJsLoader {
  _resolveFilename(specifier: string, ...others: readonly unknown[]): string;
}

function offerToRequire(): void {
  const loader = module as unknown as CommonJsLoader;
  const original = loader._resolveFilename;
  loader._resolveFilename = (specifier, ...others) => {
    try {
      return original.call(loader, specifier, ...others);
    } catch (error) {
      if (!isMissing(specifier, error)) throw error;
      return require.resolve(specifier);
    }
  };
}

/** True if Node found no such package at all. A broken copy is an error, and is not replaced by this package. */
function isMissing(specifier: string, error: unknown): boolean {
  if (!OFFERED_PACKAGES.some((name) => specifier === name || specifier.startsWith(`${name}/`))) return false;
  const { code, message = "" } = error as NodeJS.ErrnoException;
  if (code === "ERR_MODULE_NOT_FOUND") return message.startsWith("Cannot find package '");
  return code === "MODULE_NOT_FOUND" && message.startsWith(`Cannot find module '${specifier}'`);
}
