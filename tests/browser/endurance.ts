/**
 * Whether the page keeps up: all models at `as fast as they can`, with 100 idle
 * clients, for so many minutes; each minute the pictures a second, the page's
 * memory after a collection, and that of the server.
 *
 *   cd tests/browser && CHROMIUM=/usr/bin/chromium deno run -A endurance.ts 60
 */
import { launch, watch } from "./browser.ts";

const minutes = Number(Deno.args[0] ?? 5);
const server = await watch(["--port", "0"]);
const browser = await launch(Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium");
const pause = (s: number) => new Promise((done) => setTimeout(done, s * 1000));
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(`http://127.0.0.1:${server.port}/`);
  await pause(3);
  await page.click('[data-wish*="idle"][data-wish*=":100"]');
  await page.click("#load");
  await pause(20);
  for (let minute = 0; minute <= minutes; minute++) {
    const figures = await page.evaluate(async () => {
      let frames = 0;
      let longest = 0;
      let last = performance.now();
      const end = last + 20_000;
      while (last < end) {
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
        frames++;
      }
      return { rate: frames / 20, longest };
    });
    const devtools = await page.createCDPSession();
    await devtools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await devtools.send("Runtime.getHeapUsage");
    await devtools.detach();
    const status = await Deno.readTextFile(`/proc/${server.pid}/status`);
    const memory = Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
    console.log(
      `${minute} min: ${figures.rate.toFixed(1)} pictures a second, ` +
        `at most ${figures.longest.toFixed(0)} ms apart; ` +
        `page ${(usedSize / 1e6).toFixed(1)} MB, server ${
          memory.toFixed(0)
        } MB`,
    );
    if (minute < minutes) await pause(40);
  }
} finally {
  await browser.close();
  await server.stop();
}
