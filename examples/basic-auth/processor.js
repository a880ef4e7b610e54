import { randomUUID } from "node:crypto";
import { defineProcessor, immediateResponse, removeHeader, setHeader } from "ext-proc";
import { hashPassword, matchesPassword } from "./password.js";

/** Checks of passwords that may run at once. Each costs a thread and 16 MiB, and anyone may ask for one. */
const MAX_CHECKS = 4;

/**
 * HTTP Basic authentication (RFC 7617).
 *
 * @param {{ realm: string, users: Readonly<Record<string, string>> }} options `users`: hashes of `hashPassword`, by name.
 */
export function basicAuth({ realm, users }) {
  const challenge = { "www-authenticate": `Basic realm="${realm}", charset="UTF-8"` };
  const unauthorized = immediateResponse(401, { text: "Who are you?\n", headers: challenge, details: "basic_auth" });
  // Someone to compare unknown users with, so that they cannot be told from known ones by the time that it takes.
  let nobody = "";
  let checks = 0;
  return defineProcessor({
    name: "basic-auth",
    onFault: "closed",
    async setup() {
      nobody = await hashPassword(randomUUID());
    },
    async requestHeaders(_headers, tx) {
      // The upstream might heed the other one of two. Envoy joins them with a comma, which no credentials have; where a
      // host does not, they are a fault, and refused by onFault.
      const credentials = credentialsIn(tx.request.one("authorization") ?? "");
      if (credentials === undefined) return unauthorized;
      if (checks >= MAX_CHECKS) return immediateResponse(503, { headers: { "retry-after": "1" } });
      checks++;
      try {
        const { user, password } = credentials;
        const hashed = Object.hasOwn(users, user) ? users[user] : undefined;
        const matches = await matchesPassword(password, hashed ?? nobody);
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

/** `BASIC_AUTH_USERS`: `{"ada": "SALT:HASH"}`. Without it every request gets 401. */
export default basicAuth({ realm: "example", users: JSON.parse(process.env.BASIC_AUTH_USERS ?? "{}") });
