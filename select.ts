/**
 * Multiplexed I/O with select(2): one thread asks the kernel about all of its
 * descriptors at once, and sleeps until one of them is ready.
 *
 * In the canteen: you hand in a sheet of 1024 boxes, which comes back ticked:
 * each time you fill it in anew, and both you and the woman at the counter go
 * through all of it.
 *
 *   deno run -A select.ts        and in other terminals: deno run -A client.ts
 */
import {
  accept,
  compute,
  descriptor,
  fail,
  flags,
  HELLO,
  interrupted,
  libc,
  listen,
  type Peer,
  serverFlags,
} from "./util.ts";

const options = flags("serves many clients with select(2)", serverFlags);

const { select } = libc({
  // int select(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds,
  //            struct timeval *timeout);
  select: {
    parameters: ["i32", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
});

// fd_set: 1024 bits, one for each descriptor from 0 to 1023. The size is fixed
// by the type: with a larger nfds the kernel would write beyond its end.
//
//   | 0 1 2 3 4 5 6 7 | 8 9 10 …   … 1023 |
const FD_SETSIZE = 1024;
const FD_SET = (fd: number, set: Uint8Array) => set[fd >> 3] |= 1 << (fd & 7);
const FD_CLR = (fd: number, set: Uint8Array) =>
  set[fd >> 3] &= ~(1 << (fd & 7));
const FD_ISSET = (fd: number, set: Uint8Array) => set[fd >> 3] >> (fd & 7) & 1;
const reading = new Uint8Array(FD_SETSIZE / 8); // what we watch
const writing = new Uint8Array(FD_SETSIZE / 8);
const readfds = new Uint8Array(FD_SETSIZE / 8); // its copy for each call
const writefds = new Uint8Array(FD_SETSIZE / 8);
let nfds = 0; // the highest descriptor watched, plus 1

function watch(fd: number, set: Uint8Array) {
  FD_CLR(fd, set === reading ? writing : reading); // one or the other
  FD_SET(fd, set);
  nfds = Math.max(nfds, fd + 1);
}
function unwatch(fd: number) {
  FD_CLR(fd, reading);
  FD_CLR(fd, writing);
  while (!FD_ISSET(nfds - 1, reading) && !FD_ISSET(nfds - 1, writing)) nfds--;
}

const listener = descriptor(listen(options));
const buffer = new Uint8Array(options.buffer); // what recv fills
const peers = new Map<number, Peer>(); // by descriptor
if (listener >= FD_SETSIZE) fail(`no fd_set holds our descriptor ${listener}`);

watch(listener, reading);
while (true) {
  // The kernel overwrites the sets with its answer, so it gets copies.
  readfds.set(reading);
  writefds.set(writing);
  let ready = select(nfds, readfds, writefds, null, null);
  if (interrupted("select", ready)) continue; // EINTR: once more

  for (let fd = 0; fd < nfds && ready > 0; fd++) {
    if (!FD_ISSET(fd, readfds) && !FD_ISSET(fd, writefds)) continue;
    ready--; // once all of them are served, we need not look further
    if (fd === listener) continue; // last: leaving frees descriptors
    const peer = peers.get(fd)!;
    if (peer.unsent) {
      peer.send(); // there is room for more of it, or an error
      if (!peer.unsent) watch(fd, reading);
      continue;
    }
    const message = peer.recv(buffer); // null: EAGAIN; empty: it left
    if (message === null) continue;
    if (message.length > 0) {
      peer.show(message);
      compute(options.work);
      peer.send(options.echo ? message : HELLO);
      // While something is unsent we wait for room, and read nothing. At other
      // times we do not ask for room: there nearly always is some.
      if (peer.unsent) watch(fd, writing);
    } else {
      peer.close();
      peers.delete(fd);
      unwatch(fd);
    }
  }
  if (!FD_ISSET(listener, readfds)) continue;
  for (const peer of accept(listener)) { // at most 64
    if (peer.fd < FD_SETSIZE) {
      peers.set(peer.fd, peer);
      watch(peer.fd, reading);
    } else peer.refuse(`descriptor ${peer.fd} does not fit into an fd_set`);
  }
}
