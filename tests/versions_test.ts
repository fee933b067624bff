/** An older Deno, or a forgotten -A, gets a line and no stack trace. */
import { assertEquals, assertMatch } from "@std/assert";
import { deno, root } from "./harness.ts";

Deno.test("deno.lock is one that every Deno 2 reads", async () => {
  // A lock of version 5 ends an older Deno before it could name what is needed.
  const { version } = JSON.parse(
    await Deno.readTextFile(new URL("deno.lock", root)),
  );
  assertEquals(version, "4");
});

Deno.test("deno test without -A says so in a line", async () => {
  const { code, stdout, stderr } = await new Deno.Command(deno, {
    args: ["test"],
    cwd: root,
    env: { NO_COLOR: "1", RUST_BACKTRACE: "0" },
  }).output();
  const [line, place, ...more] = new TextDecoder().decode(stderr).split("\n");
  assertMatch(line, /^error: Test permissions .* `-P` or a permission flag\?$/);
  assertMatch(place, /deno\.json$/);
  assertEquals([code, stdout.length, more.join("")], [1, 0, ""]);
});

Deno.test("an older Deno, without toHex, gets a line that names the version needed", async () => {
  const old = await Deno.makeTempFile({ suffix: ".js" });
  await Deno.writeTextFile(old, "delete Uint8Array.prototype.toHex;");
  for (const script of ["select.ts", "client.ts"]) {
    const { code, stderr } = await new Deno.Command(deno, {
      args: ["run", "-A", "--preload", old, script, "--port", "0"],
      cwd: root,
      env: { NO_COLOR: "1" },
    }).output();
    assertEquals(
      new TextDecoder().decode(stderr),
      `${script}: needs Deno 2.5.2: deno upgrade\n`,
    );
    assertEquals(code, 1);
  }
  await Deno.remove(old);
});
