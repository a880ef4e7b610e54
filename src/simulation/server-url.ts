/**
 * Returns the URL of a server from `HOST:PORT` (plain text), or from a URL with `http:` or `https:`; undefined for
 * anything else.
 */
export function serverUrl(target: unknown): string | undefined {
  if (typeof target !== "string") return undefined;
  const url = /^[^/\s]+:\d{1,5}$/.test(target) ? `http://${target}` : target;
  return /^https?:\/\/[^/\s]+\/?$/.test(url) && URL.canParse(url) ? url : undefined;
}
