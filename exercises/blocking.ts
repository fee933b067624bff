/**
 * A first server: it waits for a client, for what the client says, and for
 * what you answer.
 *
 *   deno run -A exercises/blocking.ts    in another terminal: deno run -A client.ts
 *
 * It works, until the client leaves. What is wrong: deno task exercise blocking
 *
 * From the article: its blocking server, which never hears that a client left.
 */
import { accept, input, listen, recv, send } from "./libc.ts";

const listener = listen();

while (true) {
  const [client, name] = accept(listener);
  console.log(`got connection from ${name}`);

  while (true) {
    const data = recv(client, 1024);
    console.log(`client msg: ${new TextDecoder().decode(data)}`);
    send(client, input("your msg: "));
  }
}
