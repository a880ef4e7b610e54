import type { Terminal } from "../terminal/terminal.ts";
import { CliError, EXIT } from "../terminal/usage-error.ts";
import { curlCommand, type TryRequest, type TryResponse, tryRequest } from "./try-request.ts";

/** A request of the demo, and what its answer has to show. */
export interface DemoRequest {
  readonly title: string;
  readonly request: TryRequest;
  /** What the answer lacks, or undefined. */
  readonly lacks: (response: TryResponse) => string | undefined;
}

/** The requests that the demo makes, through Envoy on one port and straight to the service on the other. */
export function demoRequests(envoyPort: number, servicePort: number): readonly DemoRequest[] {
  const url = `http://localhost:${envoyPort}/headers`;
  return [
    {
      title: "Both directions: the response has its header, and the JSON shows the request's, as the upstream got it",
      request: { url },
      lacks: (response) =>
        lackingUpstream(response, "X-Ext-Proc-Header", "hello-to-asm") ??
        lacking("x-ext-proc-header: hello-from-asm", response.headers["x-ext-proc-header"] === "hello-from-asm"),
    },
    {
      title: "header-modifier sets on the request what the client asks for",
      request: { url, headers: { "request-header-modifier": '{"x-demo": "set by the client"}' } },
      lacks: (response) => lackingUpstream(response, "X-Demo", "set by the client"),
    },
    {
      title: "The same processors without Envoy, in JSON; rawValue is bytes, hence base64",
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
 * Shows the curl command and what it gets.
 *
 * @throws {CliError} Where the answer lacks what it has to show.
 */
export async function show({ title, request, lacks }: DemoRequest, terminal: Terminal): Promise<void> {
  terminal.out(`# ${title}`);
  terminal.out(`$ ${curlCommand(request)}`);
  const response = await tryRequest(request);
  for (const line of response.lines) terminal.out(line);
  terminal.out("");
  const problem = lacks(response);
  if (problem !== undefined) throw new CliError(`the answer to ${curlCommand(request)} lacks ${problem}`, EXIT.bad);
}

function lackingUpstream({ body }: TryResponse, name: string, value: string): string | undefined {
  return lacking(`${name}: ${value} in its JSON`, body.includes(`"${name}": "${value}"`));
}

function lacking(what: string, isThere: boolean): string | undefined {
  return isThere ? undefined : what;
}
