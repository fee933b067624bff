/**
 * Takes the pictures of watch.ts that stand in docs/:
 *
 *   cd tests/browser && CHROMIUM=/usr/bin/chromium deno run -A pictures.ts
 */
import { launch, watch } from "./browser.ts";

const docs = new URL("../../docs/", import.meta.url);
const server = await watch(["--port", "0"]);
const browser = await launch(Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium");
const pause = (s: number) => new Promise((done) => setTimeout(done, s * 1000));
try {
  for (
    const [file, language, scheme] of [
      ["watch.png", "en", "light"],
      ["watch.zh-CN.png", "zh", "dark"],
    ]
  ) {
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
    await pause(4); // of rest, and then the scene
    await page.click('[aria-label="blocking.ts"] .script');
    await page.waitForSelector("#lines [aria-current]");
    await page.click("#closer");
    await page.click("#scene");
    await pause(3.2); // A has just been answered, and B waits at blocking.ts
    const path = decodeURIComponent(new URL(file, docs).pathname);
    await page.screenshot({ path: path as `${string}.png` });
    await pause(3);
    await page.close();
  }
} finally {
  await browser.close();
  await server.stop();
}
