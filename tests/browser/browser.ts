/** watch.ts, and a browser without a window that opens its page. */
import puppeteer, { type Browser } from "puppeteer-core";
import { scriptCommand, startProcess } from "../../lib/process.ts";

const root = new URL("../..", import.meta.url);

/** watch.ts as a process that listens. */
export interface WatchProcess {
  port: number;
  pid: number;
  /** Stops watch.ts as Ctrl-C does, with the servers that it has started. */
  stop(): Promise<void>;
}

/** Starts watch.ts, and waits until it listens. */
export async function startWatch(args: string[]): Promise<WatchProcess> {
  const child = startProcess(
    scriptCommand("watch.ts", ...args),
    {
      onLine(line, stream) {
        if (stream === "stderr") console.error(line);
      },
    },
    { cwd: root },
  );
  return {
    port: await child.port,
    pid: child.pid,
    async stop() {
      Deno.kill(child.pid, "SIGINT");
      await child.ended;
    },
  };
}

/** Starts a browser with an empty profile, which is removed when it closes. */
export async function launchBrowser(executablePath: string): Promise<Browser> {
  const userDataDir = await Deno.makeTempDir();
  const browser = await puppeteer.launch({
    executablePath,
    userDataDir,
    headless: true,
    args: [
      "--no-sandbox", // root has none, and the page is our own
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  browser.on("disconnected", () => {
    Deno.remove(userDataDir, { recursive: true }).catch(() => {});
  });
  return browser;
}
