/**
 * A first server with select(2): one thread, and all clients at once.
 *
 *   deno run -A exercises/select.ts    in other terminals: deno run -A client.ts
 *
 * It works, until a client leaves. What is wrong: deno task exercise select
 *
 * From the article: its select server, which dies of EPIPE then.
 */
import { accept, checked, listen, recv, send } from "./libc.ts";

const libc = Deno.dlopen("libc.so.6", {
  // int select(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds,
  //            struct timeval *timeout);
  select: {
    parameters: ["i32", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
}).symbols;

// An fd_set is 1024 bits, one for each descriptor from 0 to 1023.
const readfds = new Uint8Array(1024 / 8);
const FD_SET = (fd: number) => readfds[fd >> 3] |= 1 << (fd & 7);
const FD_ISSET = (fd: number) => readfds[fd >> 3] >> (fd & 7) & 1;

const listener = listen();
const clients = new Set<number>();

while (true) {
  readfds.fill(0);
  FD_SET(listener);
  for (const client of clients) FD_SET(client);
  checked("select", () => libc.select(1024, readfds, null, null, null));

  for (const client of clients) {
    if (FD_ISSET(client)) {
      const data = recv(client, 1024);
      console.log(new TextDecoder().decode(data));
      send(client, "hello sir\n");
    }
  }

  if (FD_ISSET(listener)) {
    const [client, name] = accept(listener);
    console.log(`got connection from ${name}`);
    clients.add(client);
  }
}
