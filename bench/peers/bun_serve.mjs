// HTTP with the server that comes with Bun.
const { port } = globalThis.Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0, // idle connections are to stay
  fetch(request) {
    const { method, url } = request;
    if (url.indexOf("/", "http://".length) !== url.length - 1) {
      return new Response("Not Found\n", { status: 404 });
    }
    if (method === "POST") {
      return request.bytes().then((body) => new Response(body));
    }
    if (method === "OPTIONS") {
      return new Response(null, { headers: { Allow: "GET, HEAD, POST" } });
    }
    return new Response("Hello, world!");
  },
});
console.log(`listening on 127.0.0.1:${port}`);
