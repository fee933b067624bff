/**
 * All models, live in the browser: be the second client, and see who stands
 * there.
 *
 *   deno run -A watch.ts             then open http://127.0.0.1:8088/
 *   deno run -A watch.ts --open --only blocking,select,epoll
 *
 * Every model runs as a process of its own, with its trace. What the page shows
 * comes from that trace, and the clients are real ones.
 */
import { chosenModels } from "./lib/models/models.ts";
import { WatchServer } from "./lib/watch/server.ts";
import { fail, flags, PORT, printable, reason, say, warn } from "./util.ts";

const given = flags("shows all models live, in the browser", {
  only: ["all", "which ones, such as select,poll"],
  beat: [1, "seconds from one event of the scene to the next"],
  port: [8088, "port of the page; 0 lets the system choose", PORT],
  open: [false, "opens the browser"],
});

let models;
try {
  models = chosenModels(given.only);
} catch (error) {
  fail(`${printable((error as Error).message)}; see --help`, 2);
}

for (const name of ["net", "run", "read", "ffi", "env"] as const) {
  if (Deno.permissions.querySync({ name }).state !== "granted") {
    fail("starts the servers of all models: run with -A");
  }
}

let watchServer: WatchServer | null = null;
try {
  const server: Deno.HttpServer<Deno.NetAddr> = Deno.serve({
    hostname: "127.0.0.1", // nobody else's: it starts processes
    port: given.port,
    onListen: ({ port }) => {
      say(`watch.ts: listening on http://127.0.0.1:${port}/`);
      if (given.open) open(`http://127.0.0.1:${port}/`);
    },
  }, (request) =>
    watchServer?.handle(request, server.addr.port) ??
      new Response("not yet\n", { status: 503 }));
  watchServer = new WatchServer(models, given.beat);
} catch (error) {
  const inUse = error instanceof Deno.errors.AddrInUse;
  const why = reason(error) + (inUse ? "; try --port 0" : "");
  fail(`cannot listen on 127.0.0.1:${given.port}: ${why}`);
}

/** In the browser that the system prefers. */
async function open(url: string) {
  const { os } = Deno.build;
  const command = os === "darwin" ? "open" : "xdg-open";
  try {
    const [name, ...args] = os === "windows"
      ? ["cmd", "/c", "start", url]
      : [command, url];
    const { success } = await new Deno.Command(name, {
      args,
      stdout: "null",
      stderr: "null",
    }).output();
    if (!success) throw new Error(`${name} has failed`);
  } catch (error) {
    warn(`cannot open the browser: ${reason(error)}`);
  }
}
