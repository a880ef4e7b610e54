import { refuseAdminAddress } from "./admin-access.ts";
import type { ListenAddress } from "./listen-address.ts";
import { ListenError, type ListenOption, listenAddressOf } from "./listen-error.ts";

/** The addresses of a server, as options of `serve()`. */
export type ListenTexts = { readonly [O in ListenOption]?: string | undefined } & {
  readonly adminToken?: string | undefined;
};

/**
 * Parses the addresses of all listeners. It does not check whether the ports are free.
 *
 * @throws {ListenError} If an address is malformed, or needs a token that is not set.
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
