/** Deno's listener, its descriptor, and the addresses of sockets. */
import { neighbourCommand, tracer } from "./cli.ts";
import { openLibc } from "./libc.ts";
import { fail, reason, say, script } from "./output.ts";

interface Address {
  hostname: string;
  port: number;
}

/** `127.0.0.1:5666`, `[::1]:5666`. */
export function authority({ hostname, port }: Address): string {
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

/**
 * Deno's own listener. Prints where it listens, and how to reach it; where it
 * cannot listen, ends the script. `scheme`: `http://`, of a server that has URLs.
 */
export function listen(options: Address, scheme = ""): Deno.TcpListener {
  const { hostname, port } = options;
  let listener: Deno.TcpListener;
  try {
    listener = Deno.listen({ hostname, port });
    // With the first signal listener Deno opens descriptors: now, and not when
    // clients have all of them.
    Deno.addSignalListener("SIGINT", Deno.exit);
    Deno.removeSignalListener("SIGINT", Deno.exit);
  } catch (error) {
    const hint = /ADDRINUSE|ACCES/.test(reason(error)) ? "; try --port 0" : "";
    fail(`cannot listen on ${authority(options)}: ${reason(error)}${hint}`);
  }
  // Deno keeps the zone of fe80::1%eth0 to itself, and nobody gets there without.
  const [zone = ""] = /%.+/.exec(hostname) ?? [];
  const addr = { ...listener.addr };
  addr.hostname += zone;
  // RFC 6874: in a URL, the zone begins with %25.
  const url = scheme && `${scheme}${authority(addr).replace("%", "%25")}/`;
  say(`${script}: listening on ${url || authority(addr)}`);
  const client = url ? `curl ${url}` : clientCommand(addr);
  say(`in another terminal: ${client}`);
  return tracer?.tracePromises(listener) ?? listener;
}

/** The command by which a client reaches that server. */
function clientCommand({ hostname, port }: Address): string {
  let command = neighbourCommand("client.ts");
  if (command === undefined) return `nc ${hostname} ${port}`;
  if (hostname !== "127.0.0.1") command += ` --hostname ${hostname}`;
  if (port !== 5666) command += ` --port ${port}`;
  return command;
}

// struct sockaddr_in:  family AF_INET (2): 2 bytes; port: 2, big-endian;
//                      address: 4
// struct sockaddr_in6: family AF_INET6: 2 bytes; port: 2, big-endian;
//                      flow: 4; address: 16; scope: 4
export const sockaddr = new Uint8Array(28);
const socklen = new Uint32Array(1);
const AF_INET = 2;

/** The length to pass with `sockaddr`, set anew: the kernel shrinks it. */
export function addrlen(): Uint32Array<ArrayBuffer> {
  return socklen.fill(sockaddr.length);
}

/** The address in a struct sockaddr: `127.0.0.1:42446`. @see ip(7), ipv6(7) */
export function address(sockaddr: Uint8Array<ArrayBuffer>): string {
  const port = sockaddr[2] << 8 | sockaddr[3];
  if (sockaddr[0] === AF_INET) {
    return `${sockaddr.subarray(4, 8).join(".")}:${port}`;
  }
  const words = sockaddr.subarray(8, 24).toHex().match(/.{4}/g)!.join(":");
  if (/^(0000:){5}ffff/.test(words)) { // an IPv4 client of an IPv6 listener
    return `[::ffff:${sockaddr.subarray(20, 24).join(".")}]:${port}`;
  }
  const { hostname } = new URL(`http://[${words}]`); // shortens it
  return `${hostname}:${port}`;
}

const open = () =>
  openLibc({
    // int getdtablesize(void);
    getdtablesize: { parameters: [], result: "i32" },
    // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
    getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    // int getsockopt(int sockfd, int level, int optname,
    //                void *optval, socklen_t *optlen);
    getsockopt: {
      parameters: ["i32", "i32", "i32", "buffer", "buffer"],
      result: "i32",
    },
  });

/** The highest descriptor that this process may have. */
export function lastDescriptor(): number {
  return open().getdtablesize() - 1;
}

/**
 * The descriptor of Deno's listener, which Deno keeps to itself: of all ours,
 * the socket that accepts on its port. @see getsockname(2)
 */
export function descriptor({ addr }: Deno.TcpListener): number {
  const { getsockname, getsockopt } = open();
  const SOL_SOCKET = 1;
  const SO_ACCEPTCONN = 30;
  const accepts = new Uint32Array(1);
  const last = lastDescriptor();
  for (let fd = 3; fd < last; fd++) {
    // A descriptor that is no socket leaves all this as it was.
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, accepts, addrlen());
    getsockname(fd, sockaddr, addrlen());
    if (accepts[0] && address(sockaddr).endsWith(`:${addr.port}`)) return fd;
  }
  fail("cannot find the descriptor of Deno's listener; try ulimit -n 1024");
}
