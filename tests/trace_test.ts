import { assert, assertEquals } from "@std/assert";
import {
  client,
  connect,
  eventually,
  exchange,
  exists,
  reset,
  start,
} from "./harness.ts";

/** A line of the trace without its times. */
const call = (line: string) =>
  /^ +\d+\.\d{6} {2}(.*?)( {2}[\d.]+ ms)?$/.exec(line)?.[1] ?? "";

Deno.test("--trace: each call as it returns, a wait while it lasts", async () => {
  await using server = await start("select.ts", ["--trace", "--quiet"]);
  await server.until(/ select\(\[\d+\]$/); // asleep, and the line not ended
  using conn = await connect(server.port);
  await exchange(conn, "hi\n");
  const output = await server.until(/send\(.*\n.*select\(\[\d+, \d+\]$/);
  const [listener, peer] = /\[(\d+), (\d+)\]$/.exec(output)!.slice(1);
  const calls = output.split("\n").map(call).filter((line) => line);
  assertEquals(calls.slice(calls.indexOf(`getsockname(${listener})`) + 1), [
    `select([${listener}] → [${listener}])`,
    `accept4(${listener} → ${peer})`,
    `accept4(${listener}) EAGAIN`,
    `select([${listener}, ${peer}] → [${peer}])`,
    `recv(${peer}, 3 bytes "hi\\n")`,
    `send(${peer}, 10 bytes "hello sir\\n")`,
    `select([${listener}, ${peer}]`,
  ]);
});

Deno.test("--trace: async.ts tells of promises, and of a thread that is free", async () => {
  await using server = await start("async.ts", ["--trace=json", "--quiet"]);
  using conn = await connect(server.port);
  await server.until('"call":"read","phase":"call"');
  await new Promise((resolve) => setTimeout(resolve, 200));
  await exchange(conn, "hi\n");
  const output = await server.until(/"call":"write","phase":"return".*\n/);
  const told = output.split("\n").filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
  assertEquals(
    told.map(({ call, phase }) => `${call} ${phase}`).slice(0, 7),
    [
      "accept call",
      "accept return",
      "read call",
      "accept call",
      "read return",
      "write call",
      "write return",
    ],
  );
  assertEquals(told[4].result, 3);
  assert(told[4].waited >= 200 && told[4].ticks >= 5, JSON.stringify(told[4]));
});

// What the kernel is asked for where libc's function has another name.
const KERNEL = { select: "pselect6", recv: "recvfrom", send: "sendto" };
// Calls whose first argument is the descriptor that they are about.
const ABOUT_ONE =
  /^(accept4|recvfrom|sendto|close|getsockname|shutdown|fcntl)$/;

const SLEEPS = {
  select: "select",
  poll: "poll",
  epoll_http: "epoll_wait",
  blocking: "accept4",
};
for (const [script, call] of Object.entries(SLEEPS)) {
  Deno.test({
    name: `--trace: ${script}.ts tells what strace sees, call by call`,
    ignore: !(await exists("strace")),
    async fn() {
      const file = await Deno.makeTempFile();
      await using server = await start(
        `${script}.ts`,
        ["--trace=json", "--quiet"],
        (command) => `exec strace -D -o ${file} ${command} </dev/null`,
      );
      if (script === "epoll_http") {
        const page = await fetch(`http://127.0.0.1:${server.port}/`);
        await page.text();
      } else {
        await client(server.port, "hi\n");
        const conn = await connect(server.port);
        await exchange(conn, "hi\n");
        reset(conn);
        await server.until("ECONNRESET");
      }
      // Asleep in its last call, which has not returned.
      await server.until(RegExp(`"call":"${call}","phase":"call"[^\n]*\n$`));
      await server.stop();
      let strace = "";
      await eventually(() => {
        strace = Deno.readTextFileSync(file);
        return strace.includes("+++ killed");
      }, "strace does not end");
      await Deno.remove(file);

      const told = server.output().split("\n")
        .filter((line) => line.includes('"phase":"return"'))
        .map((line) => {
          const { call, asked, result, error } = JSON.parse(line);
          const name = KERNEL[call as keyof typeof KERNEL] ?? call;
          const about = ABOUT_ONE.test(name) ? parseInt(asked) : "";
          return `${name}(${about}) = ${error ?? result}`;
        });
      assert(told.length > 10, server.output());
      const names = new Set(told.map((line) => line.split("(")[0]));
      // From where the script begins to look for its listener's descriptor.
      const seen = strace.slice(strace.indexOf("\ndup(0)") + 1).split("\n")
        .map((line) =>
          /^(\w+)\((\d*).*\) += (-?\w+)(?: (E[A-Z]+))?/.exec(line) ?? []
        )
        .filter(([, name, fd, result]) =>
          names.has(name) && result !== "?" &&
          // The runtime closes files of its own.
          (name !== "close" || told.includes(`close(${fd}) = 0`))
        )
        .map(([, name, first, result, error]) =>
          `${name}(${ABOUT_ONE.test(name) ? first : ""}) = ${
            error ?? Number(result)
          }`
        );
      assertEquals(told, seen);
    },
  });
}
