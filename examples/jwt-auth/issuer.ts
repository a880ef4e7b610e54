import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";

/** An issuer of tokens for tests, which also serves its key set. */
export interface Issuer {
  /** The URL of the key set. */
  readonly url: URL;
  /** How often the key set was fetched. */
  readonly fetches: number;
  /** Sets how it answers from now on: with its keys, with 503, with a page, or not at all. */
  behave(as: "well" | "failing" | "talking" | "silent"): void;
  /** Replaces the key: from now on a new key signs, and the old key is not in the key set. */
  rotate(): Promise<void>;
  /** A token signed with the current key. `claims` replace its valid claims; undefined removes a claim. */
  token(claims?: Readonly<Record<string, unknown>>): Promise<string>;
  close(): Promise<void>;
}

export const ISSUER = "https://issuer.example";
export const AUDIENCE = "example";

/** Starts an issuer on a free port of the loopback. */
export async function startIssuer(): Promise<Issuer> {
  let [keyNumber, fetches] = [0, 0];
  let behaviour = "well";
  let signing = await newKey(++keyNumber);
  const answer = (response: ServerResponse) => {
    fetches++;
    if (behaviour === "well") response.end(JSON.stringify({ keys: [signing.jwk] }));
    else if (behaviour === "failing") response.writeHead(503).end();
    else if (behaviour === "talking") response.end('{"welcome": "to our page"}');
  };
  const server = createServer((_request, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`),
    get fetches() {
      return fetches;
    },
    behave(as) {
      behaviour = as;
    },
    async rotate() {
      signing = await newKey(++keyNumber);
    },
    token: (claims = {}) =>
      new SignJWT({ sub: "ada", exp: Math.floor(Date.now() / 1000) + 60, iss: ISSUER, aud: AUDIENCE, ...claims })
        .setProtectedHeader({ alg: "ES256", kid: signing.jwk.kid ?? "" })
        .sign(signing.privateKey),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function newKey(number: number): Promise<{ readonly jwk: JWK; readonly privateKey: CryptoKey }> {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  return { jwk: { ...(await exportJWK(publicKey)), kid: `key-${number}`, alg: "ES256", use: "sig" }, privateKey };
}
