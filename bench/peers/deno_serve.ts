// HTTP with the server that comes with Deno.
Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`listening on 127.0.0.1:${port}`),
}, () => new Response("Hello, world!"));
