/** Real clients: A and B, and idle ones that only connect. */
import { printable, reason as reasonOf } from "../output.ts";
import { now, pause } from "../time.ts";
import type {
  ClientId,
  ClientSpan,
  ClientState,
  ClientStatus,
} from "./messages.ts";

/** After so many ms without an answer, a client under load is shown to wait. */
const LATE = 300;
/** After so many ms it is clear that the kernel lets no more clients in. */
const CONNECT_TIMEOUT = 4000;
/** For so many ms the port of an idle client that has left is known as its own. */
const REMEMBERED = 5000;
/** So many idle clients connect at once. */
const CONNECT_AT_ONCE = 20;

/** Text that came from a server, as one short line; of HTTP only the body. */
function brief(text: string): string {
  const body = /^HTTP\/.*?\r\n\r\n(.*)$/s.exec(text)?.[1];
  return printable((body || text).trim()).slice(0, 120);
}

/**
 * Connects. Rejects if the signal comes first; a connection that is made later is
 * closed at once. Deno takes a signal, too, but can lose a connection that is made
 * in the same moment, and blocking.ts would serve nobody else ever after.
 */
async function connect(
  port: number,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  const connecting = Deno.connect({ hostname: "127.0.0.1", port });
  const aborted = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => aborted.reject(signal.reason));
  try {
    return await Promise.race([connecting, aborted.promise]);
  } catch (error) {
    connecting.then((conn) => conn.close(), () => {});
    throw error;
  }
}

/** The texts that come from a connection, until the other side closes it. */
async function* received(
  conn: Deno.TcpConn,
  size: number,
): AsyncGenerator<string> {
  const buffer = new Uint8Array(size);
  while (true) {
    const n = await conn.read(buffer);
    if (n === null) return;
    yield new TextDecoder().decode(buffer.subarray(0, n));
  }
}

/** Client A or B, at one model. */
export class DemoClient {
  status: ClientStatus = "away";
  /** Its own port, by which the server's trace knows it; kept once it has left. */
  port?: number;
  /** For how long it waited for its last answer, in ms. */
  waited?: number;
  #since = now();
  #reason?: string; // why it has ended
  #spans: ClientSpan[] = []; // since they were taken
  #conn: Deno.TcpConn | null = null;
  #leaving = new AbortController();
  #question: PromiseWithResolvers<boolean> | null = null; // not answered yet
  #asksOnceConnected = false;

  /** `message`: what it asks. */
  constructor(readonly id: ClientId, readonly message: string) {}

  /** Whether it is connected, or about to be. */
  get present(): boolean {
    return this.status !== "away" && this.status !== "ended";
  }

  /** For how long it has done what it does, in ms. */
  get waiting(): number {
    return now() - this.#since;
  }

  /** Connects; resolves when that has been done, or has failed. */
  async connect(port: number): Promise<void> {
    if (this.present) return;
    this.#leaving = new AbortController();
    const { signal } = this.#leaving;
    this.waited = undefined;
    this.#reason = undefined;
    this.#become("connecting");
    let conn: Deno.TcpConn;
    try {
      conn = await connect(port, signal);
    } catch (error) {
      if (!signal.aborted) this.#end(reasonOf(error));
      return;
    }
    if (signal.aborted) {
      conn.close();
      return;
    }
    conn.setNoDelay();
    this.#conn = conn;
    this.port = conn.localAddr.port;
    this.#become("connected");
    this.#read(conn, signal);
    if (this.#asksOnceConnected) this.ask();
  }

  /** Asks; returns whether it could: not while it is away, or waits already. */
  ask(): boolean {
    if (!this.present || this.status === "waiting") return false;
    if (this.status === "load") return true; // it asks all the time
    if (!this.#conn) {
      this.#asksOnceConnected = true;
      return true;
    }
    this.#asksOnceConnected = false;
    this.#become("waiting");
    this.#send();
    return true;
  }

  /**
   * Asks once, as one of many times; resolves to whether it was answered. Once
   * the load is `stopped`, an answer that is still to come changes nothing here.
   */
  async exchange(stopped: AbortSignal): Promise<boolean> {
    if (!this.#conn) return false;
    const begin = now();
    if (this.status !== "waiting" && this.status !== "load") {
      this.#become("load");
    }
    const question = this.#send();
    const late = setTimeout(() => {
      if (stopped.aborted) return;
      if (this.status === "load") this.#become("waiting", begin);
    }, LATE);
    const answered = await question.promise;
    clearTimeout(late);
    if (this.status === "answered" && !stopped.aborted) this.#become("load");
    return answered;
  }

  /** Asks without pause no longer. */
  rest() {
    if (this.status === "load") this.#become("connected");
  }

  /** Closes its connection, if it has one. */
  leave() {
    if (this.status === "away") return;
    this.waited = undefined;
    this.#reason = undefined;
    this.#close("away");
  }

  /** What it does now; times are in ms since `epoch`. */
  state(epoch: number): ClientState {
    return {
      status: this.status,
      since: this.#since - epoch,
      waited: this.waited,
      reason: this.#reason,
    };
  }

  /** What it has done since the last time; times are in ms since `epoch`. */
  takeSpans(epoch: number): ClientSpan[] {
    return this.#spans.splice(0).map(({ from, to, ...span }) => ({
      ...span,
      from: from - epoch,
      to: to - epoch,
    }));
  }

  /** Sends its question, unless one is not answered yet; returns that one. */
  #send(): PromiseWithResolvers<boolean> {
    if (this.#question) return this.#question;
    this.#question = Promise.withResolvers();
    const data = new TextEncoder().encode(this.message);
    this.#conn!.write(data).catch(() => {}); // the read fails as well
    return this.#question;
  }

  async #read(conn: Deno.TcpConn, signal: AbortSignal) {
    let reason = "it hung up";
    let texts = 0;
    let last = "";
    let lastTime = 0;
    try {
      for await (const text of received(conn, 16384)) {
        if (signal.aborted) return;
        texts++;
        last = text;
        lastTime = now();
        if (this.status === "waiting") {
          this.waited = now() - this.#since;
          this.#become("answered");
        } else if (!this.#question) {
          reason = text; // nothing was asked: it may be told why it must leave
        }
        this.#question?.resolve(true);
        this.#question = null;
      }
    } catch (error) {
      reason = reasonOf(error);
    }
    // A client that asks at once gets the reason as if it were an answer.
    if (texts === 1 && now() - lastTime < LATE) reason = last;
    if (!signal.aborted) this.#end(reason);
  }

  #end(reason: string) {
    this.#reason = brief(reason);
    this.#close("ended");
  }

  #close(status: ClientStatus) {
    this.#leaving.abort();
    this.#asksOnceConnected = false;
    this.#question?.resolve(false);
    this.#question = null;
    const conn = this.#conn;
    this.#conn = null;
    this.#become(status);
    try {
      conn?.close();
    } catch { /* it was closed meanwhile */ }
  }

  #become(status: ClientStatus, time = now()) {
    if (this.present) {
      this.#spans.push({
        client: this.id,
        status: this.status,
        from: this.#since,
        to: time,
      });
    }
    this.status = status;
    this.#since = time;
  }
}

