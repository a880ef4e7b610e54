/** The URL of a server that is named `HOST:PORT`, for plain text, or by a URL with `http:` or `https:`; else undefined. */
export function serverUrl(target: unknown): string | undefined {
  if (typeof target !== "string") return undefined;
  const url = /^[^/\s]+:\d{1,5}$/.test(target) ? `http://${target}` : target;
  return /^https?:\/\/[^/\s]+\/?$/.test(url) && URL.canParse(url) ? url : undefined;
}
