import { randomUUID } from "node:crypto";
import { appendHeader, defineProcessor } from "ext-proc";

/**
 * A `set-cookie` value (RFC 6265). Browsers send the cookie over HTTPS only and not with forms of other sites. Scripts
 * cannot read it unless `scripts` is true.
 *
 * @param {string} name
 * @param {string} value
 * @param {{ maxAgeS?: number, scripts?: boolean }} options
 */
function cookie(name, value, { maxAgeS, scripts = false }) {
  const attributes = [
    `${name}=${encodeURIComponent(value)}`,
    "Path=/",
    ...(maxAgeS === undefined ? [] : [`Max-Age=${maxAgeS}`]),
    ...(scripts ? [] : ["HttpOnly"]),
    "Secure",
    "SameSite=Lax",
  ];
  return attributes.join("; ");
}

export default defineProcessor({
  name: "set-cookie",
  responseHeaders(_headers, tx) {
    const known = /(?:^|;\s*)__Host-visitor=[^;]/.test(tx.request.get("cookie") ?? "");
    if (known) return undefined;
    // Each cookie is a separate line, in addition to the upstream's lines, because cookies cannot be joined with
    // commas.
    return [
      appendHeader("set-cookie", cookie("__Host-visitor", randomUUID(), { maxAgeS: 31_536_000 })),
      appendHeader("set-cookie", cookie("theme", "light & plain", { scripts: true })),
    ];
  },
});
