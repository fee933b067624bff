/**
 * Asynchronous I/O, by the kernel: io_uring(7). Not "tell me when I can read",
 * but "read, and tell me when you have": requests go into one ring, and results
 * come out of another. Both rings are memory that we share with the kernel.
 *
 * In the canteen: you put an empty tray on the belt; it comes back filled.
 *
 *   deno run -A io_uring.ts      and in other terminals: deno run -A client.ts
 *
 * One system call for everything: io_uring_enter hands in the requests that
 * were written since the last one, and sleeps until something is done: with one
 * client, as a blocking recv does. The kernel copies before it reports, though
 * in our own thread, inside io_uring_enter. The gain is in batches: the more
 * clients, the more one call brings: strace -c -f -p PID.
 *
 * Needs Linux 6.1, for IORING_SETUP_DEFER_TASKRUN. Accepting more than once for
 * one request is as old as 5.19, to link requests 5.3.
 */
import {
  accept,
  address,
  compute,
  COUNT,
  descriptor,
  errno,
  fail,
  flags,
  HELLO,
  interrupted,
  lastFd,
  libc,
  listen,
  log,
  Peer,
  serverFlags,
  strerror,
} from "./util.ts";

const options = flags("serves many clients with io_uring(7)", {
  ...serverFlags,
  buffer: [16384, "bytes of the buffer that each client has", COUNT],
});

