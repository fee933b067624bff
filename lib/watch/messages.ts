/** What goes over the WebSocket of watch.ts, both ways: one JSON text each. */
import type { State, Words } from "../words.js";

/** What a page can ask for. */
export type Wish =
  | { do: "connect" | "ask" | "leave"; who: Who }
  | { do: "scene" }
  | { do: "idle"; by: number }
  | { do: "load"; on: boolean }
  | { do: "auto"; on: boolean }
  | { do: "answer"; script: string; text: string }
  | { do: "restart"; script: string }
  | { do: "open"; script: string | null };

export type Who = "A" | "B";
export const WHO: Who[] = ["A", "B"];

/** Whom something is about: A, B, one who only sits there, or a stranger. */
export type Whom = Who | "idle" | "other";

/**
 * A piece of a thread's time. Times are in ms since the server started. Where
 * more happened than an eye can follow, one piece stands for many.
 */
export interface Piece {
  state: State;
  from: number;
  to: number;
  call?: string;
  whom?: Whom;
  /** Which client that is, as the server counts them. */
  client?: number;
  asked?: string;
  answered?: string;
  many?: {
    /** System calls, and what part of the time went to what. */
    calls: number;
    shares: Partial<Record<State, number>>;
  };
}

/** What a client is doing. `load`: it asks without pause. */
export type Doing =
  | "away"
  | "connecting"
  | "connected"
  | "waiting"
  | "answered"
  | "load"
  | "ended";

export interface Visit {
  is: Doing;
  since: number;
  /** For how long it waited for its last answer, in ms. */
  waited?: number;
  /** Why it has ended, or what it was told then. */
  why?: string;
}

/** What a client was doing, and does no more. */
export interface Visited {
  who: Who;
  is: Doing;
  from: number;
  to: number;
}

/** Counted while A asks without pause. */
export interface Figures {
  /** Whether the script makes its system calls itself: async.ts does not. */
  own: boolean;
  /** System calls for each answer; null while that is not known. */
  calls: number | null;
  /** Of a server that is not traced: CPU time for each answer, in µs, or null. */
  cpu: number | null;
  /** Of the same: how many answers there were in the last seconds. */
  answers: number;
}

/** A line of the script in which a thread stands. */
export interface Stand {
  line: number;
  /** Whose thread it is; the main one's is empty. */
  thread: Whom | "";
  /** In a call, or behind a promise that holds nobody; or it was there last. */
  kind: "in" | "promised" | "last";
}

/** The threads that are shown: the main one, and those of A and of B. */
export type Thread = "" | Who;

/** What is new of one model. */
export interface News {
  status: "starting" | "running" | "cannot" | "ended";
  why?: string;
  /** Where it listens. */
  port: number;
  threads: { thread: Thread; pieces: Piece[]; now?: Piece }[];
  clients: Record<Who, Visit>;
  visited: Visited[];
  idle: { here: number; why?: string };
  /** Whether it waits at its keyboard for somebody to answer. */
  asks: boolean;
  figures?: Figures;
  /** Only of the script that the page has opened. */
  stands?: Stand[];
  calls?: string[];
}

/** The first message. */
export interface Hello {
  hello: true;
  /** Another one: the server has been started anew. */
  session: string;
  models: { script: string; name: Words; canteen: Words }[];
  /** What blocking.ts answers by itself. */
  answer: string;
}

export interface Tick {
  tick: true;
  time: number;
  news: Record<string, News>;
  idle: { wanted: number; most: number; descriptors: number };
  load: boolean;
  auto: boolean;
  scene: boolean;
}

/** Of the last scene, for each model: for how long the clients waited, in ms. */
export interface Curtain {
  curtain: Record<string, Partial<Record<Who, number>>>;
  /** When they asked; who was answered first follows. */
  asked: Record<Who, number>;
}

/** What was wrong with a wish, or why it has changed nothing. */
export interface Refusal {
  error: string;
}

export type Message = Hello | Tick | Curtain | Refusal;
