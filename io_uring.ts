/**
 * Asynchronous I/O, by the kernel: io_uring(7). Not "tell me when I can read",
 * but "read, and tell me when you have": requests go into one ring, what became
 * of them comes out of another, and both are memory we share with the kernel.
 *
 * In the canteen: you put an empty tray on the belt; it comes back filled.
 *
 *   deno run -A io_uring.ts      and in other terminals: deno run -A client.ts
 *
 * One system call for everything: io_uring_enter hands in the requests that
 * were written since the last one, and sleeps until something is done. The more
 * clients, the more it brings at once: strace -c -f -p PID.
 *
 * Needs Linux 6.1, for IORING_SETUP_DEFER_TASKRUN. The rest is older: receiving
 * more than once for one request 6.0, accepting so, and rings of buffers 5.19.
 */
import {
  address,
  descriptor,
  errno,
  fail,
  HELLO,
  interrupted,
  libc,
  listen,
  log,
  Peer,
  serverOptions,
  strerror,
  warn,
} from "./util.ts";

const options = serverOptions("serves many clients with io_uring(7)");

// libc knows none of the three: syscall(2) takes their numbers, and then what
// they take. For a kernel between two calls the rings are just memory.
const [SETUP, ENTER, REGISTER] = [425, 426, 427];
const { io_uring_setup, io_uring_enter, io_uring_register, mmap, getpeername } =
  libc({
    // int io_uring_setup(u32 entries, struct io_uring_params *p);
    io_uring_setup: {
      name: "syscall",
      parameters: ["i32", "u32", "buffer"],
      result: "i32",
    },
    // int io_uring_enter(unsigned fd, u32 to_submit, u32 min_complete, u32 flags,
    //                    const void *arg, size_t argsz);
    io_uring_enter: {
      name: "syscall",
      parameters: ["i32", "i32", "u32", "u32", "u32", "buffer", "u32"],
      result: "i32",
    },
    // int io_uring_register(unsigned fd, unsigned opcode, void *arg, unsigned n);
    io_uring_register: {
      name: "syscall",
      parameters: ["i32", "i32", "u32", "buffer", "u32"],
      result: "i32",
    },
    // void *mmap(void *addr, size_t length, int prot, int flags, int fd,
    //            off_t offset);
    mmap: {
      parameters: ["buffer", "u32", "i32", "i32", "i32", "u32"],
      result: "pointer",
    },
    // int getpeername(int sockfd, struct sockaddr *addr, socklen_t *len);
    getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  });

// What can be asked for: an opcode, above it flags of any request (IOSQE_…) in
// 8 bits, above them flags of this kind of request in 16. A multishot request
// stays with the kernel, and completes time and again.
const TIMEOUT = 11; // IORING_OP_TIMEOUT
const ACCEPT = 13 | 1 << 16; // IORING_OP_ACCEPT, IORING_ACCEPT_MULTISHOT
const CANCEL = 14 | 64 << 8; // IORING_OP_ASYNC_CANCEL, IOSQE_CQE_SKIP_SUCCESS
const SEND = 26; // IORING_OP_SEND
const RECV = 27 | 32 << 8 | 2 << 16; // …_RECV, IOSQE_BUFFER_SELECT, …_MULTISHOT
const opcode = (request: number) => request & 255;

const IORING_CQE_F_MORE = 2; // the request is still with the kernel
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_WAITALL = 0x100;

/** A client, and which requests for it are with the kernel. */
class Client extends Peer {
  receiving: "no" | "yes" | "cancelled" = "no";
  sending: Uint8Array<ArrayBuffer> | null = null; // one at a time, in order
  buffer = -1; // which of the buffers `sending` is in; -1: in none
  next: Uint8Array<ArrayBuffer>[] = []; // to be sent after that
  slow = false; // does not read: the kernel had no room for all
  closed = false;
  ended?: string; // why; it is closed once no request is left
}

const ring = openRing(256);
const buffers = openBuffers(1024, 4096);
const listener = descriptor(listen(options));
const EINTR = 4;
const EAGAIN = 11;
const EBUSY = 16;
const ECONNABORTED = 103;
const ENOBUFS = 105;
const ECANCELED = 125;
const clients: (Client | undefined)[] = []; // by descriptor
const unfed = new Set<Client>(); // found no buffer left
const second = new BigInt64Array([1n, 0n]); // struct timespec: s, ns
let full = -Infinity; // when we last had no descriptor for a client