// libc has no functions for these two calls: we call syscall(2), whose first
// argument is the number of the call.
const SETUP = 425;
const ENTER = 426;
const { io_uring_setup, io_uring_enter, mmap, getpeername } = libc({
  // int io_uring_setup(u32 entries, struct io_uring_params *p);
  io_uring_setup: {
    name: "syscall",
    parameters: ["i32", "u32", "buffer"],
    result: "i32",
  },
  // int io_uring_enter(unsigned fd, u32 to_submit, u32 min_complete, u32 flags,
  //                    const void *arg, size_t argsz);
  // The last one goes over the stack, with all its 64 bits: those of a null.
  io_uring_enter: {
    name: "syscall",
    parameters: ["i32", "i32", "u32", "u32", "u32", "pointer", "pointer"],
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

// What can be asked for: an opcode; above it, flags that any request can have
// (IOSQE_…), 8 bits; above them, flags of this kind of request, 16 bits.
const IORING_OP_POLL_ADD = 6;
const IORING_OP_ACCEPT = 13;
const IORING_OP_SEND = 26;
const IORING_OP_RECV = 27;
const IOSQE_IO_LINK = 4 << 8; // the next request waits for this one
const IORING_ACCEPT_MULTISHOT = 1 << 16; // one request, a completion each

const IORING_CQE_F_MORE = 2; // the request is still with the kernel
const SOCK_CLOEXEC = 0o2000000;
const POLLIN = 1;
const MSG_WAITALL = 0x100;

/** The memory that a client's messages are received into. */
class ReceiveBuffer {
  bytes = new Uint8Array(options.buffer);
  address = addressOf(this.bytes);
}
const buffers: ReceiveBuffer[] = []; // by descriptor

/** A client. The kernel has one request of ours to receive from it, always. */
class Client extends Peer {
  // A descriptor keeps its buffer for the next client: a new buffer costs more
  // than a message.
  buffer = buffers[this.fd] ??= new ReceiveBuffer();
  answerAddress = 0; // of what is to be sent
  answerLength = 0; // 0: nothing is to be sent
  sendError = ""; // why an answer could not be sent
}

const ring = openRing(256);
const listener = descriptor(listen(options));
const EINTR = 4;
const EAGAIN = 11;
const EBUSY = 16;
const ENFILE = 23;
const EMFILE = 24;
const ECANCELED = 125;
const clients: (Client | undefined)[] = []; // by descriptor
const helloAddress = addressOf(HELLO);

acceptAll();
while (true) {
  ring.enter(); // the requests go in; held here until one of them is done
  for (const { op, fd, result, flags } of ring.completions()) {
    if (op === IORING_OP_ACCEPT) onAccepted(result, flags);
    else if (op === IORING_OP_RECV) onReceived(clients[fd]!, result);
    else if (op === IORING_OP_SEND) onSent(clients[fd]!, result);
    else if (op === IORING_OP_POLL_ADD) onAcceptReady();
  }
}

/** Makes one request for all clients to come. */
function acceptAll() {
  const request = IORING_OP_ACCEPT | IORING_ACCEPT_MULTISHOT;
  ring.submit(request, listener, 0, 0, SOCK_CLOEXEC);
}

/** The kernel has accepted a client: the result is a descriptor. */
function onAccepted(result: number, flags: number) {
  if (result >= 0) {
    const name = options.quiet ? "" : peername(result);
    log(`got connection from ${name}`);
    if (result < lastFd) addClient(result, name); // the last is to refuse with
    else new Peer(result, name).refuse(strerror(EMFILE));
  }
  if (flags & IORING_CQE_F_MORE) return;
  // Without a descriptor left, accept fails at once, even if no client waits.
  // So we ask to be told of the next client.
  if (result === -EMFILE || result === -ENFILE) {
    ring.submit(IORING_OP_POLL_ADD, listener, 0, 0, POLLIN);
  } else acceptAll();
}

/** A client waits: we accept it, or tell it that there is no room. */
function onAcceptReady() {
  for (const { fd, name } of accept(listener)) addClient(fd, name);
  acceptAll();
}

function addClient(fd: number, name: string) {
  const client = new Client(fd, name);
  clients[fd] = client;
  receive(client);
}

/** The client's address: multishot accept does not tell, so we ask. */
function peername(fd: number): string {
  const sockaddr = new Uint8Array(28);
  const gone = getpeername(fd, sockaddr, new Uint32Array([28])) === -1;
  return gone ? `descriptor ${fd}` : address(sockaddr);
}

/** Puts an empty buffer on the belt. */
function receive({ fd, buffer }: Client) {
  ring.submit(IORING_OP_RECV, fd, buffer.address, buffer.bytes.length, 0);
}

/** The buffer has come back: filled, unless the client has left. */
function onReceived(client: Client, result: number) {
  if (result > 0) {
    client.show(client.buffer.bytes.subarray(0, result));
    compute(options.work);
    const { echo } = options;
    client.answerAddress = echo ? client.buffer.address : helloAddress;
    client.answerLength = echo ? result : HELLO.length;
  } else if (result !== -EINTR && result !== -ECANCELED) {
    const error = result === 0 ? "" : strerror(-result); // 0: it has left
    client.close(client.sendError || error);
    clients[client.fd] = undefined;
    return;
  }
  // The receive is linked to the send, and waits until all is sent: nothing is
  // read from a client that does not read.
  if (client.answerLength > 0) send(client);
  receive(client);
}

function send({ fd, answerAddress, answerLength }: Client) {
  const request = IORING_OP_SEND | IOSQE_IO_LINK;
  ring.submit(request, fd, answerAddress, answerLength, MSG_WAITALL);
}

/**
 * An answer is sent. If only a part of it is, although we asked for all
 * (MSG_WAITALL), or nothing, the linked receive comes back with ECANCELED: then
 * the rest is sent, if it can be.
 */
function onSent(client: Client, result: number) {
  if (result >= 0) {
    client.answerAddress += result;
    client.answerLength -= result;
  } else if (result !== -EINTR) {
    client.sendError = strerror(-result);
    client.answerLength = 0;
  }
}

// ------------------------------------------- the memory shared with the kernel

/**
 * Opens the two rings. One side writes an entry and then moves the tail, the
 * other reads the entry and then moves the head. The order counts, so we use
 * Atomics, where C has store-release and load-acquire. Head and tail count on,
 * and wrap at 2 ** 32; masked, they are indices.
 */
function openRing(entries: number) {
  // struct io_uring_params: sq_entries, cq_entries, flags, 7 more words; then
  // 10 words and 10 words that say where in the memory the rings keep what.
  const params = new Uint32Array(30);
  const IORING_SETUP_SINGLE_ISSUER = 1 << 12; // only we ask; the next needs it
  const IORING_SETUP_DEFER_TASKRUN = 1 << 13; // work is done when we enter
  params[2] = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const fd = io_uring_setup(SETUP, entries, params);
  if (fd === -1) {
    const error = errno();
    const [EPERM, ENOMEM, EINVAL, ENOSYS] = [1, 12, 22, 38];
    const why: Record<number, string> = {
      [ENOMEM]: ": more than may be locked, see ulimit -l",
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
  const index = (i: number) => params[i] / 4; // params are in bytes
  const [sqHead, sqTail, sqMask, sqArray] = [10, 11, 12, 16].map(index);
  const [cqHead, cqTail, cqMask, cqArray] = [20, 21, 22, 25].map(index);
  const IORING_OFF_SQES = 0x10000000;
  const size = 4 * Math.max(sqArray + sqEntries, cqArray + 4 * cqEntries);
  const rings = new Int32Array(map(size, fd, 0)); // both, in one mapping
  const sqes = new Uint32Array(map(64 * sqEntries, fd, IORING_OFF_SQES));
  const mask = rings[sqMask];
  // The ring of submissions holds indices of entries: we use those in order.
  for (let i = 0; i < sqEntries; i++) rings[sqArray + i] = i;

  let submitted = 0; // tail of the one ring
  let completed = 0; // head of the other
  let available = 0; // its tail
  let waiting = 0; // entries that the kernel has not taken yet
  const completion = { op: 0, fd: 0, result: 0, flags: 0 };

  /**
   * Writes a request: struct io_uring_sqe, 16 words. The completion brings back
   * the last two, user_data: the opcode, and the descriptor.
   */
  function submit(
    request: number,
    fd: number,
    address: number,
    length: number,
    flags: number,
  ) {
    const i = 16 * (submitted & mask);
    sqes[i] = request;
    sqes[i + 1] = fd;
    sqes[i + 4] = address; // modulo 2 ** 32
    sqes[i + 5] = address / 2 ** 32;
    sqes[i + 6] = length;
    sqes[i + 7] = flags;
    sqes[i + 8] = request & 255;
    sqes[i + 9] = fd;
    submitted = submitted + 1 | 0;
    waiting++;
  }

  /** Hands in the requests, and waits until at least one is done. */
  function enter() {
    const IORING_ENTER_GETEVENTS = 1;
    Atomics.store(rings, cqHead, completed);
    Atomics.store(rings, sqTail, submitted);
    const flags = IORING_ENTER_GETEVENTS;
    const n = io_uring_enter(ENTER, fd, waiting, 1, flags, null, null);
    // The kernel has too much to do: to read what is done by now makes room.
    const busy = n === -1 && (errno() === EBUSY || errno() === EAGAIN);
    if (!busy) interrupted("io_uring_enter", n);
    waiting = submitted - Atomics.load(rings, sqHead) | 0;
    available = Atomics.load(rings, cqTail);
  }

  /** Whether there is room for the requests of one completion: at most 65. */
  function hasRoom() {
    return waiting < sqEntries - 65;
  }

  /** Yields what is done, each a struct io_uring_cqe: 4 words. */
  function* completions() {
    while (completed !== available && hasRoom()) {
      const i = cqArray + 4 * (completed & rings[cqMask]);
      completion.op = rings[i];
      completion.fd = rings[i + 1];
      completion.result = rings[i + 2];
      completion.flags = rings[i + 3];
      completed = completed + 1 | 0;
      yield completion;
    }
  }

  return { submit, enter, completions };
}

/** The kernel's memory, which no garbage collector moves or frees. */
function map(size: number, fd: number, offset: number): ArrayBuffer {
  const PROT_READ_WRITE = 1 | 2;
  const MAP_SHARED = 1;
  const start = mmap(null, size, PROT_READ_WRITE, MAP_SHARED, fd, offset);
  // MAP_FAILED is (void *) -1, and no page starts at an odd address.
  if (!start || Deno.UnsafePointer.value(start) & 1n) {
    fail(`mmap: ${strerror(errno())}; async.ts runs here too`);
  }
  return Deno.UnsafePointerView.getArrayBuffer(start, size);
}

/** The address of the data: an ArrayBuffer stays where it is. */
function addressOf(data: ArrayBufferView<ArrayBuffer>): number {
  const start = Deno.UnsafePointer.value(Deno.UnsafePointer.of(data.buffer));
  return Number(start) + data.byteOffset;
}
