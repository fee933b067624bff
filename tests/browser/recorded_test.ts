/**
 * Pages that were saved, in a real browser without a window, from file://. They
 * get no server, and ask for none.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Page } from "puppeteer-core";
import { findings, inAllLooks } from "./axe.ts";
import { launchBrowser, startWatch } from "./browser.ts";
import { executablePath } from "./executable.ts";

const demo = new URL("../../docs/demo.html", import.meta.url);
const TIMEOUT = 20_000; // ms

/** Opens a file; what goes wrong there, or leaves the page, is in `faults`. */
async function open(
  page: Page,
  url: string,
  size: { width: number; height: number },
) {
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (line) => {
    if (line.type() === "error") faults.push(line.text());
  });
  page.on("request", (request) => {
    const { protocol } = new URL(request.url());
    const isOwn = request.url().split("#")[0] === url.split("#")[0];
    if (!isOwn && protocol !== "data:") faults.push(request.url());
  });
  page.setDefaultTimeout(TIMEOUT);
  await page.setViewport(size);
  await page.goto(url);
  return faults;
}

const states = (page: Page) =>
  page.$$eval(
    ".model",
    (models) =>
      models.map((model) => [
        model.getAttribute("aria-label"),
        model.querySelector(".present > [data-state]")?.textContent,
      ]),
  );

/** Waits until a client of a model is said to be what the text begins with. */
const until = (page: Page, script: string, text: string) =>
  page.waitForFunction(
    (script, text) =>
      [...document.querySelectorAll(
        `[aria-label="${script}"] :is(.present, .clients) > *`,
      )].some((found) => found.textContent?.startsWith(text)),
    { polling: "mutation" },
    script,
    text,
  );

Deno.test({
  name: "a page that was saved",
  ignore: !executablePath,
  sanitizeOps: false, // the driver's own
  sanitizeResources: false,
}, async (test) => {
  const server = await startWatch([
    "--port",
    "0",
    "--beat",
    "0.4",
    "--only",
    "blocking,select",
  ]);
  const browser = await launchBrowser(executablePath!);
  const file = await Deno.makeTempFile({ suffix: ".html" });
  try {
    await test.step("is recorded while the page is looked at", async () => {
      const page = await browser.newPage();
      page.setDefaultTimeout(TIMEOUT);
      const url = `http://127.0.0.1:${server.port}/`;
      await page.goto(url);
      await until(page, "select.ts", "asleep in select");
      await page.click("#scene");
      await until(page, "blocking.ts", "B waiting");
      await until(page, "blocking.ts", "B answered");
      await until(page, "blocking.ts", "B not here");
      const href = await page.$eval(
        "::-p-aria([name='Save as a page'])",
        (link) => (link as HTMLAnchorElement).href,
      );
      const response = await fetch(href);
      await Deno.writeTextFile(file, await response.text());
      await page.close();
    });

    await test.step("plays the same again, without a server", async () => {
      const page = await browser.newPage();
      const faults = await open(page, `file://${file}`, {
        width: 1280,
        height: 800,
      });
      await until(page, "blocking.ts", "B waiting");
      await until(page, "blocking.ts", "B answered");
      assertMatch(
        await page.$eval("#recorded", (badge) => badge.textContent ?? ""),
        /^Recorded on .* \(Deno .*\)\. Live: deno run -A watch\.ts$/,
      );
      const hidden = await page.$$eval(
        "[data-command], #load, #save",
        (found) =>
          found.filter((button) => !(button as HTMLElement).checkVisibility())
            .map(({ id, ariaLabel, textContent }) =>
              id || ariaLabel || textContent
            ),
      );
      assertEquals(hidden.length, 10, hidden.join()); // all but the scene
      await inAllLooks(page, async (look) => {
        assertEquals(await findings(page), [], look);
      });
      // When it is over, it stands; and begins again.
      await page.waitForSelector("#past:not([hidden])");
      await page.click("#scene");
      await page.waitForSelector("#past[hidden]");
      await until(page, "blocking.ts", "B waiting");
      assertEquals(faults, []);
      await page.close();
    });

    await test.step("has the code, with the line of the call marked", async () => {
      const page = await browser.newPage();
      const faults = await open(page, `file://${file}`, {
        width: 1280,
        height: 800,
      });
      await page.waitForSelector('[aria-label="select.ts"]');
      await page.click('[aria-label="select.ts"] .script');
      const line = await page.waitForSelector("#lines [aria-current]");
      assertMatch(
        await line!.evaluate((line) => line.textContent ?? ""),
        /select\(nfds/,
      );
      await page.waitForFunction(() =>
        document.querySelector("#calls")?.textContent?.includes("accept4(")
      );
      await page.click("#scene"); // the code stays open
      await page.waitForSelector("#code:not([hidden]) #lines [aria-current]");
      await page.keyboard.press("1"); // nobody can connect
      assertEquals(
        await page.$eval("#notice", (notice) => notice.textContent),
        "",
      );
      assertEquals(faults, []);
      await page.close();
    });
  } finally {
    await browser.close();
    await server.stop();
    await Deno.remove(file);
  }
});

Deno.test({
  name: "docs/demo.html",
  ignore: !executablePath,
  sanitizeOps: false, // the driver's own
  sanitizeResources: false,
}, async (test) => {
  const { size } = await Deno.stat(demo);
  assert(size < 1_500_000, `${size} bytes`);
  const browser = await launchBrowser(executablePath!);
  try {
    for (const width of [390, 1280]) {
      await test.step(`shows every lane at ${width} px`, async () => {
        const page = await browser.newPage();
        const faults = await open(page, `${demo}#idle=500&load`, {
          width,
          height: 844,
        });
        await page.waitForFunction(() =>
          [...document.querySelectorAll(".metrics")].some((metrics) =>
            metrics.textContent?.includes("µs CPU")
          )
        );
        const shown = await states(page);
        assertEquals(shown.length, 10, shown.join());
        for (const [script, state] of shown) {
          assert(state && !/starting|cannot run/.test(state), script!);
        }
        const scrollWidth = await page.$eval(
          "html",
          (html) => html.scrollWidth,
        );
        assert(scrollWidth <= width, `${scrollWidth} pixels`);
        assertMatch(page.url(), /#idle=500&load$/);
        // The last part is about two models.
        await page.click("::-p-aria([name='the scene, slowly'])");
        await page.waitForFunction(() =>
          document.querySelectorAll(".model:not([hidden])").length === 2
        );
        await until(page, "blocking.ts", "B waiting");
        assertMatch(page.url(), /#only=blocking,epoll$/);
        assertEquals(faults, []);
        await page.close();
      });
    }
  } finally {
    await browser.close();
  }
});
