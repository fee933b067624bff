/**
 * Measures whether the page keeps up for so many minutes: all models at `as fast
 * as they can`, with 100 idle clients. Prints each minute the frames a second,
 * the page's memory after a garbage collection, and the server's memory.
 *
 *   cd tests/browser && CHROMIUM=/usr/bin/chromium deno run -A endurance.ts 60
 */
import { pause } from "../../lib/time.ts";
import { launchBrowser, startWatch } from "./browser.ts";

const minutes = Number(Deno.args[0] ?? 5);
const server = await startWatch(["--port", "0"]);
const executablePath = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";
const browser = await launchBrowser(executablePath);
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(`http://127.0.0.1:${server.port}/`);
  await pause(3000);
  await page.click('[data-command*="idle"][data-command*=":100"]');
  await page.click("#load");
  await pause(20_000);
  for (let minute = 0; minute <= minutes; minute++) {
    const { rate, longest } = await page.evaluate(async () => {
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
      `${minute} min: ${rate.toFixed(1)} frames a second, ` +
        `at most ${longest.toFixed(0)} ms apart; ` +
        `page ${(usedSize / 1e6).toFixed(1)} MB, ` +
        `server ${memory.toFixed(0)} MB`,
    );
    if (minute < minutes) await pause(40_000);
  }
} finally {
  await browser.close();
  await server.stop();
}
