/** Real clients: A and B, and a crowd that only sits there. */
import { printable } from "../../util.ts";
import type { Doing, Visit, Visited, Who } from "./messages.ts";

/** In ms since 1970, on the clock of the traces. */
export const now = () => performance.timeOrigin + performance.now();
export const pause = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

const PATIENCE = 4000; // ms until it is clear that nobody is let in

/** Text that came from a server, as one short line. */
const brief = (text: string) => printable(text.trim()).slice(0, 120);

/** Client A or B, at one model. */
export class Guest {
  is: Doing = "away";
  since = now();
  waited?: number;
  why?: string;
  /** What it has done since somebody last looked. */
  visited: Visited[] = [];
  #conn: Deno.TcpConn | null = null;
  #leaving = new AbortController();
  #answer: PromiseWithResolvers<boolean> | null = null;
  #asks = false;

  constructor(readonly who: Who, readonly message: string) {}

  /** Its own port, by which the server's trace knows it. */
  get port(): number | undefined {
    return this.#conn?.localAddr.port;
  }

  get here(): boolean {
    return this.is !== "away" && this.is !== "ended";
  }

  /** Connects; resolves when that has been done, or has failed. */
  async connect(port: number): Promise<void> {
    if (this.here) return;
    this.#leaving = new AbortController();
    const { signal } = this.#leaving;
    this.waited = this.why = undefined;
    this.#become("connecting");
    let conn: Deno.TcpConn;
    try {
      conn = await Deno.connect({ hostname: "127.0.0.1", port, signal });
    } catch (error) {
      if (!signal.aborted) this.#end((error as Error).message);
      return;
    }
    if (signal.aborted) return conn.close();
    conn.setNoDelay();
    this.#conn = conn;
    this.#become("connected");
    this.#read(conn, signal);
    if (this.#asks) this.ask();
  }

  /** Whether it could ask: not while it is away, or waits already. */
  ask(): boolean {
    if (!this.here || this.is === "waiting") return false;
    if (this.is === "load") return true; // it does nothing else
    if (!this.#conn) {
      this.#asks = true;
      return true;
    }
    this.#asks = false;
    this.#become("waiting");
    this.#send();
    return true;
  }

  /** Asks once, as one of many: true when it was answered. */
  async exchange(): Promise<boolean> {
    if (!this.#conn) return false;
    const begin = now();
    if (this.is !== "waiting") {
      if (this.is !== "load") this.#become("load");
      this.#send();
    }
    const late = setTimeout(() => {
      if (this.is === "load") this.#become("waiting", begin);
    }, 300);
    const answered = await this.#answer!.promise;
    clearTimeout(late);
    if (this.is === "answered") this.#become("load");
    return answered;
  }

  /** Asks without pause no longer. */
  rest() {
    if (this.is === "load") this.#become("connected");
  }

  leave() {
    if (this.is === "away") return;
    this.waited = this.why = undefined;
    this.#close("away");
  }

  /** What it does now. */
  visit(base: number): Visit {
    const { is, since, waited, why } = this;
    return { is, since: since - base, waited, why };
  }

  #send() {
    this.#answer = Promise.withResolvers();
    const data = new TextEncoder().encode(this.message);
    this.#conn!.write(data).catch(() => {}); // the other half tells
  }

  async #read(conn: Deno.TcpConn, signal: AbortSignal) {
    const chunk = new Uint8Array(16384);
    let last = "";
    let why = "it hung up";
    try {
      for (let n; (n = await conn.read(chunk));) {
        last = new TextDecoder().decode(chunk.subarray(0, n));
        if (this.is === "waiting") {
          this.waited = now() - this.since;
          this.#become("answered");
        } else if (this.is !== "load") why = brief(last);
        this.#answer?.resolve(true);
      }
    } catch (error) {
      why = (error as Error).message;
    }
    if (!signal.aborted) this.#end(why);
  }

  #end(why: string) {
    this.why = brief(why);
    this.#close("ended");
  }

  #close(is: Doing) {
    this.#leaving.abort();
    this.#asks = false;
    this.#answer?.resolve(false);
    this.#answer = null;
    const conn = this.#conn;
    this.#conn = null;
    this.#become(is);
    try {
      conn?.close();
    } catch { /* that was done by the signal */ }
  }

  #become(is: Doing, time = now()) {
    if (this.here) {
      const { who, since } = this;
      this.visited.push({ who, is: this.is, from: since, to: time });
    }
    this.is = is;
    this.since = time;
  }
}

/** Clients that connect and never say a word. */
export class Crowd {
  /** Why there are no more of them, where they were turned away. */
  why?: string;
  /** Their own ports. */
  readonly ports = new Set<number>();
  #conns = new Set<Deno.TcpConn>();
  #wanted = 0;
  #busy = false;

  get size(): number {
    return this.#conns.size;
  }

  /** Has so many of them come or go. */
  async resize(wanted: number, port: number) {
    this.#wanted = wanted;
    if (this.#busy) return; // whoever is at it will see
    this.#busy = true;
    this.why = undefined; // it may be otherwise by now
    while (this.#conns.size < this.#wanted && !this.why) {
      const missing = Math.min(this.#wanted - this.#conns.size, 20);
      await Promise.all(
        Array.from({ length: missing }, () => this.#come(port)),
      );
      await pause(5);
    }
    for (const conn of this.#conns) {
      if (this.#conns.size <= this.#wanted) break;
      this.#close(conn);
    }
    this.#busy = false;
  }

  leave() {
    this.#wanted = 0;
    this.why = undefined;
    for (const conn of this.#conns) this.#close(conn);
  }

  async #come(port: number) {
    const signal = AbortSignal.timeout(PATIENCE);
    try {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port, signal });
      this.#conns.add(conn);
      this.ports.add(conn.localAddr.port);
      this.#read(conn);
    } catch (error) {
      this.why ??= signal.aborted
        ? "the kernel’s queue of connections is full"
        : brief((error as Error).message);
    }
  }

  async #read(conn: Deno.TcpConn) {
    const chunk = new Uint8Array(256);
    let said = "";
    try {
      for (let n; (n = await conn.read(chunk));) {
        said = new TextDecoder().decode(chunk.subarray(0, n));
      }
    } catch { /* as good as a goodbye */ }
    if (!this.#conns.has(conn)) return; // it was we who have left
    if (said) this.why = brief(said);
    this.#close(conn);
  }

  #close(conn: Deno.TcpConn) {
    this.#conns.delete(conn);
    this.ports.delete(conn.localAddr.port);
    try {
      conn.close();
    } catch { /* it was closed meanwhile */ }
  }
}
