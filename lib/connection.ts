/** A client's connection to a server on this machine, and its end by reset. */

/** Connects to a port of this machine. */
export function connect(port: number): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

/** Sends all of it. */
export async function send(conn: Deno.Conn, data: string | Uint8Array) {
  let rest = typeof data === "string" ? new TextEncoder().encode(data) : data;
  while (rest.length) rest = rest.subarray(await conn.write(rest));
}

const libc = Deno.dlopen("libc.so.6", {
  // int connect(int sockfd, const struct sockaddr *addr, socklen_t addrlen);
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getpeername(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
}).symbols;

const MOST_DESCRIPTORS = 20_000;

/** Closes a connection with a reset, as a crashed client or a cut line does. */
export function reset(conn: Deno.TcpConn) {
  const { getsockname, getpeername } = libc;
  const portOf = (call: typeof getsockname, fd: number) => {
    const name = new DataView(new ArrayBuffer(28));
    const size = new Uint32Array([name.byteLength]);
    return call(fd, name, size) === 0 ? name.getUint16(2) : -1;
  };
  // Deno keeps the descriptor to itself: it is the socket with these two ports.
  for (let fd = 3; fd < MOST_DESCRIPTORS; fd++) {
    if (portOf(getsockname, fd) !== conn.localAddr.port) continue;
    if (portOf(getpeername, fd) !== conn.remoteAddr.port) continue;
    // A connect to an address of the family AF_UNSPEC, which is 0, dissolves the
    // connection at once. See connect(2).
    const dissolved = libc.connect(fd, new Uint8Array(16), 16) === 0;
    conn.close();
    if (!dissolved) throw new Error("the connection cannot be reset");
    return;
  }
  throw new Error("the connection has no descriptor");
}
