import { randomUUID } from "node:crypto";
import { defineProcessor, immediateResponse, removeHeader, setHeader } from "ext-proc";
import { hashPassword, matchesPassword } from "./password.js";

/** Most password checks at the same time. Each uses a thread and 16 MiB, and every client can cause one. */
const MAX_CHECKS = 4;

/**
 * HTTP Basic authentication (RFC 7617).
 *
 * @param {{ realm: string, users: Readonly<Record<string, string>> }} options `users`: hashes of `hashPassword`, by
 *   name.
 */
export function basicAuth({ realm, users }) {
  const challenge = { "www-authenticate": `Basic realm="${realm}", charset="UTF-8"` };
  const unauthorized = immediateResponse(401, { text: "Who are you?\n", headers: challenge, details: "basic_auth" });
  // The hash to compare unknown users with, so that their requests take as long as those of known users.
  let placeholder = "";
  let checks = 0;
  return defineProcessor({
    name: "basic-auth",
    onFault: "closed",
    async setup() {
      placeholder = await hashPassword(randomUUID());
    },
    async requestHeaders(_headers, tx) {
      // If there are two values, the upstream could use the other one. Envoy joins them with a comma, which no
      // credentials have. If another host does not join them, one() is a fault, and onFault rejects the request.
      const credentials = credentialsIn(tx.request.one("authorization") ?? "");
      if (credentials === undefined) return unauthorized;
      if (checks >= MAX_CHECKS) return immediateResponse(503, { headers: { "retry-after": "1" } });
      checks++;
      try {
        const { user, password } = credentials;
        const hashed = Object.hasOwn(users, user) ? users[user] : undefined;
        const matches = await matchesPassword(password, hashed ?? placeholder);
        if (hashed === undefined || !matches) return unauthorized;
        return [setHeader("x-user", user), removeHeader("authorization")];
      } finally {
        checks--;
      }
    },
  });
}

/** @param {string} authorization */
function credentialsIn(authorization) {
  const [, token = ""] = /^basic +([\w+/.~-]+=*)$/i.exec(authorization) ?? [];
  const [, user, password] = /^([^:]+):(.*)$/s.exec(Buffer.from(token, "base64").toString()) ?? [];
  return user === undefined || password === undefined ? undefined : { user, password };
}

/** `BASIC_AUTH_USERS`: `{"ada": "SALT:HASH"}`. Without it every request is rejected. */
export default basicAuth({ realm: "example", users: JSON.parse(process.env.BASIC_AUTH_USERS ?? "{}") });
