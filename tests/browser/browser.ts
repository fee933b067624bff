/** watch.ts, and a browser without a window to look at it. */
import puppeteer, { type Browser } from "puppeteer-core";

const root = new URL("../..", import.meta.url);

/** Starts watch.ts, and waits until it listens. */
export async function watch(args: string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "watch.ts", ...args],
    cwd: root,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    env: { NO_COLOR: "1" },
  }).spawn();
  let said = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    said += text;
    if (said.includes("\n")) break;
  }
  const [, port] = /listening on http:\/\/127\.0\.0\.1:(\d+)\/\n/.exec(said)!;
  return {
    port: Number(port),
    pid: child.pid,
    async stop() {
      child.kill("SIGINT");
      await child.status;
    },
  };
}

/** A browser with an empty profile, which goes with it. */
export async function launch(executablePath: string): Promise<Browser> {
  const userDataDir = await Deno.makeTempDir();
  const browser = await puppeteer.launch({
    executablePath,
    userDataDir,
    headless: true,
    args: [
      "--no-sandbox", // of no use to us, and root has none
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
