/**
 * Multiplexed I/O with select(2): one thread asks the kernel about all of its
 * descriptors at once, and sleeps until one of them is ready.
 *
 * In the canteen: you leave a number; the server at the counter keeps at most
 * 1024, and must go through the whole list each time something is ready.
 *
 *   deno run -A select.ts        and in other terminals: deno run -A client.ts
 *
 * What if all three sets are empty? On Linux that is legal: there is nothing to
 * wait for but the timeout, and select is a sleep. Winsock refuses it with
 * WSAEINVAL, so a script that does it works on one system and fails on another.
 */
import { libc, listen, Listener, Peer, serverOptions, waited } from "./util.ts";

const { select } = libc({
  // int select(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds,
  //            struct timeval *timeout);
  select: {
    parameters: ["i32", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
});

// An fd_set is 1024 bits, one for each descriptor from 0 to 1023. The size is
// part of the type: there is no number that would let the kernel see more.
const FD_SETSIZE = 1024;
const readfds = new Uint8Array(FD_SETSIZE / 8);
const writefds = new Uint8Array(FD_SETSIZE / 8);
const FD_SET = (fd: number, set: Uint8Array) => set[fd >> 3] |= 1 << (fd & 7);
const FD_ISSET = (fd: number, set: Uint8Array) => set[fd >> 3] >> (fd & 7) & 1;

const options = serverOptions("serves many clients with select(2)");
const listener = new Listener(listen(options));
const peers = new Set<Peer>();

while (true) {
  // The kernel overwrites the sets with its answer: they are made anew for
  // every call, from the highest descriptor of which it learns where to stop.
  readfds.fill(0);
  writefds.fill(0);
  let highest = listener.fd;
  if (!listener.full) FD_SET(listener.fd, readfds);
  for (const { fd, unsent } of peers) {
    FD_SET(fd, unsent ? writefds : readfds);
    if (fd > highest) highest = fd;
  }

  const timeout = listener.full ? new BigInt64Array([1n, 0n]) : null; // s, µs
  const n = select(highest + 1, readfds, writefds, null, timeout);
  if (waited("select", n) === 0 && !listener.full) continue;

  for (const peer of peers) {
    if (FD_ISSET(peer.fd, readfds) || FD_ISSET(peer.fd, writefds)) peer.serve();
    if (peer.gone) peers.delete(peer);
  }
  if (listener.full || FD_ISSET(listener.fd, readfds)) {
    for (let peer; (peer = listener.accept());) {
      if (peer.fd < FD_SETSIZE) peers.add(peer);
      else peer.refuse(`descriptor ${peer.fd} does not fit into an fd_set`);
    }
  }
}
