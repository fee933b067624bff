/** Heads of HTTP requests, in several sizes, for the benchmark. */

const head = (...lines: string[]) => [...lines, "", ""].join("\r\n");
const line = "GET / HTTP/1.1";
const host = "Host: 127.0.0.1:8080";

/** As Chromium 156 sends it, without a cookie. */
export const CHROMIUM = head(
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

/** The shortest head that HTTP/1.1 allows. */
export const SHORT = head(line, host);

/** With as many cookies as some old sites set. */
export const COOKIES = head(
  ...CHROMIUM.trimEnd().split("\r\n"),
  "Cookie: " +
    Array.from({ length: 70 }, (_, i) => `name_${100 + i}=${"v".repeat(36)}`)
      .join("; "),
);
