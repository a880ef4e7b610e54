import module, { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/**
 * The packages that a processor may import wherever its file is: this one, and those whose types its handlers get. They
 * come from the program that runs, unless the processor's own folder has a copy.
 */
export const OFFERED_PACKAGES: readonly string[] = ["ext-proc", "@bufbuild/protobuf", "@connectrpc/connect"];

type Context = module.ResolveHookContext;
type NextResolve<Result> = (specifier: string, context?: Context) => Result;

/** From here the packages are found: this one by its own name, the others as its dependencies. */
const HERE = import.meta.url;
const require = createRequire(HERE);

/**
 * From now on lets modules import {@link OFFERED_PACKAGES} from anywhere on the disk, such as a folder that is mounted
 * into a container. A copy that Node finds by itself wins.
 */
export function offerOwnPackage(): void {
  if (isOffering) return;
  isOffering = true;
  // Node 22.15 and later. The hooks of older releases run in a thread of their own, and for `import` only.
  const { registerHooks } = module as unknown as SyncHooks;
  if (registerHooks !== undefined) {
    registerHooks({ resolve: resolveSync });
    return;
  }
  module.register(HERE);
  offerToRequire();
}

let isOffering = false;

/** What the type declarations of Node 20 lack. */
interface SyncHooks {
  readonly registerHooks?: (hooks: { readonly resolve: typeof resolveSync }) => unknown;
}

/**
 * The hook of module.register, which loads this very module into its thread.
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
    // For `require` Node goes by the module that calls it, whatever the context says.
    if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND")
      return { url: pathToFileURL(require.resolve(specifier)).href, shortCircuit: true };
    return nextResolve(specifier, { ...context, parentURL: HERE });
  }
}

/** What Node's CommonJS loader resolves names by; the type declarations lack it. */
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

/** Whether Node found no such package at all. A copy that is there and broken is an error, not a reason to use ours. */
function isMissing(specifier: string, error: unknown): boolean {
  if (!OFFERED_PACKAGES.some((name) => specifier === name || specifier.startsWith(`${name}/`))) return false;
  const { code, message = "" } = error as NodeJS.ErrnoException;
  if (code === "ERR_MODULE_NOT_FOUND") return message.startsWith("Cannot find package '");
  return code === "MODULE_NOT_FOUND" && message.startsWith(`Cannot find module '${specifier}'`);
}
