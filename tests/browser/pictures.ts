/**
 * Takes the screenshots of watch.ts in docs/:
 *
 *   cd tests/browser && CHROMIUM=/usr/bin/chromium deno run -A pictures.ts
 */
import { fileURLToPath } from "node:url";
import { pause } from "../../lib/time.ts";
import { launchBrowser, startWatch } from "./browser.ts";

const SCREENSHOTS = [
  { file: "watch.png", language: "en", scheme: "light" },
  { file: "watch.zh-CN.png", language: "zh", scheme: "dark" },
] as const;

const docs = new URL("../../docs/", import.meta.url);
const server = await startWatch(["--port", "0"]);
const executablePath = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";
const browser = await launchBrowser(executablePath);
try {
  for (const { file, language, scheme } of SCREENSHOTS) {
    const page = await browser.newPage();
    await page.setViewport({
      width: 1440,
      height: 880,
      deviceScaleFactor: 1,
    });
    await page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: scheme },
    ]);
    await page.evaluateOnNewDocument((language) => {
      localStorage.setItem("predicted", "yes");
      localStorage.setItem("language", language);
    }, language);
    await page.goto(`http://127.0.0.1:${server.port}/`);
    await page.waitForSelector('[aria-label="select.ts"] [data-state="all"]');
    await pause(4000); // nothing happens, and then the scene begins
    await page.click('[aria-label="blocking.ts"] .script');
    await page.waitForSelector("#lines [aria-current]");
    await page.click("#closer");
    await page.click("#scene");
    await pause(3200); // A has just been answered, and B waits at blocking.ts
    const path = fileURLToPath(new URL(file, docs));
    await page.screenshot({ path: path as `${string}.png` });
    await pause(3000);
    await page.close();
  }
} finally {
  await browser.close();
  await server.stop();
}
