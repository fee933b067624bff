/**
 * The page of watch.ts in a real browser, without a window:
 *
 *   deno task browser
 *
 * CHROMIUM names the browser, where it is not in a usual place.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Page } from "puppeteer-core";
import { models } from "../../lib/models/models.ts";
import { STATES } from "../../lib/models/states.js";
import { pause } from "../../lib/time.ts";
import { findings, inAllLooks } from "./axe.ts";
import { launchBrowser, startWatch } from "./browser.ts";
import { executablePath } from "./executable.ts";

const root = new URL("../..", import.meta.url);
const TIMEOUT = 15_000; // ms

/** The text of a model's state or of one of its clients; empty without one. */
function text(page: Page, script: string, selector: string): Promise<string> {
  return page.$$eval(
    `[aria-label="${script}"] ${selector}`,
    ([found]) => found?.textContent ?? "",
  );
}

/** Waits until the text of a model matches. */
async function until(
  page: Page,
  script: string,
  selector: string,
  pattern: RegExp,
) {
  const end = performance.now() + TIMEOUT;
  let last = "";
  while (performance.now() < end) {
    last = await text(page, script, selector);
    if (pattern.test(last)) return;
    await pause(20);
  }
  throw new Error(`${script} ${selector}: "${last}", never ${pattern}`);
}

const STATE = ".present > [data-state]";
const A = '[data-client="A"]';
const B = '[data-client="B"]';

/** Clicks a button, which is found by its accessible name. */
async function press(page: Page, name: string) {
  const button = await page.waitForSelector(
    `::-p-aria([name="${name}"][role="button"])`,
    { timeout: TIMEOUT },
  );
  await button!.click();
}

/** Waits until the page has drawn what it knows. */
async function drawn(page: Page) {
  await page.evaluate(() =>
    new Promise((resolve) =>
      requestAnimationFrame(() => requestAnimationFrame(resolve))
    )
  );
}

/** All that the page says of a moment: words, counts, lines, the last calls. */
function moment(page: Page): Promise<string> {
  return page.evaluate(() => {
    const places = ".present, .metrics, #idle, [aria-current], #calls";
    return [...document.querySelectorAll(places)]
      .map(({ textContent }) => textContent).join("\n");
  });
}

/** The share of what is drawn of a thread's last seconds that shows it copying. */
function copyingShare(page: Page, script: string): Promise<number> {
  const colour = STATES.copying.colour.light;
  const rgb = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return page.$eval(
    `[aria-label="${script}"] canvas`,
    (found, rgb) => {
      const canvas = found as HTMLCanvasElement;
      const { width, height } = canvas;
      const context = canvas.getContext("2d")!;
      const quarter = Math.round(width / 4);
      const { data } = context.getImageData(
        width - quarter,
        0,
        quarter,
        height,
      );
      let drawn = 0;
      let copying = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3] === 255) drawn++;
        if (rgb.every((part, j) => data[i + j] === part)) copying++;
      }
      return copying / drawn;
    },
    rgb,
  );
}

/** How far the cursor is behind now, in ms, and the speed at which it moves. */
function slowMotion(page: Page): Promise<{ behind: number; speed: number }> {
  return page.evaluate(async () => {
    const time = await import("/watch/page/time.js" as string);
    const begin = performance.now();
    const from = time.view.cursor;
    await new Promise((resolve) => setTimeout(resolve, 500));
    const passed = performance.now() - begin;
    return {
      behind: time.presentTime() - from,
      speed: (time.view.cursor - from) / passed,
    };
  });
}

