// HTTP with the server that comes with Node.
import { createServer } from "node:http";

const server = createServer((request, response) => {
  const { method, url } = request;
  if (url !== "/") {
    response.statusCode = 404;
    response.end("Not Found\n");
  } else if (method === "POST") {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => response.end(Buffer.concat(pieces)));
  } else if (method === "OPTIONS") {
    response.setHeader("Allow", "GET, HEAD, POST");
    response.end();
  } else {
    response.setHeader("Content-Type", "text/plain; charset=utf-8");
    if (method === "HEAD") response.setHeader("Content-Length", 13);
    response.end("Hello, world!");
  }
});
server.keepAliveTimeout = 3600e3; // idle connections are to stay
server.listen(0, "127.0.0.1", () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
