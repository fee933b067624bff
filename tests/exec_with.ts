/**
 * Changes this process in a way that outlives exec(3), and becomes the command:
 *
 *   deno run -A tests/exec_with.ts descriptors 1100 deno run -A select.ts
 *
 * descriptors N   all descriptors up to N are taken
 * connection P D  each of the descriptors D (12,13) is an accepted connection of
 *                 port P
 * listener D      each of the descriptors D is a listener of another port
 * nonblocking     a write to stdout fails with EAGAIN when the pipe is full
 * unprivileged    no memory can be locked beyond `ulimit -l`, even by root
 */
const { dup, dup2, fcntl, accept, getsockname, prctl, execvp } = Deno.dlopen(
  "libc.so.6",
  {
    // int dup(int oldfd);
    dup: { parameters: ["i32"], result: "i32" },
    // int dup2(int oldfd, int newfd);
    dup2: { parameters: ["i32", "i32"], result: "i32" },
    // int fcntl(int fd, int cmd, int arg);
    fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
    // int accept(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
    accept: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
    getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    // int prctl(int op, unsigned long arg2);
    prctl: { parameters: ["i32", "usize"], result: "i32" },
    // int execvp(const char *file, char *const argv[]);
    execvp: { parameters: ["buffer", "buffer"], result: "i32" },
  },
).symbols;
const F_SETFD = 2;
const F_SETFL = 4;
const O_WRONLY = 1;
const O_NONBLOCK = 0o4000;
const PR_CAPBSET_DROP = 24;
const CAP_IPC_LOCK = 14;

const [change, ...words] = Deno.args;
if (change === "descriptors") {
  const last = Number(words.shift());
  while (dup(2) < last);
  for (let fd = 3; fd <= last; fd++) fcntl(fd, F_SETFD, 0); // outlives exec
} else if (change === "connection") {
  const port = Number(words.shift());
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const client = await Deno.connect({ hostname: "127.0.0.1", port });
  const fd = descriptor(listener);
  fcntl(fd, F_SETFL, 0); // accept blocks until the client is there
  duplicate(accept(fd, null, null));
  listener.close();
  client.close();
} else if (change === "listener") {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  duplicate(descriptor(listener));
  listener.close();
} else if (change === "nonblocking") {
  fcntl(1, F_SETFL, O_WRONLY | O_NONBLOCK);
} else if (change === "unprivileged") {
  prctl(PR_CAPBSET_DROP, BigInt(CAP_IPC_LOCK));
} else throw new Error(`there is no change ${change}`);

/** The descriptor of Deno's listener: the socket that has its port. */
function descriptor({ addr }: Deno.TcpListener): number {
  const name = new DataView(new ArrayBuffer(28));
  for (let fd = 3;; fd++) {
    getsockname(fd, name, new Uint32Array([name.byteLength]));
    if (name.getUint16(2) === addr.port) return fd;
  }
}

/** Makes each of the descriptors that are named a copy of this one. */
function duplicate(fd: number) {
  for (const copy of words.shift()!.split(",")) dup2(fd, Number(copy));
}

const strings = words.map((word) => new TextEncoder().encode(`${word}\0`));
const address = (bytes: Uint8Array<ArrayBuffer>) =>
  Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
const NULL = 0n; // the end of argv
execvp(strings[0], new BigUint64Array([...strings.map(address), NULL]));
throw new Error(`cannot run ${words[0]}`);
