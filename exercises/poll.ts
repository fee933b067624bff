/**
 * A first server with poll(2): one thread, and as many clients as you like.
 *
 *   deno run -A exercises/poll.ts    in other terminals: deno run -A client.ts
 *
 * Every client gets its answers; now look at `top`. What is wrong:
 * deno task exercise poll
 *
 * From the article: its poll server, which asks for too much, and takes a whole
 * core with one idle client.
 */
import { accept, checked, close, listen, recv, send } from "./libc.ts";

const libc = Deno.dlopen("libc.so.6", {
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout);
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
}).symbols;

const POLLIN = 1;
const POLLOUT = 4;

const listener = listen();
const clients = new Set<number>();
const answers = new Map<number, string>(); // by client, what is not sent yet

while (true) {
  // struct pollfd: fd 4 bytes, events 2 (asked for), revents 2 (the answer)
  const fds = [listener, ...clients];
  const pollfds = new DataView(new ArrayBuffer(8 * fds.length));
  for (const [i, fd] of fds.entries()) {
    pollfds.setInt32(8 * i, fd, true);
    pollfds.setInt16(8 * i + 4, POLLIN | POLLOUT, true);
  }
  checked("poll", () => libc.poll(pollfds, fds.length, -1));

  for (const [i, fd] of fds.entries()) {
    const revents = pollfds.getInt16(8 * i + 6, true);
    if (fd === listener) {
      if (revents === 0) continue;
      const [client, name] = accept(listener);
      console.log(`got connection from ${name}`);
      clients.add(client);
      continue;
    }
    const answer = answers.get(fd);
    if (answer && revents & POLLOUT) {
      send(fd, answer);
      answers.delete(fd);
    }
    if (revents & POLLIN) {
      const data = recv(fd, 1024);
      if (data.length === 0) {
        console.log("disconnected");
        clients.delete(fd);
        close(fd);
      } else {
        console.log(new TextDecoder().decode(data));
        answers.set(fd, "hello sir\n");
      }
    }
  }
}
