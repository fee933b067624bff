/** What an older Deno is told, instead of a stack trace. */
import { assertEquals } from "@std/assert";
import { deno, root } from "./harness.ts";

Deno.test("deno.lock is one that every Deno 2 reads", async () => {
  // An older one could not even say which version it is too old for.
  const { version } = JSON.parse(
    await Deno.readTextFile(new URL("deno.lock", root)),
  );
  assertEquals(version, "4");
});

Deno.test("a Deno without toHex is told what is needed", async () => {
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
      `${script}: needs Deno 2.5: deno upgrade\n`,
    );
    assertEquals(code, 1);
  }
  await Deno.remove(old);
});
