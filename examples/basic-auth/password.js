import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

/** @type {(password: string, salt: Buffer, bytes: number, options: import("node:crypto").ScryptOptions) => Promise<Buffer>} */
const derive = promisify(scrypt);
/** About 30 ms and 16 MiB for each check: expensive for an attacker, and within a processor's timeout of 150 ms. */
const COST = { N: 2 ** 14, r: 8, p: 1 };
const HASH_BYTES = 32;

/**
 * A password in the form in which it can be stored: salt and hash.
 *
 * @param {string} password
 */
export async function hashPassword(password) {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, HASH_BYTES, COST);
  return `${salt.toString("base64")}:${hash.toString("base64")}`;
}

/**
 * True if a password is the one that was hashed. It takes the same time if it is not.
 *
 * @param {string} password
 * @param {string} hashed
 */
export async function matchesPassword(password, hashed) {
  const [salt = "", hash = ""] = hashed.split(":");
  const expected = Buffer.from(hash, "base64");
  const derived = await derive(password, Buffer.from(salt, "base64"), HASH_BYTES, COST);
  return expected.length === HASH_BYTES && timingSafeEqual(derived, expected);
}
