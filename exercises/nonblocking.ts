/**
 * A first server that never waits: it looks whether there is something to do;
 * if not, it does something else and looks again.
 *
 *   deno run -A exercises/nonblocking.ts    and: deno run -A client.ts
 *
 * A client that speaks at once is served. What is wrong: deno task exercise nonblocking
 *
 * From the article: its non-blocking server, which drops the socket of a client
 * that does not speak at once.
 */
import {
  accept,
  listen,
  recv,
  send,
  setNonblocking,
  sleep,
  SystemError,
} from "./libc.ts";

const listener = listen();
setNonblocking(listener);

while (true) {
  try {
    const [client, name] = accept(listener);
    console.log(`got connection from ${name}`);
    setNonblocking(client);
    const data = recv(client, 1024);
    console.log(new TextDecoder().decode(data));
    send(client, "hello sir\n");
  } catch (error) {
    if (!(error instanceof SystemError && error.code === "EAGAIN")) throw error;
    console.log("waiting");
    sleep(0.1);
  }
}
