import type { Terminal } from "../terminal/terminal.ts";
import { CliError, EXIT } from "../terminal/usage-error.ts";
import { curlCommand, type TryRequest, type TryResponse, tryRequest } from "./try-request.ts";

/** A request of the demo, with a check of its response. */
export interface DemoRequest {
  readonly title: string;
  readonly request: TryRequest;
  /** What is missing in the response; undefined if nothing is. */
  readonly lacks: (response: TryResponse) => string | undefined;
}

/** The requests of the demo: through Envoy on one port, and directly to the server on the other port. */
export function demoRequests(envoyPort: number, servicePort: number): readonly DemoRequest[] {
  const url = `http://localhost:${envoyPort}/headers`;
  return [
    {
      title: "Both directions: the response has a new header, and the JSON shows the new header that the upstream got",
      request: { url },
      lacks: (response) =>
        lackingUpstream(response, "X-Ext-Proc-Header", "hello-to-asm") ??
        lacking("x-ext-proc-header: hello-from-asm", response.headers["x-ext-proc-header"] === "hello-from-asm"),
    },
    {
      title: "header-modifier sets the request headers that the client names",
      request: { url, headers: { "request-header-modifier": '{"x-demo": "set by the client"}' } },
      lacks: (response) => lackingUpstream(response, "X-Demo", "set by the client"),
    },
    {
      title: "The same processors without Envoy, in JSON; rawValue is bytes, so it is base64",
      request: {
        url: `http://localhost:${servicePort}/extproc.debug.v1.DebugService/Process`,
        headers: { "content-type": "application/json" },
        body: '{"requests": [{"requestHeaders": {}}]}',
      },
      lacks: (response) => lacking("requestHeaders", response.body.includes("requestHeaders")),
    },
  ];
}

/**
 * Prints the curl command and the response.
 *
 * @throws {CliError} If something is missing in the response.
 */
export async function show({ title, request, lacks }: DemoRequest, terminal: Terminal): Promise<void> {
  terminal.out(`# ${title}`);
  terminal.out(`$ ${curlCommand(request)}`);
  const response = await tryRequest(request);
  for (const line of response.lines) terminal.out(line);
  terminal.out("");
  const problem = lacks(response);
  if (problem !== undefined) throw new CliError(`the response to ${curlCommand(request)} has no ${problem}`, EXIT.bad);
}

function lackingUpstream({ body }: TryResponse, name: string, value: string): string | undefined {
  return lacking(`${name}: ${value} in its JSON`, body.includes(`"${name}": "${value}"`));
}

function lacking(what: string, isThere: boolean): string | undefined {
  return isThere ? undefined : what;
}
