/** How servers stand what changes while they run, and odd surroundings. */
import { assertEquals, assertMatch } from "@std/assert";
import {
  altered,
  client,
  connect,
  exchange,
  rest,
  root,
  run,
  send,
  soon,
  start,
  suite,
} from "./harness.ts";
import { limit } from "./limits.ts";

const test = suite("at the same time");
const HELLO = "hello sir\n";

for (
  const [fault, from, to] of [
    ["does not load", "peer.show(message);", "peer.show(message;"],
    ["throws", "peer.show(message);", "throw new Error(`${message}`);"],
    ["is gone", "", ""],
  ]
) {
  test(`threads.ts: when the script ${fault} meanwhile, only new clients lose`, async () => {
    await using copy = await altered("threads.ts", from, from);
    const source = await Deno.readTextFile(copy.script);
    await using server = await start(copy.script);
    using first = await connect(server.port);
    assertEquals(await exchange(first, "hi\n"), HELLO);
    if (from) Deno.writeTextFileSync(copy.script, source.replace(from, to));
    else Deno.removeSync(copy.script);
    using second = await connect(server.port);
    await send(second, "hi\n");
    assertEquals(await soon(rest(second).catch(() => ""), "it is kept"), "");
    const name = `127.0.0.1:${second.localAddr.port}`;
    await server.until(`${name} disconnected: its thread failed\nthreads: 1\n`);
    assertEquals(await exchange(first, "still there?\n"), HELLO);
    Deno.writeTextFileSync(copy.script, source);
    using third = await connect(server.port);
    assertEquals(await exchange(third, "hi\n"), HELLO);
    await server.until("threads: 2\n");
  });
}

test("threads.ts: when the limit of descriptors is lowered, new clients are told", async () => {
  await using server = await start("threads.ts");
  using first = await connect(server.port);
  assertEquals(await exchange(first, "hi\n"), HELLO);
  const used = [...Deno.readDirSync(`/proc/${server.pid}/fd`)].length;
  limit(server.pid, used + 4); // for a client, but not for a Worker
  using second = await connect(server.port);
  assertEquals(
    await soon(rest(second), "it is not told"),
    "every thread is taken (1)\n",
  );
  assertEquals(await exchange(first, "still there?\n"), HELLO);
  limit(server.pid, 1000);
  using third = await connect(server.port);
  assertEquals(await exchange(third, "hi\n"), HELLO);
});

test("poll.ts: a limit lowered below its descriptors ends it with a line", async () => {
  await using server = await start("poll.ts");
  using conn = await connect(server.port);
  assertEquals(await exchange(conn, "hi\n"), HELLO);
  limit(server.pid, 10);
  await send(conn, "hi\n");
  assertEquals((await soon(server.status, "it goes on")).code, 1);
  assertMatch(
    server.output(),
    /\npoll\.ts: poll: invalid argument \(EINVAL\)\n$/,
  );
});

/** Adds a test, or a line that says what it needs. */
async function testWith(
  command: string,
  name: string,
  fn: () => Promise<void>,
) {
  if (await works(command)) test(name, fn);
  else Deno.test.ignore(`needs ${command.split(" ")[0]}: ${name}`, () => {});
}

async function works(command: string): Promise<boolean> {
  const args = ["-c", command];
  const output = { stdout: "null", stderr: "null" } as const;
  return (await new Deno.Command("sh", { args, ...output }).output()).success;
}

for (const script of ["select.ts", "async.ts", "epoll_http.ts"]) {
  const name = `${script}: serves where there is no /proc`;
  await testWith("unshare -m umount -l /proc", name, async () => {
    await using server = await start(
      script,
      [],
      (command) => `exec unshare -m sh -c "umount -l /proc; exec ${command}"`,
    );
    await server.until(/in another terminal: (curl|deno run -A client\.ts) /);
    using conn = await connect(server.port);
    const request = script === "epoll_http.ts" ? "GET / HTTP/1.0\n\n" : "hi\n";
    assertMatch(await exchange(conn, request), /^hello sir\n$|Hello, world!$/);
  });
}

test("the hint names a client that is there, from wherever the server is started", async () => {
  const path = decodeURIComponent(root.pathname);
  await using elsewhere = await start(
    `${path}select.ts`,
    [],
    (command) => `cd /; exec ${command}`,
  );
  await elsewhere.until(` run -A ${path}client.ts --port ${elsewhere.port}\n`);
  await using copy = await altered("select.ts", "", "");
  await using alone = await start(copy.script);
  await alone.until(`in another terminal: nc 127.0.0.1 ${alone.port}\n`);
  const headers = { "content-type": "application/typescript" };
  const web = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async ({ url }) => {
      const file = new URL(`.${new URL(url).pathname}`, root);
      const body = await Deno.readFile(file).catch(() => null);
      return new Response(body, { status: body ? 200 : 404, headers });
    },
  );
  const origin = `http://127.0.0.1:${web.addr.port}`;
  {
    await using remote = await start(
      `${origin}/select.ts`,
      [],
      (command) =>
        `exec ${
          command.replace("'run'", "'run' '--no-lock' '--config=deno.json'")
        }`,
    );
    await remote.until(` run -A ${origin}/client.ts --port ${remote.port}\n`);
    const { stdout } = await client(remote.port, "hi\n");
    assertEquals(stdout, HELLO);
  }
  await web.shutdown();
});

const network =
  "ip link set lo up && ip link add v1 type veth peer name v2 && " +
  "ip link set v1 up && ip link set v2 up && " +
  "ip -6 addr add fe80::1:1/64 dev v1 nodad";
for (const script of ["poll.ts", "async.ts", "epoll_http.ts"]) {
  const name = `${script}: the hint keeps the zone of a link-local address`;
  await testWith(`unshare -n sh -c "${network}"`, name, async () => {
    await using server = await start(
      script,
      ["--hostname", "fe80::1:1%v1"],
      (command) => `exec unshare -n sh -c "${network} && exec ${command}"`,
    );
    await server.until("in another terminal: ");
    const { port } = server;
    assertMatch(
      server.output(),
      script === "epoll_http.ts"
        ? RegExp(`curl http://\\[fe80::1:1%25v1\\]:${port}/\n$`)
        : RegExp(`client.ts --hostname fe80::1:1%v1 --port ${port}\n$`),
    );
  });
}

await testWith(
  "strace -V",
  "client.ts: says why it cannot connect, also where Deno has no name for it",
  async () => {
    const fault = "inject=connect:error=EHOSTDOWN";
    await using process = run(
      "client.ts",
      ["--port", "1"],
      (command) => `exec strace -f -o /dev/null -e ${fault} ${command}`,
    );
    assertEquals((await soon(process.status, "it goes on")).code, 1);
    assertMatch(
      process.output(),
      /^client\.ts: cannot connect to 127\.0\.0\.1:1: host is down \(os error 112\)\n$/,
    );
  },
);

for (const script of ["nonblocking.ts", "signal.ts"]) {
  test(`${script}: deno run --watch ends the clients of the old script`, async () => {
    await using copy = await altered(script, "", "");
    await using server = await start(
      copy.script,
      [],
      (command) => `exec ${command.replace("'run'", "'run' '--watch'")}`,
    );
    using conn = await connect(server.port);
    assertEquals(await exchange(conn, "hi\n"), HELLO);
    Deno.writeTextFileSync(copy.script, "// changed\n", { append: true });
    assertEquals(await soon(rest(conn), "it is left connected"), "");
    await server.until(/(listening on[^]*){2}/);
  });
}