ring.ask(ACCEPT, listener, 0, 0, SOCK_CLOEXEC);
while (true) {
  ring.enter(); // the requests go in; held here until one of them is done
  for (let done; (done = ring.next());) {
    const { op, fd, result, flags } = done;
    if (op === opcode(RECV)) received(clients[fd]!, result, flags);
    else if (op === opcode(SEND)) sent(clients[fd]!, result);
    else if (op === opcode(ACCEPT)) accepted(result, flags);
    else if (op === opcode(TIMEOUT)) {
      ring.ask(ACCEPT, listener, 0, 0, SOCK_CLOEXEC);
    }
  }
  for (const client of unfed) {
    if (!buffers.left || !ring.room()) break;
    unfed.delete(client);
    proceed(client);
  }
}

/** Someone is in: the result is a descriptor. */
function accepted(result: number, flags: number) {
  if (result >= 0) {
    const name = options.quiet ? "" : peername(result);
    log(`got connection from ${name}`);
    proceed(clients[result] = new Client(result, name));
  }
  if (flags & IORING_CQE_F_MORE) return;
  if (result < 0 && ![EAGAIN, EINTR, ECONNABORTED].includes(-result)) {
    // Until a process gives one back we try every second, and say so once.
    const before = full;
    full = Date.now();
    if (full - before > 5000) warn(`cannot accept: ${strerror(-result)}`);
    ring.ask(TIMEOUT, -1, pointer(second), 1, 0);
  } else ring.ask(ACCEPT, listener, 0, 0, SOCK_CLOEXEC);
}

/** The name of a client, which an accept that is asked for once cannot give. */
function peername(fd: number): string {
  const sockaddr = new Uint8Array(28);
  const gone = getpeername(fd, sockaddr, new Uint32Array([28])) === -1;
  return gone ? `descriptor ${fd}` : address(sockaddr);
}

/** A message: it is in the buffer already, and the answer leaves from there. */
function received(client: Client, result: number, flags: number) {
  const more = flags & IORING_CQE_F_MORE;
  if (!more) client.receiving = "no";
  if (result > 0) {
    const buffer = flags >>> 16;
    const message = buffers.take(buffer, result);
    client.show(message);
    const answer = options.echo ? message : HELLO;
    if (client.ended !== undefined) buffers.put(buffer);
    else if (client.sending) {
      client.next.push(answer.slice());
      cancel(client); // until that is out
      buffers.put(buffer);
    } else {
      client.buffer = buffer;
      client.sending = buffers.fill(buffer, answer);
      const at = buffers.addressOf(buffer);
      ring.ask(SEND, client.fd, at, answer.length, MSG_DONTWAIT);
    }
  } else if (result === -ENOBUFS) return void unfed.add(client);
  else if (result !== -ECANCELED) {
    client.ended ??= result === 0 ? "" : strerror(-result);
  }
  if (!more) proceed(client);
}

/** Sent, or as much as there was room for. */
function sent(client: Client, result: number) {
  let rest = client.sending!.subarray(Math.max(result, 0));
  if (result < 0 && result !== -EAGAIN && result !== -EINTR) {
    client.ended ??= strerror(-result);
    client.next = [];
    rest = rest.subarray(rest.length);
  }
  // The buffer goes back even so: a client that does not read keeps none.
  if (client.buffer !== -1) {
    if (rest.length) rest = rest.slice();
    buffers.put(client.buffer);
  }
  if (rest.length) client.next.unshift(rest);
  client.slow = rest.length > 0;
  client.sending = null;
  client.buffer = -1;
  proceed(client);
}

/** Asks for what comes next: to send what is left, to receive, to be closed. */
function proceed(client: Client) {
  const { fd, next, receiving, ended } = client;
  if (client.sending || client.closed) return;
  if (next.length) {
    // The kernel keeps nothing but the address: `sending` keeps the bytes.
    client.sending = next.length === 1 ? next[0] : joined(next);
    client.next = [];
    const { sending, slow } = client;
    const how = slow ? MSG_WAITALL : MSG_DONTWAIT;
    ring.ask(SEND, fd, pointer(sending), sending.length, how);
  } else if (ended !== undefined && receiving === "no") {
    client.closed = true;
    client.close(ended);
    clients[fd] = undefined;
    return;
  } else if (receiving === "no") {
    client.receiving = "yes";
    ring.ask(RECV, fd, 0, 0, 0);
  }
  // Nothing more is read until that is out.
  if (client.slow || ended !== undefined) cancel(client);
}