/** A tunnel as that of Codespaces: it ends TLS, and rewrites Host and Origin. */
async function tunnel(port: number, takesSockets: boolean) {
  const dir = await Deno.makeTempDir();
  const { success } = await new Deno.Command("openssl", {
    args: "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
      .split(" ").concat("-keyout", `${dir}/key`, "-out", `${dir}/cert`),
    stderr: "null",
  }).output();
  assert(success, "openssl");
  const local = `localhost:${port}`;
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    key: await Deno.readTextFile(`${dir}/key`),
    cert: await Deno.readTextFile(`${dir}/cert`),
    onListen() {},
  }, (request) => {
    const { pathname } = new URL(request.url);
    if (pathname !== "/live") {
      return fetch(`http://${local}${pathname}`);
    }
    if (!takesSockets) return new Response("no sockets", { status: 502 });
    const { socket, response } = Deno.upgradeWebSocket(request);
    const headers = { origin: `http://${local}` };
    const inner: WebSocket = Reflect.construct(WebSocket, [
      `ws://${local}/live`,
      { headers },
    ]);
    inner.addEventListener("message", ({ data }) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(data);
    });
    socket.addEventListener("message", ({ data }) => inner.send(data));
    socket.addEventListener("close", () => inner.close());
    return response;
  });
  return {
    url: `https://127.0.0.1:${server.addr.port}/`,
    async stop() {
      await server.shutdown();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

Deno.test({
  name: "watch.ts in a browser",
  ignore: !executablePath,
  sanitizeOps: false, // the driver's own
  sanitizeResources: false,
}, async (test) => {
  const only = "blocking,threads,nonblocking,select,epoll,async";
  let server = await startWatch([
    "--port",
    "0",
    "--beat",
    "0.3",
    "--only",
    only,
  ]);
  const browser = await launchBrowser(executablePath!);
  const errors: string[] = [];
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(TIMEOUT);
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (line) => {
      if (line.type() === "error") errors.push(line.text());
    });
    await page.setViewport({ width: 1280, height: 860 });
    await page.goto(`http://127.0.0.1:${server.port}/`);
    const others = ["threads.ts", "select.ts", "epoll.ts", "async.ts"];

    await test.step("each model is a region, with its state", async () => {
      await until(page, "select.ts", STATE, /^asleep in select, for everyone$/);
      await until(page, "epoll.ts", STATE, /^asleep in epoll_wait, for every/);
      await until(page, "blocking.ts", STATE, /^asleep in accept4, for every/);
      await until(page, "async.ts", STATE, /^free$/);
      await until(page, "threads.ts", STATE, /^free$/);
      await until(page, "nonblocking.ts", STATE, /^out playing$/);
    });

    await test.step("A holds blocking.ts while it hesitates", async () => {
      await press(page, "A connect");
      await until(page, "blocking.ts", A, /^A connected$/);
      await until(page, "blocking.ts", STATE, /^asleep in recv, for client A/);
      await press(page, "B connect");
      await until(page, "blocking.ts", B, /^B connected$/);
      await press(page, "B ask");
      for (const script of [...others, "nonblocking.ts"]) {
        await until(page, script, B, /^B answered after \d/);
      }
      assertMatch(await text(page, "blocking.ts", B), /^B waiting for \d/);
      assertMatch(await text(page, "select.ts", A), /^A connected$/);
      await until(page, "threads.ts", ".threads", /^A: asleep in recv$/);
      await press(page, "A ask");
      for (const script of ["blocking.ts", ...others]) {
        await until(page, script, A, /^A answered after \d/);
      }
      assertMatch(await text(page, "blocking.ts", B), /^B waiting for \d/);
      await page.waitForFunction(() =>
        document.querySelector("#notice")?.textContent ===
          "A was answered by 6 models"
      );
      await press(page, "A leave");
      await until(page, "blocking.ts", B, /^B answered after \d/);
      await until(page, "blocking.ts", STATE, /^asleep in recv, for client B/);
      await until(page, "select.ts", A, /^A not here$/);
      await press(page, "B leave");
      await until(page, "blocking.ts", STATE, /^asleep in accept4, for every/);
    });

    await test.step("a command that cannot be executed gets an error", async () => {
      await press(page, "A ask");
      await page.waitForFunction(() =>
        document.querySelector("#notice")?.textContent === "A is not connected"
      );
    });

    await test.step("a key that is held down is a button pressed once", async () => {
      await page.keyboard.down("1"); // A connects
      await until(page, "select.ts", A, /^A connected$/);
      await page.keyboard.down("1"); // the keyboard repeats it
      await page.keyboard.up("1");
      await page.keyboard.press("2"); // A asks
      await until(page, "select.ts", A, /^A answered/);
      assert(
        !(await page.$eval("#notice", (line) => line.textContent))
          ?.includes("connected already"),
      );
      await page.keyboard.press("3"); // A leaves
      await until(page, "select.ts", A, /^A not here$/);
    });

    await test.step("the code, with the line of the call marked", async () => {
      await press(page, "select.ts");
      const marked = () =>
        page.$eval("#lines [aria-current]", (line) => line.textContent ?? "");
      await page.waitForSelector("#lines [aria-current]");
      const source = await Deno.readTextFile(new URL("select.ts", root));
      const line = source.split("\n").find((line) =>
        line.includes("select(nf")
      );
      assertEquals(await marked(), line);
      const scrolled = () => page.$eval("#lines", (list) => list.scrollTop);
      const position = await scrolled();
      assert(position > 0, "the call is not in sight");
      await page.keyboard.press("Escape");
      await press(page, "select.ts");
      await page.waitForSelector("#lines [aria-current]");
      assertEquals(await scrolled(), position);
      await press(page, "A connect");
      await page.waitForFunction(() =>
        /accept4\(\d+ → \d+\)/.test(
          document.querySelector("#calls")?.textContent ?? "",
        )
      );
      const calls = await page.$eval("#calls", (list) => list.textContent!);
      assert(calls.split("\n").length <= 20);
      await page.keyboard.press("3"); // A leaves
      await until(page, "select.ts", A, /^A not here$/);
      await page.keyboard.press("Escape");
      assertEquals(
        await page.$eval("#code", (code) => code.matches("[hidden]")),
        true,
      );
    });

    await test.step("the reader types the answer of blocking.ts", async () => {
      const region = '[aria-label="blocking.ts"]';
      await page.click(`${region} input[type=checkbox]`);
      await page.keyboard.press("1");
      await page.keyboard.press("2");
      await until(page, "blocking.ts", STATE, /^waits at the keyboard/);
      await until(page, "blocking.ts", A, /^A waiting for/);
      const field = `${region} input[type=text]:enabled`;
      await page.waitForSelector(field);
      await page.type(field, "soup <b>&");
      await page.keyboard.press("Enter");
      await until(page, "blocking.ts", A, /^A answered after/);
      await page.click(`${region} input[type=checkbox]`);
      await press(page, "A leave");
      await until(page, "blocking.ts", STATE, /^asleep in accept4/);
    });

    await test.step("the scene, after a prediction", async () => {
      await page.click('input[name="blocking.ts"][value="A"]');
      await page.click('input[name="select.ts"][value="A"]');
      // This is over quickly: the page itself looks for it, from before the scene.
      const different = page.waitForFunction(
        () => {
          const textOfB = (script: string) =>
            document.querySelector(`[aria-label="${script}"] [data-client="B"]`)
              ?.textContent ?? "";
          return /^B waiting/.test(textOfB("blocking.ts")) &&
            /^B answered/.test(textOfB("select.ts"));
        },
        { polling: "mutation" },
      );
      await press(page, "Play the scene");
      await different;
      const verdict = await page.waitForFunction(() =>
        document.querySelector<HTMLElement>("#verdict:not([hidden])")?.innerText
      );
      const [blocking, select] = (await verdict.jsonValue())!.split("\n")
        .filter((line) => line);
      assertMatch(blocking, /^blocking.ts: A was answered first, as you said/);
      assertMatch(select, /^select.ts: B was answered first, not A/);
      await page.waitForSelector("#predict[hidden]", { visible: false });
    });

    await test.step("a pause stands still, and can be zoomed", async () => {
      await press(page, "Pause");
      const picture = () =>
        page.$eval(
          '[aria-label="select.ts"] canvas',
          (canvas) => (canvas as HTMLCanvasElement).toDataURL(),
        );
      await page.waitForSelector("#past:not([hidden])");
      await drawn(page);
      const before = await picture();
      await pause(300);
      assertEquals(await picture(), before);
      await page.keyboard.press("Comma");
      for (let i = 0; i < 12; i++) await page.keyboard.press("Equal");
      await drawn(page);
      assert(await picture() !== before);
      await press(page, "Pause");
      await page.waitForSelector("#past[hidden]");
    });

    await test.step("slow motion is a quarter of life at every zoom", async () => {
      for (const key of ["S", "Minus", "Equal", "Equal", "Equal"]) {
        if (key === "S") await page.keyboard.press("s"); // while live
        else await page.keyboard.press(key as "Minus" | "Equal");
        assertEquals(
          await page.$eval("#slow", (slow) => slow.ariaPressed),
          "true",
        );
        const { behind, speed } = await slowMotion(page);
        assert(behind > 500, `begins only ${behind} ms ago`);
        assert(speed > 0.2 && speed < 0.3, `${key}: ${speed}`);
      }
      await press(page, "Pause");
      await page.waitForSelector("#past[hidden]");
    });

    await test.step("in a pause, all is of the moment under the cursor", async () => {
      await press(page, "select.ts");
      await page.waitForSelector("#lines [aria-current]");
      await press(page, "A connect");
      await until(page, "select.ts", A, /^A connected$/);
      await press(page, "A ask");
      await until(page, "select.ts", A, /^A answered/);
      await press(page, "Pause");
      // From its answer back to where A was accepted, call by call.
      const seen: string[] = [];
      do {
        await page.keyboard.press("Comma");
        await drawn(page);
        const state = await page.$eval(
          `[aria-label="select.ts"] ${STATE}`,
          (state) => state.getAttribute("data-state"),
        );
        const line = await page.$eval(
          "#lines [aria-current]",
          ({ textContent }) => textContent?.trim(),
        );
        seen.push(`${state}: ${line}`);
        assert(seen.length < 30, seen.join("\n"));
        const marked = await page.$$eval(
          ".at-event",
          (models) => models.map((model) => model.getAttribute("aria-label")),
        );
        assertEquals(marked, ["select.ts"]); // whose event it is
      } while (!seen.at(-1)!.startsWith("accepting: "));
      assertMatch(seen.at(-1)!, /accept\(/);
      assert(seen.some((event) => /^copying: .*peer\.send\(/.test(event)));
      assert(seen.some((event) => /^copying: .*peer\.recv\(/.test(event)));
      assert(seen.some((event) => /^all: .*select\(/.test(event)));
      // Back to before it was accepted: nothing of what came later is shown.
      await page.keyboard.press("Comma");
      await drawn(page);
      assertMatch(await text(page, "select.ts", STATE), /^asleep in select/);
      const before = await moment(page);
      assertMatch(before, /A (not here|connecting)/);
      assert(!/recv\(.*is it ready/.test(before.split("\n").at(-1)!), before);
      await press(page, "+100 idle"); // which is live again
      await until(page, "select.ts", ".idle", /^100 idle$/);
      await page.keyboard.press("p");
      await page.keyboard.press("Comma");
      await drawn(page);
      const still = await moment(page);
      await page.evaluate(() =>
        // somebody else goes on meanwhile
        import("/watch/page/connection.js" as string).then((connection) =>
          connection.sendCommand({ type: "idle", by: -100 })
        )
      );
      await pause(700);
      assertEquals(await moment(page), still);
      await page.keyboard.press("n");
      await until(page, "select.ts", ".idle", /^$/);
      await press(page, "A leave");
      await page.keyboard.press("Escape");
    });

    await test.step("Chinese, and back", async () => {
      await press(page, "中文");
      await until(page, "select.ts", STATE, /^睡在 select 里，等所有客户端$/);
      await press(page, "B 连接");
      await until(page, "select.ts", B, /^B 已连接$/);
      assertEquals(await page.$eval("html", (html) => html.lang), "zh-CN");
      await press(page, "English");
      await press(page, "B leave");
      await until(page, "select.ts", B, /^B not here$/);
    });

    await test.step("it fits a telephone, and large type", async () => {
      await press(page, "Large type");
      for (const width of [390, 1280]) {
        await page.setViewport({ width, height: 844 });
        const scrollWidth = await page.$eval(
          "html",
          (html) => html.scrollWidth,
        );
        assert(scrollWidth <= width, `${scrollWidth} pixels in ${width}`);
      }
      await press(page, "Large type");
    });

    await test.step("a link is a view, and the page keeps it", async () => {
      const shown = () =>
        page.$$eval(
          ".model:not([hidden])",
          (models) => models.map((model) => model.getAttribute("aria-label")),
        );
      const address = `http://127.0.0.1:${server.port}/`;
      assertEquals(page.url().split("#")[1] ?? "", "");
      await page.goto(`${address}#only=epoll,select,nothing&idle=100`);
      await until(page, "epoll.ts", ".idle", /^100 idle$/);
      assertEquals(await shown(), ["select.ts", "epoll.ts"]);
      await page.waitForFunction(() =>
        location.hash === "#only=select,epoll&idle=100"
      );
      await press(page, "−100 idle");
      await page.waitForFunction(() => location.hash === "#only=select,epoll");
      await page.evaluate(() => location.hash = "only=async&load");
      await until(page, "async.ts", A, /^A asks without pause$/);
      assertEquals(await shown(), ["async.ts"]);
      await press(page, "as fast as they can");
      await page.waitForFunction(() => location.hash === "#only=async");
      await page.click("summary");
      await page.click('#lanes input[name="select.ts"]');
      await page.waitForFunction(() => location.hash === "#only=select,async");
      await page.evaluate(() => location.hash = "");
      await page.waitForFunction(() =>
        document.querySelectorAll(".model:not([hidden])").length === 6
      );
      await press(page, "A leave");
    });

    await test.step("a client from elsewhere has a lane", async () => {
      const button = await page.waitForSelector(
        '[aria-label="select.ts"] .join:not([hidden])',
      );
      const name = await button!.evaluate((found) => found.ariaLabel ?? "");
      const [, port] = /^Copy: deno run -A client\.ts --port (\d+)$/.exec(
        name,
      )!;
      await button!.click();
      await page.waitForFunction(() =>
        document.querySelector("#notice")?.textContent?.includes("client.ts")
      );
      const C = '[data-elsewhere="C"]';
      {
        using conn = await Deno.connect({ port: Number(port) });
        await until(page, "select.ts", C, /^C connected/);
        await conn.write(new TextEncoder().encode("hi\n"));
        await until(page, "select.ts", C, /^C answered/);
      }
      await until(page, "select.ts", C, /^C has left/);
      await page.waitForSelector('[aria-label="select.ts"] canvas.lanes');
    });

    await test.step("every button has a name", async () => {
      const nameless = await page.$$eval(
        "button, input",
        (found) =>
          found.filter((control) =>
            !control.getAttribute("aria-label") &&
            !control.textContent?.trim() &&
            !(control as HTMLInputElement).labels?.length
          ).length,
      );
      assertEquals(nameless, 0);
    });

    await test.step("a model dies, and the rest goes on", async () => {
      const [pid] = await children(server.pid, "select.ts");
      Deno.kill(pid, "SIGKILL");
      await until(page, "select.ts", STATE, /^it has ended: .*SIGKILL/);
      await press(page, "A connect");
      await until(page, "epoll.ts", A, /^A connected$/);
      await press(page, "Start it again");
      await until(page, "select.ts", STATE, /^asleep in select/);
    });

    await test.step("the page connects again when the server is back", async () => {
      const { port } = server;
      assertEquals(errors, []);
      await server.stop();
      await page.waitForSelector("body.lost");
      server = await startWatch(["--port", `${port}`]);
      await page.waitForSelector("body:not(.lost)");
      await until(page, "select.ts", STATE, /^asleep in select/);
      const shown = models.filter(({ shownByDefault }) => shownByDefault);
      assertEquals((await page.$$(".model")).length, shown.length);
      await press(page, "A connect");
      await until(page, "select.ts", A, /^A connected$/);
      await press(page, "A leave");
      errors.splice(0); // of connections while there was no server
    });

    await test.step("no finding of axe-core, live and paused", async () => {
      await inAllLooks(page, async (look) => {
        assertEquals(await findings(page), [], look);
      });
      await press(page, "select.ts");
      await page.waitForSelector("#lines [aria-current]");
      await press(page, "Pause");
      await inAllLooks(page, async (look) => {
        assertEquals(await findings(page), [], `paused, ${look}`);
      });
      await press(page, "Pause");
      await page.keyboard.press("Escape");
    });

    await test.step("code is not cut, and a picture stays in sight", async () => {
      for (const [width, height] of [[390, 844], [1280, 800], [1920, 1080]]) {
        await page.setViewport({ width, height });
        await drawn(page); // in the new size
        // Not by the mouse: what is to be pressed may still move to its place.
        await page.$eval(
          '[aria-label="select.ts"] .script',
          (button) => (button as HTMLElement).click(),
        );
        await page.waitForSelector("#code:not([hidden]) [aria-current]");
        const look = () =>
          page.evaluate(() => {
            const code = document.querySelector("#code")!;
            const lists = [...code.querySelectorAll("#lines, #calls")];
            const rows = [...code.querySelectorAll<HTMLElement>("#lines li")];
            const heights = rows.map(({ offsetHeight }) => offsetHeight);
            const { top, left } = code.getBoundingClientRect();
            const inSight = (canvas: Element) => {
              const rect = canvas.getBoundingClientRect();
              const x = rect.left + rect.width / 2;
              return [rect.top + 1, rect.bottom - 1].every((y) =>
                (y < top || rect.right <= left) &&
                document.elementFromPoint(x, y) === canvas
              );
            };
            const canvases = [...document.querySelectorAll(".model > canvas")];
            return {
              cut: lists.filter((list) => list.scrollWidth > list.clientWidth)
                .map(({ id }) => id),
              wrapped: Math.max(...heights) > 1.5 * Math.min(...heights),
              lanes: canvases.filter(inSight).length,
            };
          });
        let seen = await look();
        for (let i = 0; i < 20 && !seen.lanes; i++) { // the page scrolls to it
          await pause(100);
          seen = await look();
        }
        const { cut, wrapped, lanes } = seen;
        assertEquals(cut, [], `${width} pixels`);
        assert(lanes > 0, `no lane in sight, ${width} pixels`);
        if (width === 1920) assert(!wrapped, "a line wraps, with room for it");
        await page.keyboard.press("Escape");
      }
    });

    await test.step("behind a tunnel that ends TLS", async () => {
      const session = await page.createCDPSession();
      await session.send("Security.setIgnoreCertificateErrors", {
        ignore: true,
      });
      const { port } = server;
      let away = await tunnel(port, true);
      await page.goto(away.url);
      await until(page, "select.ts", STATE, /^asleep in select/);
      await press(page, "A connect");
      await until(page, "select.ts", A, /^A connected$/);
      await press(page, "A leave");
      await until(page, "select.ts", A, /^A not here$/);
      await page.goto("about:blank");
      await away.stop();

      assertEquals(errors, []);
      away = await tunnel(port, false);
      await page.goto(away.url);
      await page.waitForFunction(() =>
        document.querySelector("#notice")?.textContent?.startsWith(
          `Cannot open wss://${location.host}/live,`,
        )
      );
      await page.goto(`http://127.0.0.1:${port}/`);
      await away.stop();
      await until(page, "select.ts", STATE, /^asleep in select/);
      errors.splice(0); // of the socket that could not be opened
    });

    await test.step("idle clients come and go; what an answer costs", async () => {
      await page.setViewport({ width: 1280, height: 800 });
      await press(page, "A connect");
      await press(page, "as fast as they can");
      await until(page, "select.ts", A, /^A asks without pause$/);
      for (const script of ["poll.ts", "epoll.ts"]) {
        await until(page, script, ".metrics", /\d calls.*\d µs CPU/s);
      }
      await until(page, "select.ts", STATE, /^asleep, \d+ calls a second$/);
      // It copies for a few µs: what is drawn must not look like all the time.
      const copying = await copyingShare(page, "select.ts");
      assert(copying > 0 && copying < 0.3, `${copying}`);
      assertMatch(
        await page.$eval("#why", (why) => why.textContent ?? ""),
        /^Each answer: poll.ts 3.0 calls, \d+ µs CPU \(0 idle\); epoll.ts 3.0 calls, /,
      );
      await press(page, "+100 idle");
      for (const script of ["poll.ts", "epoll.ts"]) {
        const points = /0 idle \d+ µs CPU, 100 idle \d+ µs CPU$/;
        await page.waitForFunction(
          (script, points) =>
            new RegExp(points).test(
              document.querySelector(`[aria-label="${script}"] .curve`)
                ?.getAttribute("aria-label") ?? "",
            ),
          {},
          script,
          points.source,
        );
      }
      await until(page, "select.ts", ".idle", /^100 idle$/);
    });

    await test.step("all lanes and the legend fit a laptop, with 100 idle", async () => {
      await page.waitForFunction(() =>
        document.querySelector('[aria-label="io_uring.ts"] .idle')
          ?.textContent === "100 idle"
      );
      await inAllLooks(page, async (look) => {
        for (const [width, height] of [[1280, 800], [1366, 768]]) {
          await page.setViewport({ width, height });
          const { bottom, legend, rows } = await page.evaluate(() => {
            scrollTo(0, 0);
            const lanes = [...document.querySelectorAll(".model")];
            const entries = [...document.querySelectorAll("#legend li")];
            const tops = entries.map((entry) =>
              Math.round(entry.getBoundingClientRect().top)
            );
            return {
              bottom: lanes.at(-1)!.getBoundingClientRect().bottom,
              legend: document.querySelector("#legend")!
                .getBoundingClientRect().bottom,
              rows: new Set(tops).size,
            };
          });
          const where = `${look}, ${width} x ${height}`;
          assert(bottom <= height, `${where}: lanes end at ${bottom}`);
          assert(legend < bottom && rows === 1, `${where}: ${rows} rows`);
        }
        assertEquals(await findings(page), [], `under load, ${look}`);
      });
      await press(page, "as fast as they can");
      await until(page, "select.ts", A, /^A connected$/);
      await press(page, "−100 idle");
      await until(page, "select.ts", ".idle", /^$/);
      await press(page, "A leave");
    });

    assertEquals(errors, []);
  } finally {
    await browser.close();
    await server.stop();
  }
});

/** The children of a process whose command line names a script. */
async function children(pid: number, script: string): Promise<number[]> {
  const list = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
  const found = [];
  for (const child of list.trim().split(" ").map(Number)) {
    const command = await Deno.readTextFile(`/proc/${child}/cmdline`);
    if (command.includes(`/${script}\0`)) found.push(child);
  }
  return found;
}
