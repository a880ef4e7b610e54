import { refuseAdminAddress } from "./admin-access.ts";
import type { ListenAddress } from "./listen-address.ts";
import { ListenError, type ListenOption, listenAddressOf } from "./listen-error.ts";

/** Where a server is to listen, as `serve()` takes it. */
export type ListenTexts = { readonly [O in ListenOption]?: string | undefined } & {
  readonly adminToken?: string | undefined;
};

/**
 * Reads the addresses of all listeners, without trying them.
 *
 * @throws {ListenError} Where one is malformed, or may not be used as it is.
 */
export function listenAddresses(texts: ListenTexts): Readonly<Record<ListenOption, ListenAddress>> {
  const { listen = ":9002", statusListen = ":9003", adminListen = "127.0.0.1:9004", adminToken } = texts;
  const addresses = {
    listen: listenAddressOf("listen", listen),
    statusListen: listenAddressOf("statusListen", statusListen),
    adminListen: listenAddressOf("adminListen", adminListen),
  };
  if (addresses.listen.kind === "off") throw new ListenError("listen", 'the main listener cannot be "off"', true);
  const refusal = refuseAdminAddress(addresses.adminListen, adminToken);
  if (refusal !== undefined) throw new ListenError("adminListen", `${adminListen} is ${refusal}`, true);
  return addresses;
}