/** Receives no more; what has come by now is still to be told of. */
function cancel(client: Client) {
  if (client.receiving !== "yes") return;
  client.receiving = "cancelled";
  ring.ask(CANCEL, client.fd, opcode(RECV) + client.fd * 2 ** 32, 0, 0);
}

// -------------------------------------------- the memory shared with the kernel

/**
 * The two rings. Who writes an entry then moves the tail, who reads it then
 * moves the head, and the order counts: Atomics, where C has store-release and
 * load-acquire. Both only ever grow, as 32 bits do; the mask makes an index.
 */
function openRing(entries: number) {
  // struct io_uring_params: sq_entries, cq_entries, flags, 7 more words; then
  // 10 words and 10 words that say where in the memory the rings keep what.
  const params = new Uint32Array(30);
  const IORING_SETUP_SINGLE_ISSUER = 1 << 12; // one thread, no locks
  const IORING_SETUP_DEFER_TASKRUN = 1 << 13; // work is done when we enter
  params[2] = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const fd = io_uring_setup(SETUP, entries, params);
  if (fd === -1) {
    const error = errno();
    const [EPERM, EINVAL, ENOSYS] = [1, 22, 38];
    const why: Record<number, string> = {
      [EINVAL]: ": this kernel is older than 6.1",
      [ENOSYS]: ": not in this kernel, or forbidden in this container",
      [EPERM]: ": forbidden here, by kernel.io_uring_disabled or a container",
    };
    fail(
      `io_uring_setup: ${strerror(error)}${why[error] ?? ""}; ` +
        "async.ts runs here too",
    );
  }
  const [sqEntries, cqEntries] = params;
  const [sqHead, sqTail, sqMask, , , , sqArray] = params.slice(10).map(word);
  const [cqHead, cqTail, cqMask, , , cqArray] = params.slice(20).map(word);
  const IORING_OFF_SQES = 0x10000000;
  const size = 4 * Math.max(sqArray + sqEntries, cqArray + 4 * cqEntries);
  const rings = new Int32Array(map(size, fd, 0));
  const sqes = new Uint32Array(map(64 * sqEntries, fd, IORING_OFF_SQES));
  const mask = rings[sqMask];
  // The ring of submissions holds numbers of entries: we use them in order.
  for (let i = 0; i < sqEntries; i++) rings[sqArray + i] = i;

  let submitted = 0; // tail of the one ring
  let completed = 0; // head of the other
  let available = 0; // its tail
  let waiting = 0; // entries that the kernel has not taken yet
  const completion = { op: 0, fd: 0, result: 0, flags: 0 };
  return { fd, ask, enter, next, room };

  function word(offset: number) {
    return offset / 4;
  }

  /**
   * Writes a request: struct io_uring_sqe, 16 words. What stands in user_data
   * comes back with the completion: the opcode, and the descriptor.
   */
  function ask(
    request: number,
    fd: number,
    addr: number,
    length: number,
    flags: number,
  ) {
    const i = 16 * (submitted & mask);
    sqes[i] = request;
    sqes[i + 1] = fd;
    sqes[i + 4] = addr; // modulo 2 ** 32
    sqes[i + 5] = addr / 2 ** 32;
    sqes[i + 6] = length;
    sqes[i + 7] = flags;
    sqes[i + 8] = opcode(request);
    sqes[i + 9] = fd;
    submitted = submitted + 1 | 0;
    waiting++;
  }

  /** Hands in what was asked, and waits until at least one is done. */
  function enter() {
    const IORING_ENTER_GETEVENTS = 1;
    buffers.publish();
    Atomics.store(rings, cqHead, completed);
    Atomics.store(rings, sqTail, submitted);
    const flags = IORING_ENTER_GETEVENTS;
    const n = io_uring_enter(ENTER, fd, waiting, 1, flags, null, 0);
    // Too much at once for the kernel: what is done by now makes room.
    const busy = n === -1 && (errno() === EBUSY || errno() === EAGAIN);
    if (!busy) interrupted("io_uring_enter", n);
    waiting = submitted - Atomics.load(rings, sqHead) | 0;
    available = Atomics.load(rings, cqTail);
  }

  /** Whether there is room for what a completion can lead us to ask. */
  function room() {
    return waiting < sqEntries - 4;
  }

  /** The next struct io_uring_cqe, 4 words; none, until we enter again. */
  function next() {
    if (completed === available || !room()) return;
    const i = cqArray + 4 * (completed & rings[cqMask]);
    completion.op = rings[i];
    completion.fd = rings[i + 1];
    completion.result = rings[i + 2];
    completion.flags = rings[i + 3];
    completed = completed + 1 | 0;
    return completion;
  }
}

