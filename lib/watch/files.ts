/** The files of the page, and what keeps other sites away from them. */

const CONTENT_TYPES: Record<string, string> = {
  html: "text/html",
  css: "text/css",
  js: "text/javascript",
  ts: "text/plain",
};

/**
 * Whether a request comes from a page of this server, which is at that port.
 * Other sites can send requests here, and with a name of their own for this
 * address even read the answers; but they cannot lie about Host and Origin.
 */
export function isFromOwnPage(request: Request, port: number): boolean {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  if (port === 80) hosts.push("127.0.0.1", "localhost");
  const host = request.headers.get("host") ?? "";
  const origin = request.headers.get("origin");
  if (!hosts.includes(host)) return false;
  // Behind a tunnel that ends TLS, Host is ours, and Origin too but for https.
  if (origin !== null) return /^https?:\/\/(.*)$/.exec(origin)?.[1] === host;
  return !isWebSocket(request); // a browser gives each WebSocket its origin
}

/** Whether a request asks for a WebSocket. */
export function isWebSocket(request: Request): boolean {
  return request.method === "GET" &&
    request.headers.get("upgrade")?.toLowerCase() === "websocket";
}

/**
 * Answers with the file that a path names: the page, its parts, or one of the
 * scripts. The paths have the folders of lib/, for the parts import each other.
 */
export async function serveFile(
  pathname: string,
  scripts: string[],
  host: string,
): Promise<Response> {
  const file = fileOf(pathname, scripts);
  const body = file && await read(file);
  if (!body) return respond(404, "not here\n", host);
  return respond(200, body, host, CONTENT_TYPES[file.split(".").at(-1)!]);
}

/** Where the file is, seen from here. */
function fileOf(pathname: string, scripts: string[]): string | undefined {
  if (pathname === "/") return "page/index.html";
  if (pathname === "/models/states.js") return "../models/states.js";
  const part = /^\/watch\/(page\/[\w-]+\.(?:html|css|js))$/.exec(pathname);
  if (part) return part[1];
  const script = scripts.find((script) => pathname === `/source/${script}`);
  return script && `../../${script}`;
}

/** The text of a part of the page, or of a script, by its path there. */
export async function readPart(
  pathname: string,
  scripts: string[] = [],
): Promise<string> {
  const file = fileOf(pathname, scripts);
  const body = file && await read(file);
  if (!body) throw new Error(`${pathname} is not there`);
  return await new Response(body).text();
}

/** A file beside this one, which may have come from a URL; null without one. */
async function read(file: string) {
  try {
    const response = await fetch(new URL(file, import.meta.url));
    if (response.ok) return response.body;
    await response.body?.cancel();
  } catch { /* no such file */ }
  return null;
}

/**
 * A response that no other site can frame, read or take for something else; with
 * a name, the browser saves it as a file.
 */
export function respond(
  status: number,
  body: string | ReadableStream<Uint8Array<ArrayBuffer>>,
  host: string,
  type = "text/plain",
  saveAs?: string,
): Response {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    `connect-src 'self'${status === 200 ? ` ws://${host} wss://${host}` : ""}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return new Response(body, {
    status,
    headers: {
      "content-type": `${type}; charset=utf-8`,
      "content-security-policy": policy.join("; "),
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
      "cache-control": "no-store",
      ...status === 405 ? { "allow": "GET, HEAD" } : {},
      ...saveAs
        ? { "content-disposition": `attachment; filename="${saveAs}"` }
        : {},
    },
  });
}
