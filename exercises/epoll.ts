/**
 * A first server with epoll(7): the kernel keeps the list of clients, and says
 * which of them are ready.
 *
 *   deno run -A exercises/epoll.ts    in other terminals: deno run -A client.ts
 *
 * It works; now look at `top`, after a client has left. What is wrong:
 * deno task exercise epoll
 *
 * From the article: its epoll server, which takes a whole core then.
 */
import { accept, checked, listen, recv, send } from "./libc.ts";

const libc = Deno.dlopen("libc.so.6", {
  // int epoll_create1(int flags);
  epoll_create1: { parameters: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout);
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
}).symbols;

const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;

// struct epoll_event: events 4 bytes; data 8, where we put the descriptor. On
// x86-64 they are packed; elsewhere data begins at a multiple of 8.
const packed = Deno.build.arch === "x86_64";
const DATA = packed ? 4 : 8;
const SIZE = packed ? 12 : 16;
const events = new DataView(new ArrayBuffer(64 * SIZE));

const listener = listen();
const epoll = checked("epoll_create1", () => libc.epoll_create1(0));

function watch(fd: number) {
  const event = new DataView(new ArrayBuffer(SIZE));
  event.setUint32(0, EPOLLIN, true);
  event.setInt32(DATA, fd, true);
  checked("epoll_ctl", () => libc.epoll_ctl(epoll, EPOLL_CTL_ADD, fd, event));
}

watch(listener);

while (true) {
  const n = checked("epoll_wait", () => libc.epoll_wait(epoll, events, 64, -1));

  for (let i = 0; i < n; i++) {
    const fd = events.getInt32(i * SIZE + DATA, true);
    if (fd === listener) {
      const [client, name] = accept(listener);
      console.log(`got connection from ${name}`);
      watch(client);
      continue;
    }
    const data = recv(fd, 1024);
    if (data.length > 0) {
      console.log(new TextDecoder().decode(data));
      send(fd, "hello sir\n");
    }
  }
}
