/**
 * The clients of a server that are not of watch.ts: those of client.ts, curl or
 * nc. What they do is what the trace of the server tells: when each was accepted,
 * and when it was sent something.
 */
import type { Client } from "../models/timeline.ts";
import type { TraceEvent } from "../trace.ts";
import type { ClientRole, ElsewhereUpdate } from "./messages.ts";

/** So many of them have a name, and a lane. */
const NAMES = ["C", "D", "E"];
/** After so many ms it is known which clients are those of watch.ts. */
const SETTLED = 500;

interface Stranger {
  /** When it was accepted. */
  since: number;
  name?: string;
  /** When it was answered since the last look. */
  answers: number[];
}

export class ElsewhereClients {
  #strangers = new Map<number, Stranger>(); // by the client's index
  #own = new Set<number>(); // A, B and idle clients, also if they leave now

  /** A client was accepted: it is a stranger until it is known as our own. */
  accept({ index }: Client, time: number) {
    this.#strangers.set(index, { since: time, answers: [] });
  }

  /** Takes an event, with the clients by their keys: perhaps it answers one. */
  add(
    { call, phase, args, result, requests = [], time }: TraceEvent,
    clients: Map<string, Client>,
  ) {
    if (phase !== "return") return;
    const keys = requests.filter(({ op, result = 0 }) =>
      op === "SEND" && result > 0
    ).map(({ fd }) => `${fd}`);
    const sends = call === "send" || call === "write";
    if (sends && Number(result) > 0) keys.push(args.split(", ")[0]);
    for (const key of keys) {
      const index = clients.get(key)?.index ?? -1;
      this.#strangers.get(index)?.answers.push(time);
    }
  }

  /**
   * Those that are connected, and what is new of them. Whose port is not known as
   * one of watch.ts may be a client of it that has connected just now: only a
   * later look tells.
   */
  take(
    connected: Iterable<Client>,
    roleOf: (client: Client) => ClientRole,
    epoch: number,
    time: number,
  ): ElsewhereUpdate {
    const present = new Map([...connected].map((client) => [
      client.index,
      client,
    ]));
    for (const index of this.#own) {
      if (!present.has(index)) this.#own.delete(index);
    }
    for (const index of this.#strangers.keys()) {
      if (!present.has(index)) this.#strangers.delete(index);
    }
    const clients: ElsewhereUpdate["clients"] = [];
    let more = 0;
    for (const [index, client] of present) {
      if (this.#own.has(index)) continue;
      if (roleOf(client) !== "other") {
        this.#own.add(index);
        this.#strangers.delete(index);
        continue;
      }
      const stranger = this.#strangers.get(index);
      if (!stranger || time < stranger.since + SETTLED) continue;
      stranger.name ??= this.#freeName();
      if (!stranger.name) {
        more++;
        continue;
      }
      clients.push({
        name: stranger.name,
        since: stranger.since - epoch,
        answers: stranger.answers.splice(0).map((time) => time - epoch),
      });
    }
    clients.sort((a, b) => a.name < b.name ? -1 : 1);
    return { clients, more };
  }

  #freeName(): string | undefined {
    const used = [...this.#strangers.values()].map(({ name }) => name);
    return NAMES.find((name) => !used.includes(name));
  }
}
