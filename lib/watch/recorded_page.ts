/**
 * Makes the page of watch.ts one file that needs no server: its style, its
 * modules and a recording stand in it.
 */
import { readPart } from "./files.ts";
import type { Recording } from "./messages.ts";

const PAGE = "watch/page/page.js";
const IMPORT = /\bfrom "(\.[^"]+\.js)"/g;

/** The HTML of a page that plays a recording. */
export async function recordedPage(recording: Recording): Promise<string> {
  const html = await readPart("/");
  const style = await readPart("/watch/page/style.css");
  const imports = Object.fromEntries(await modules());
  const head = [
    `<style>\n${style}</style>`,
    scriptElement('type="importmap"', { imports }),
    scriptElement('type="application/json" id="recording"', recording),
    `<script type="module">import "${PAGE}";</script>`,
  ];
  return html
    .replace(/ *<link rel="stylesheet"[^>]*>\n/, "")
    .replace(/ *<script type="module"[^>]*><\/script>\n/, "")
    .replace("</head>", () => `${head.join("\n")}\n  </head>`);
}

/**
 * The page's modules, by their paths, each as a data: URL. Nothing is relative to
 * such a URL: there each import names the whole path, for the import map.
 */
async function modules(): Promise<Map<string, string>> {
  const urls = new Map<string, string>();
  const add = async (pathname: string) => {
    if (urls.has(pathname)) return;
    urls.set(pathname, ""); // is being read
    const source = await readPart(`/${pathname}`);
    const paths: string[] = [];
    const absolute = source.replaceAll(IMPORT, (_, specifier) => {
      const path = new URL(specifier, `http://page/${pathname}`).pathname
        .slice(1);
      paths.push(path);
      return `from "${path}"`;
    });
    const base64 = new TextEncoder().encode(absolute).toBase64();
    urls.set(pathname, `data:text/javascript;charset=utf-8;base64,${base64}`);
    for (const path of paths) await add(path);
  };
  await add(PAGE);
  return urls;
}

/** A script element with data. Nothing in the data can end it. */
function scriptElement(attributes: string, data: unknown): string {
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  return `<script ${attributes}>${json}</script>`;
}
