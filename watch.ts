/**
 * All models side by side, live in the browser: play two clients, and see what
 * each server does while one of them waits.
 *
 *   deno run -A watch.ts             then open http://127.0.0.1:8088/
 *   deno run -A watch.ts --open --only blocking,select,epoll
 *   deno run -A watch.ts --record run.html   a page that needs no server
 *
 * Every model runs as a process of its own, with its trace. What the page shows
 * comes from that trace, and the clients are real ones.
 */
import { chosenModels, type Model } from "./lib/models/models.ts";
import { playProgramme } from "./lib/watch/programme.ts";
import { WatchServer } from "./lib/watch/server.ts";
import { fail, flags, PORT, printable, reason, say, warn } from "./util.ts";

const options = flags("shows all models live, in the browser", {
  only: ["all", "which ones, such as select,poll"],
  beat: [1, "seconds from one event of the scene to the next"],
  port: [8088, "port of the page; 0 lets the system choose", PORT],
  open: [false, "opens the browser"],
  record: ["", "FILE: plays a programme, and saves it as a page"],
});

let models;
try {
  models = chosenModels(options.only);
} catch (error) {
  fail(`${printable((error as Error).message)}; see --help`, 2);
}

for (const name of ["net", "run", "read", "ffi", "env"] as const) {
  if (Deno.permissions.querySync({ name }).state !== "granted") {
    fail("starts the servers of all models: run with -A");
  }
}

if (options.record) {
  await record(options.record, models);
  Deno.exit();
}

let watchServer: WatchServer | null = null;
try {
  const http: Deno.HttpServer<Deno.NetAddr> = Deno.serve({
    hostname: "127.0.0.1", // no other machine's: it starts processes
    port: options.port,
    onListen: ({ port }) => {
      const url = `http://127.0.0.1:${port}/`;
      say(`watch.ts: listening on ${url}`);
      if (options.open) openBrowser(url);
    },
  }, (request) =>
    watchServer?.handle(request, http.addr.port) ??
      new Response("not yet\n", { status: 503 }));
  watchServer = new WatchServer(models, options.beat); // once it has its port
} catch (error) {
  const inUse = error instanceof Deno.errors.AddrInUse;
  const why = reason(error) + (inUse ? "; try --port 0" : "");
  fail(`cannot listen on 127.0.0.1:${options.port}: ${why}`);
}

/** Plays the programme, and saves what there was to see as a page. */
async function record(file: string, models: Model[]) {
  const shown = printable(file);
  try {
    await Deno.writeTextFile(file, "", { append: true }); // or it fails later
    say(`recording ${shown}: about a minute`);
    const server = new WatchServer(models, options.beat);
    await playProgramme(server);
    const html = await server.recording();
    await Deno.writeTextFile(file, html);
    say(`recorded ${shown}: ${Math.round(html.length / 1000)} kB`);
  } catch (error) {
    fail(`cannot write ${shown}: ${reason(error)}`);
  }
}

/** Opens a page in the browser that the system prefers. */
async function openBrowser(url: string) {
  const openers: Partial<Record<typeof Deno.build.os, string[]>> = {
    darwin: ["open"],
    windows: ["cmd", "/c", "start"],
  };
  const [program, ...args] = openers[Deno.build.os] ?? ["xdg-open"];
  try {
    const { success } = await new Deno.Command(program, {
      args: [...args, url],
      stdout: "null",
      stderr: "null",
    }).output();
    if (!success) throw new Error(`${program} has failed`);
  } catch (error) {
    warn(`cannot open the browser: ${reason(error)}`);
  }
}
