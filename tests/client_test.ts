import { assertEquals, assertStringIncludes } from "@std/assert";
import { getAvailablePort } from "@std/net";
import { client, exists, receive, reset, run, send } from "./harness.ts";

const listen = () => Deno.listen({ hostname: "127.0.0.1", port: 0 });
const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("client.ts: in a pipe, bytes in and bytes out, to the last", async () => {
  using listener = listen();
  const text = "食堂 ".repeat(100_000) + "no newline";
  const talking = client(listener.addr.port, text);
  using conn = await listener.accept();
  const came = await receive(conn, bytes(text).length + 1);
  assertEquals(new TextDecoder().decode(came), text);
  // The answer comes long after the input has ended, and in odd pieces.
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (const byte of bytes("好的\n")) await send(conn, Uint8Array.of(byte));
  conn.close();
  assertEquals(await talking, { code: 0, stdout: "好的\n", stderr: "" });
});

Deno.test("client.ts: the server hangs up, or is lost", async () => {
  using listener = listen();
  for (const end of ["close", "reset"]) {
    await using it = run("client.ts", ["--port", `${listener.addr.port}`]);
    const conn = await listener.accept();
    await send(conn, "bye\n");
    await it.until("bye\n");
    if (end === "close") conn.close();
    else reset(conn);
    const code = (await it.status).code;
    assertEquals(
      [code, it.output()],
      end === "close" ? [0, "bye\nclient.ts: the server hung up\n"] : [
        1,
        "bye\nclient.ts: lost the server: connection reset by peer (ECONNRESET)\n",
      ],
    );
  }
});

Deno.test("client.ts: nobody listens", async () => {
  const port = getAvailablePort();
  const { code, stdout, stderr } = await client(port, "hi\n");
  assertEquals({ code, stdout }, { code: 1, stdout: "" });
  assertEquals(
    stderr,
    `client.ts: cannot connect to 127.0.0.1:${port}: connection refused (ECONNREFUSED); start a server first: deno run -A select.ts\n`,
  );
});

Deno.test({
  name: "client.ts: at a terminal, what comes does not tear what is typed",
  // `script` makes the terminal; it belongs to util-linux.
  ignore: !(await exists("script")),
  async fn() {
    using listener = listen();
    await using it = run(
      "client.ts",
      ["--port", `${listener.addr.port}`],
      (command) => `exec script -qefc "${command}" /dev/null`,
    );
    using conn = await listener.accept();
    await it.until(":");
    await it.write("hal");
    await it.until(/:.*hal/);
    await send(conn, "a message\n");
    const output = await it.until(/a message\r\n.*:hal.\[5G$/);
    assertStringIncludes(output, "a message");
    await it.write("lo\r");
    assertEquals(await receive(conn, 6), bytes("hallo\n"));
    // Half a line, and half a character of it, stand before the prompt.
    const food = bytes("食堂");
    await send(conn, food.subarray(0, 4));
    await it.until(/食:.\[4G$/);
    await send(conn, food.subarray(4));
    await it.until(/食堂:.\[6G$/);
    await send(conn, "\n\x1b[2J\n");
    await it.until("\\u{1b}[2J");
    await it.write("\x1b[A\r"); // the key for the line before
    assertEquals(await receive(conn, 6), bytes("hallo\n"));
    await it.write("one\ntwo\nthr"); // pasted, and not all of it
    assertEquals(await receive(conn, 8), bytes("one\ntwo\n"));
    await it.until(/thr[^\n]*$/);
    await it.write("ee\r");
    assertEquals(await receive(conn, 6), bytes("three\n"));
    await it.write("\x04");
    assertEquals((await it.status).code, 0);
    assertEquals(await receive(conn, 1), new Uint8Array(0));
  },
});
