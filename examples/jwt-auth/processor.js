import { defineProcessor, immediateResponse, removeHeader, setHeader } from "ext-proc";
import { errors, jwtVerify } from "jose";
import { KeySet } from "./key-set.js";

/**
 * Lets a request pass only with a JSON Web Token (RFC 6750, RFC 7519) of one issuer, for one audience.
 *
 * @param {{ keys: KeySet, issuer: string, audience: string }} options
 */
export function jwtAuth({ keys, issuer, audience }) {
  // Asymmetric algorithms only, so that a public key can never be used as a shared secret.
  const checks = { issuer, audience, algorithms: ["ES256", "RS256", "EdDSA"], requiredClaims: ["exp", "sub"] };
  return defineProcessor({
    name: "jwt-auth",
    // After any failure the request is rejected, whatever Envoy's failure_mode_allow says.
    onFault: "closed",
    // The server is not ready before it has keys. After a rejection it tries again.
    setup: (signal) => keys.load(signal),
    async requestHeaders(_headers, tx) {
      // If there are two values, the upstream could use the other one. Envoy joins them with a comma, which no
      // credentials have. If another host does not join them, one() is a fault, and onFault rejects the request.
      const authorization = tx.request.one("authorization");
      if (authorization === undefined) return unauthorized('Bearer realm="example"');
      const [, token] = /^bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization) ?? [];
      if (token === undefined) return unauthorized('Bearer error="invalid_request"');
      try {
        const { payload } = await jwtVerify(token, keys.find, checks);
        // Replaces any value that the client sent in this header.
        return [setHeader("x-user", encodeURIComponent(payload.sub ?? "")), removeHeader("authorization")];
      } catch (error) {
        // For any other error the token is not to blame, and onFault decides.
        if (!(error instanceof errors.JOSEError)) throw error;
        return unauthorized('Bearer error="invalid_token"');
      }
    },
  });
}

/** @param {string} challenge */
function unauthorized(challenge) {
  const headers = { "www-authenticate": challenge, "cache-control": "no-store" };
  return immediateResponse(401, { json: { error: "unauthorized" }, headers, details: "jwt_auth" });
}

const { JWKS_URL = "http://127.0.0.1:8080/jwks.json" } = process.env;
const { JWT_ISSUER = "https://issuer.example", JWT_AUDIENCE = "example" } = process.env;

export default jwtAuth({ keys: new KeySet(new URL(JWKS_URL)), issuer: JWT_ISSUER, audience: JWT_AUDIENCE });
