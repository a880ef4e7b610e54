import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";

/** An HTTP request that the demo prints as a curl command and sends itself. */
export interface TryRequest {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The body of a POST. Without it the request is a GET. */
  readonly body?: string | undefined;
}

/** The response to a request of the demo. */
export interface TryResponse {
  readonly status: number;
  /** By lower-case name; several values are joined with `, `. */
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** The whole response as `curl -i` prints it, line by line. */
  readonly lines: readonly string[];
}

/** The curl command for this request, ready for a shell. */
export function curlCommand({ url, headers = {}, body }: TryRequest): string {
  const flags = Object.entries(headers).map(([name, value]) => ` -H ${quoted(`${name}: ${value}`)}`);
  return `curl -i ${url}${flags.join("")}${body === undefined ? "" : ` -d ${quoted(body)}`}`;
}

/** Sends the request, on its own connection that is kept alive as curl's is. Rejects if no response comes. */
export async function tryRequest({ url, headers = {}, body }: TryRequest): Promise<TryResponse> {
  const agent = new Agent({ keepAlive: true });
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpRequest(url, {
        agent,
        method: body === undefined ? "GET" : "POST",
        headers: {
          accept: "*/*",
          ...headers,
          ...(body !== undefined && { "content-length": Buffer.byteLength(body) }),
        },
      });
      request.once("response", resolve).once("error", reject).end(body);
    });
    return asCurlPrints(response, await text(response));
  } finally {
    agent.destroy();
  }
}

function asCurlPrints(response: IncomingMessage, body: string): TryResponse {
  const { httpVersion, statusCode: status = 0, statusMessage, rawHeaders, headers } = response;
  const head = [`HTTP/${httpVersion} ${status} ${statusMessage}`];
  for (let i = 0; i < rawHeaders.length; i += 2) head.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  return { status, headers, body, lines: [...head, "", ...body.trimEnd().split("\n")] };
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
