/**
 * A function for each system call, as in Python's `socket` module: it throws an
 * error when the call fails. What to do about the error is your part.
 */
const libc = Deno.dlopen("libc.so.6", {
  // int socket(int domain, int type, int protocol);
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int setsockopt(int sockfd, int level, int optname,
  //                const void *optval, socklen_t optlen);
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  // int bind(int sockfd, const struct sockaddr *addr, socklen_t addrlen);
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int listen(int sockfd, int backlog);
  listen: { parameters: ["i32", "i32"], result: "i32" },
  // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int accept4(int sockfd, struct sockaddr *addr, socklen_t *len, int flags);
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  // ssize_t recv(int sockfd, void *buf, size_t len, int flags);
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // ssize_t send(int sockfd, const void *buf, size_t len, int flags);
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32"], result: "i32" },
  // int ioctl(int fd, unsigned long op, int *argp);
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
  // int usleep(useconds_t usec);
  usleep: { parameters: ["u32"], result: "i32" },
  // int *__errno_location(void);
  __errno_location: { parameters: [], result: "pointer" },
  // const char *strerrorname_np(int errnum);
  strerrorname_np: { parameters: ["i32"], result: "pointer" },
}).symbols;

const errno = new Deno.UnsafePointerView(libc.__errno_location()!);

/** Says which system call failed, and why: `code` is EAGAIN, EPIPE, … */
export class SystemError extends Error {
  override name = "SystemError";
  constructor(call: string, readonly code: string) {
    super(`${call}: ${code}`);
  }
}

// With any other errno a call is made again: Deno may have made calls of its own
// before we looked, and errno is theirs.
const BELIEVED = ["EAGAIN", "EINTR", "EPIPE", "ECONNRESET", "ETIMEDOUT"];
const MOST_TRIES = 100;

/** Returns what a system call returned; throws a SystemError if that is -1. */
export function checked(call: string, makeCall: () => number): number {
  let code = "";
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const result = makeCall();
    if (result !== -1) return result;
    const number = errno.getInt32();
    const name = libc.strerrorname_np(number);
    code = name ? Deno.UnsafePointerView.getCString(name) : `errno ${number}`;
    if (BELIEVED.includes(code)) break;
  }
  // Ctrl-Z and `fg` interrupt epoll_wait, unlike the others: nothing is ready.
  if (call === "epoll_wait" && code === "EINTR") return 0;
  throw new SystemError(call, code);
}

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const FIONBIO = 0x5421;
const NEWLINE = 10;

// struct sockaddr_in: family 2 bytes, port 2 (big-endian), address 4, unused 8
const sockaddr = new DataView(new ArrayBuffer(16));
const socklen = new Uint32Array([16]);

/** The port to listen on: 5666, unless the command line has another `--port`. */
export function chosenPort(): number {
  const given = Deno.args.indexOf("--port");
  return given === -1 ? 5666 : Number(Deno.args[given + 1]);
}

/**
 * Makes a socket that listens on 127.0.0.1, on the chosen port; returns its
 * descriptor. @see socket(2), bind(2), listen(2)
 */
export function listen(): number {
  const fd = checked("socket", () => libc.socket(AF_INET, SOCK_STREAM, 0));
  libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, new Uint32Array([1]), 4);
  sockaddr.setUint16(0, AF_INET, true);
  sockaddr.setUint16(2, chosenPort());
  sockaddr.setUint32(4, 0x7f000001); // 127.0.0.1
  checked("bind", () => libc.bind(fd, sockaddr, 16));
  checked("listen", () => libc.listen(fd, 128));
  libc.getsockname(fd, sockaddr, socklen);
  console.log(`listening on 127.0.0.1:${sockaddr.getUint16(2)}`);
  return fd;
}

/** Accepts a client; returns its descriptor and its address. @see accept(2) */
export function accept(listener: number): [number, string] {
  socklen[0] = 16;
  const fd = checked(
    "accept",
    () => libc.accept4(listener, sockaddr, socklen, 0),
  );
  return [fd, `127.0.0.1:${sockaddr.getUint16(2)}`];
}

/** Receives and returns what has come, at most `size` bytes. @see recv(2) */
export function recv(fd: number, size: number): Uint8Array<ArrayBuffer> {
  const buffer = new Uint8Array(size);
  return buffer.subarray(
    0,
    checked("recv", () => libc.recv(fd, buffer, size, 0)),
  );
}

/** Sends a text; returns how many of its bytes were sent. @see send(2) */
export function send(fd: number, text: string): number {
  const bytes = new TextEncoder().encode(text);
  return checked("send", () => libc.send(fd, bytes, bytes.length, 0));
}

/** Closes a descriptor, and with it the connection. @see close(2) */
export function close(fd: number) {
  checked("close", () => libc.close(fd));
}

/** From now on, a call on this descriptor throws EAGAIN instead of waiting. */
export function setNonblocking(fd: number) {
  checked("ioctl", () => libc.ioctl(fd, FIONBIO, new Int32Array([1])));
}

/** Sleeps for that many seconds. @see usleep(3) */
export function sleep(seconds: number) {
  libc.usleep(seconds * 1e6);
}

/** Prints the question, waits until a line is typed, and returns the line. */
export function input(question: string): string {
  Deno.stdout.writeSync(new TextEncoder().encode(question));
  const line: number[] = [];
  const byte = new Uint8Array(1);
  while (byte[0] !== NEWLINE) {
    if (Deno.stdin.readSync(byte) === null) throw new Error("no more input");
    line.push(byte[0]);
  }
  return new TextDecoder().decode(new Uint8Array(line));
}
