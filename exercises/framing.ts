/**
 * A first server with a protocol: each line is a message, and each message gets
 * an answer of its own.
 *
 *   deno run -A exercises/framing.ts    in another terminal: nc 127.0.0.1 5666
 *
 * It works, as long as a line comes alone and whole. What is wrong:
 * deno task exercise framing
 *
 * From the article: its servers before epoll take what one recv returns for one
 * message; its epoll server, which speaks HTTP, waits for the empty line.
 */
import { accept, checked, close, listen, recv, send } from "./libc.ts";

const libc = Deno.dlopen("libc.so.6", {
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout);
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
}).symbols;

const POLLIN = 1;

const listener = listen();
const clients = new Set<number>();

while (true) {
  // struct pollfd: fd 4 bytes, events 2 (asked for), revents 2 (the answer)
  const fds = [listener, ...clients];
  const pollfds = new DataView(new ArrayBuffer(8 * fds.length));
  for (const [i, fd] of fds.entries()) {
    pollfds.setInt32(8 * i, fd, true);
    pollfds.setInt16(8 * i + 4, POLLIN, true);
  }
  checked("poll", () => libc.poll(pollfds, fds.length, -1));

  for (const [i, fd] of fds.entries()) {
    if (pollfds.getInt16(8 * i + 6, true) === 0) continue;
    if (fd === listener) {
      const [client, name] = accept(listener);
      console.log(`got connection from ${name}`);
      clients.add(client);
      continue;
    }
    const data = recv(fd, 1024);
    if (data.length === 0) {
      console.log("disconnected");
      clients.delete(fd);
      close(fd);
    } else {
      const message = new TextDecoder().decode(data).trimEnd();
      console.log(message);
      send(fd, `hello ${message}\n`);
    }
  }
}
