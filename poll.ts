/**
 * Multiplexed I/O with poll(2): one thread asks the kernel about all of its
 * descriptors at once, and sleeps until one of them is ready.
 *
 * In the canteen: you leave a number, as with select, but the list is as long
 * as you like. The server still goes through all of it each time.
 *
 *   deno run -A poll.ts          and in other terminals: deno run -A client.ts
 */
import { libc, listen, Listener, Peer, serverOptions, waited } from "./util.ts";

const { poll } = libc({
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout);
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
});

// struct pollfd { int fd; short events; short revents; };
// Seen as two 32-bit words: the descriptor, and below the kernel's answer in
// the upper half of the second one, what we ask for. The array stays as it is
// from call to call, for the kernel writes nothing but the answers.
const POLLIN = 1;
const POLLOUT = 4;
let pollfds = new Int32Array(2 * 64);
const watch = (i: number, fd: number, events: number) => {
  if (2 * i === pollfds.length) {
    const longer = new Int32Array(2 * pollfds.length);
    longer.set(pollfds);
    pollfds = longer;
  }
  pollfds[2 * i] = fd;
  pollfds[2 * i + 1] = events;
};
const revents = (i: number) => pollfds[2 * i + 1] >>> 16;

const options = serverOptions("serves many clients with poll(2)");
const listener = new Listener(listen(options));
const peers: Peer[] = []; // peers[i] has pollfd i + 1

while (true) {
  watch(0, listener.fd, listener.full ? 0 : POLLIN);
  const n = poll(pollfds, 1 + peers.length, listener.full ? 1000 : -1);
  if (waited("poll", n) === 0 && !listener.full) continue;

  // Backwards, so that the last peer can take the place of one that has left.
  for (let i = peers.length; i > 0; i--) {
    if (!revents(i)) continue;
    let peer = peers[i - 1];
    // POLLHUP, POLLERR and POLLNVAL come unasked: recv or send finds out why.
    peer.serve();
    if (peer.gone) {
      const last = peers.pop()!;
      if (last === peer) continue;
      peer = peers[i - 1] = last;
    }
    watch(i, peer.fd, peer.unsent ? POLLOUT : POLLIN);
  }
  if (listener.full || revents(0)) {
    for (let peer; (peer = listener.accept());) {
      watch(peers.push(peer), peer.fd, POLLIN);
    }
  }
}