/**
 * The buffers that the kernel receives into, in a ring of their own: it takes
 * one when there is something to put in, so that who is silent needs none.
 */
function openBuffers(count: number, size: number) {
  const memory = map((16 + size) * count);
  // struct io_uring_buf: address 8 bytes, length 4, number 2, and 2 bytes that
  // in the first entry are the tail of the ring, and not ours to overwrite.
  const words = new Uint32Array(memory, 0, 4 * count);
  const halves = new Uint16Array(memory, 0, 8 * count);
  const start = pointer(words);
  // struct io_uring_buf_reg: address 8 bytes, entries 4, group 2; 32 bytes of
  // which nothing is needed here.
  const reg = new Uint32Array(10);
  reg.set([start, start / 2 ** 32, count]);
  const IORING_REGISTER_PBUF_RING = 22;
  if (io_uring_register(REGISTER, ring.fd, IORING_REGISTER_PBUF_RING, reg, 1)) {
    fail(`io_uring_register: ${strerror(errno())}; async.ts runs here too`);
  }
  let tail = 0;
  const pool = { left: 0, take, fill, put, publish, addressOf };
  for (let buffer = 0; buffer < count; buffer++) put(buffer);
  return pool;

  function at(buffer: number) {
    return 16 * count + size * buffer;
  }

  function addressOf(buffer: number) {
    return start + at(buffer);
  }

  /** What the kernel has put into a buffer. */
  function take(buffer: number, length: number) {
    pool.left--;
    return new Uint8Array(memory, at(buffer), length);
  }

  /** Puts an answer there, unless that is where it came from. */
  function fill(buffer: number, answer: Uint8Array<ArrayBuffer>) {
    if (answer.buffer === memory) return answer;
    const inside = new Uint8Array(memory, at(buffer), answer.length);
    inside.set(answer);
    return inside;
  }

  function put(buffer: number) {
    const i = tail++ & (count - 1);
    const addr = addressOf(buffer);
    words[4 * i] = addr;
    words[4 * i + 1] = addr / 2 ** 32;
    words[4 * i + 2] = size;
    halves[8 * i + 6] = buffer;
    pool.left++;
  }

  /** Lets the kernel see what was put back. */
  function publish() {
    Atomics.store(halves, 7, tail);
  }
}

/** Memory that is no collector's to move or to free: the kernel's, or fresh. */
function map(size: number, fd = -1, offset = 0): ArrayBuffer {
  const PROT_READ_WRITE = 1 | 2;
  const MAP_SHARED = 1;
  const MAP_PRIVATE_ANONYMOUS = 2 | 0x20;
  const flags = fd === -1 ? MAP_PRIVATE_ANONYMOUS : MAP_SHARED;
  const at = mmap(null, size, PROT_READ_WRITE, flags, fd, offset);
  // MAP_FAILED is (void *) -1: an odd address, and pages start at even ones.
  if (!at || Deno.UnsafePointer.value(at) & 1n) {
    fail(`mmap: ${strerror(errno())}; async.ts runs here too`);
  }
  return Deno.UnsafePointerView.getArrayBuffer(at, size);
}

/** Of its ArrayBuffer, which stays where it is: a small array would move. */
function pointer(data: ArrayBufferView<ArrayBuffer>): number {
  const at = Deno.UnsafePointer.value(Deno.UnsafePointer.of(data.buffer));
  return Number(at) + data.byteOffset;
}

function joined(pieces: Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(pieces.reduce((n, { length }) => n + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
