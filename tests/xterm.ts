/**
 * xterm.js, as a filter. Each line of its input is a JSON array: columns and
 * rows of the window, and in base64 what a program has written. For each line,
 * it prints one that tells what the window shows: `{ screen, cursor, reply }`.
 *
 * This is a process of its own, run with --no-lock. If these packages were in
 * the lock file, everybody who runs one of the scripts would download them.
 */
const npm = async (name: string) => (await import(`npm:${name}`)).default;
const { Terminal } = await npm("@xterm/headless@6.0.0");
const { Unicode11Addon } = await npm("@xterm/addon-unicode11@0.9.0");

/** The part of xterm.js that is used here. */
interface XTerm {
  loadAddon(addon: unknown): void;
  unicode: { activeVersion: string };
  resize(columns: number, rows: number): void;
  onData(listener: (reply: string) => void): void;
  write(bytes: Uint8Array, done: () => void): void;
  buffer: {
    active: {
      length: number;
      baseY: number;
      cursorX: number;
      cursorY: number;
      getLine(row: number): { translateToString(trim: boolean): string };
    };
  };
}

const xterm: XTerm = new Terminal({ allowProposedApi: true });
xterm.loadAddon(new Unicode11Addon());
xterm.unicode.activeVersion = "11"; // emoji take two columns
let reply = ""; // the answer of a terminal that was asked where the cursor is
xterm.onData((data) => {
  reply += data;
});

let input = "";
for await (
  const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())
) {
  const lines = (input + text).split("\n");
  input = lines.pop()!;
  for (const line of lines) {
    const [columns, rows, bytes] = JSON.parse(line);
    xterm.resize(columns, rows);
    await new Promise<void>((resolve) =>
      xterm.write(Uint8Array.fromBase64(bytes), resolve)
    );
    const { active } = xterm.buffer;
    const screen = Array.from(
      { length: active.length },
      (_, row) => active.getLine(row).translateToString(true).trimEnd(),
    ).join("\n");
    const cursor = [active.baseY + active.cursorY, active.cursorX];
    console.log(JSON.stringify({ screen: screen.trimEnd(), cursor, reply }));
    reply = "";
  }
}
