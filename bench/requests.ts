/** Requests over HTTP, of several kinds and sizes, and the right answers. */

/** A request, and what a server has to answer. */
export interface HttpRequest {
  text: string;
  status: number;
  /**
   * The body of the answer: to HEAD, only its length is sent. If it is missing,
   * each server may have its own, as long as it always is the same.
   */
  body?: string;
}

const head = (...lines: string[]) => [...lines, "", ""].join("\r\n");
const page = (text: string): HttpRequest => ({
  text,
  status: 200,
  body: "Hello, world!",
});
const line = "GET / HTTP/1.1";
const host = "Host: 127.0.0.1:8080";

/** The head that Chromium 156 sends, without a cookie. */
const chromium = head(
  line,
  host,
  "Connection: keep-alive",
  'sec-ch-ua: "Not:A-Brand";v="8", "Chromium";v="156"',
  "sec-ch-ua-mobile: ?0",
  'sec-ch-ua-platform: "Linux"',
  "Upgrade-Insecure-Requests: 1",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/jxl,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
  "Sec-Fetch-Site: none",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-User: ?1",
  "Sec-Fetch-Dest: document",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-US,en;q=0.9",
);

/** The page, asked for with Chromium's head. */
export const CHROMIUM = page(chromium);

/** The same with the shortest head there can be. */
export const SHORT = page(head(line, host));

/** The same with as many cookies as an old site may have set. */
export const COOKIES = page(head(
  ...chromium.trimEnd().split("\r\n"),
  "Cookie: " +
    Array.from({ length: 70 }, (_, i) => `name_${100 + i}=${"v".repeat(36)}`)
      .join("; "),
));

/** With Chromium's head, a page that is not there. */
export const NOT_FOUND: HttpRequest = {
  text: chromium.replace("/", "/favicon.ico"),
  status: 404,
};

/** The fields of the page alone. */
export const HEAD = page(chromium.replace("GET", "HEAD"));

/** What the server can do with the page. */
export const OPTIONS: HttpRequest = {
  text: chromium.replace("GET", "OPTIONS"),
  status: 200,
  body: "",
};

const json = JSON.stringify({ text: "x".repeat(53) }); // 64 bytes

/** What Chromium sends for fetch() with a small body, which is sent back. */
export const ECHO: HttpRequest = {
  text: head(
    "POST / HTTP/1.1",
    host,
    "Connection: keep-alive",
    `Content-Length: ${json.length}`,
    'sec-ch-ua-platform: "Linux"',
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36",
    'sec-ch-ua: "Not:A-Brand";v="8", "Chromium";v="156"',
    "Content-Type: application/json",
    "sec-ch-ua-mobile: ?0",
    "Accept: */*",
    "Origin: http://127.0.0.1:8080",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Dest: empty",
    "Referer: http://127.0.0.1:8080/",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-US,en;q=0.9",
  ) + json,
  status: 200,
  body: json,
};