/** Clients that connect and never send anything. */
export class IdleClients {
  /** Why there are no more of them, where the server or the kernel refused. */
  reason?: string;
  /** Their own ports, and when those who have left did so. */
  #ports = new Map<number, number | undefined>();
  /** How many there are to be. */
  wanted = 0;
  #conns = new Set<Deno.TcpConn>();
  #resizing: Promise<void> | null = null;

  get connected(): number {
    return this.#conns.size;
  }

  /** Whether that is the port of one, or was a moment ago: a server may not have
   * seen yet that it has left. */
  hasPort(port: number): boolean {
    if (!this.#ports.has(port)) return false;
    const left = this.#ports.get(port);
    return left === undefined || now() < left + REMEMBERED;
  }

  /**
   * Has so many of them connect or leave; resolves when that is done. An earlier
   * call that has not ended yet goes on until this number, too.
   */
  async resize(wanted: number, port: number) {
    this.wanted = wanted;
    while (this.#resizing) await this.#resizing;
    this.#resizing = this.#resize(port);
    await this.#resizing;
    this.#resizing = null;
  }

  async #resize(port: number) {
    this.reason = undefined; // there may be room by now
    for (const port of this.#ports.keys()) {
      if (!this.hasPort(port)) this.#ports.delete(port);
    }
    while (this.#conns.size < this.wanted && !this.reason) {
      const missing = this.wanted - this.#conns.size;
      const count = Math.min(missing, CONNECT_AT_ONCE);
      await Promise.all(
        Array.from({ length: count }, () => this.#connect(port)),
      );
      await pause(5);
    }
    for (const conn of this.#conns) {
      if (this.#conns.size <= this.wanted) break;
      this.#close(conn);
    }
  }

  /** All of them close their connections. */
  leave() {
    this.wanted = 0;
    this.reason = undefined;
    for (const conn of this.#conns) this.#close(conn);
  }

  async #connect(port: number) {
    const signal = AbortSignal.timeout(CONNECT_TIMEOUT);
    try {
      const conn = await connect(port, signal);
      this.#conns.add(conn);
      this.#ports.set(conn.localAddr.port, undefined);
      this.#read(conn);
    } catch (error) {
      this.reason ??= signal.aborted
        ? "the kernel’s queue of connections is full"
        : brief(reasonOf(error));
    }
  }

  async #read(conn: Deno.TcpConn) {
    let last = "";
    try {
      for await (const text of received(conn, 256)) last = text;
    } catch { /* it has ended all the same */ }
    if (!this.#conns.has(conn)) return; // it was closed on this side
    // Where enough have stayed, those who left are not missed.
    if (last && this.#conns.size <= this.wanted) this.reason = brief(last);
    this.#close(conn);
  }

  #close(conn: Deno.TcpConn) {
    this.#conns.delete(conn);
    this.#ports.set(conn.localAddr.port, now());
    try {
      conn.close();
    } catch { /* it was closed meanwhile */ }
  }
}
