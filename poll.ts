/**
 * Multiplexed I/O with poll(2): one thread asks the kernel about all of its
 * descriptors at once, and sleeps until one of them is ready.
 *
 * In the canteen: you hand in a list as long as you like, and need not write it
 * anew; still, both you and the woman at the counter go through all of it each
 * time.
 *
 *   deno run -A poll.ts          and in other terminals: deno run -A client.ts
 *
 * A list longer than RLIMIT_NOFILE is an error (EINVAL). If that limit is
 * lowered below a descriptor of ours, this server ends: a list without holes
 * would be shorter, but it might be too long as well.
 */
import {
  accept,
  compute,
  descriptor,
  flags,
  HELLO,
  interrupted,
  libc,
  listen,
  type Peer,
  serverFlags,
} from "./util.ts";

const options = flags("serves many clients with poll(2)", serverFlags);

const { poll } = libc({
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout);
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
});

// struct pollfd: 8 bytes, for each descriptor. We fill in fd and events (what
// we wait for); the kernel writes only revents (what has happened).
//
//   | fd: 4 bytes | events: 2 | revents: 2 |
//
// To us each is two words of 32 bits, with revents in the upper half of the
// second one, for both x86-64 and arm64 are little-endian.
// We use the descriptor as the index into the list, so that nothing has to move
// when a client leaves: where fd is -1, the kernel only writes 0 to revents.
const POLLIN = 1;
const POLLOUT = 4;
const empty = (length: number) =>
  new Int32Array(2 * length).map((_, i) => i % 2 === 0 ? -1 : 0);
let pollfds = empty(64);
let nfds = 0; // the highest descriptor watched, plus 1

function watch(fd: number, mask: number) {
  if (2 * fd >= pollfds.length) {
    const old = pollfds;
    pollfds = empty(2 * fd); // twice as many entries as we need
    pollfds.set(old);
  }
  pollfds[2 * fd] = fd;
  pollfds[2 * fd + 1] = mask; // in events; and 0 in revents
  nfds = Math.max(nfds, fd + 1);
}
function unwatch(fd: number) {
  pollfds.set([-1, 0], 2 * fd);
  while (pollfds[2 * (nfds - 1)] === -1) nfds--;
}
const revents = (fd: number) => pollfds[2 * fd + 1] >>> 16;

const listener = descriptor(listen(options));
const buffer = new Uint8Array(options.buffer); // what recv fills
const peers = new Map<number, Peer>(); // by descriptor

watch(listener, POLLIN);
while (true) {
  let ready = poll(pollfds, nfds, -1);
  if (interrupted("poll", ready)) continue; // EINTR: once more

  for (let fd = 0; fd < nfds && ready > 0; fd++) {
    if (revents(fd) === 0) continue;
    ready--; // once all of them are served, we need not look further
    if (fd === listener) continue; // last: leaving frees descriptors
    const peer = peers.get(fd)!;
    if (peer.unsent) {
      peer.send(); // there is room for more of it, or an error
      if (!peer.unsent) watch(fd, POLLIN);
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
      if (peer.unsent) watch(fd, POLLOUT);
    } else {
      peer.close();
      peers.delete(fd);
      unwatch(fd);
    }
  }
  if (revents(listener) === 0) continue;
  for (const peer of accept(listener)) { // at most 64
    peers.set(peer.fd, peer);
    watch(peer.fd, POLLIN);
  }
}
