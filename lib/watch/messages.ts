/** What goes over the WebSocket of watch.ts, both ways: one JSON text each. */
import type { Words } from "../models/states.js";
import type { Span as TimelineSpan } from "../models/timeline.ts";

/** The two clients that whoever looks at the page plays. */
export type ClientId = "A" | "B";
export const CLIENT_IDS: ClientId[] = ["A", "B"];

/** Which client a call was about: A, B, an idle one, or one from elsewhere. */
export type ClientRole = ClientId | "idle" | "other";

/** The threads that are shown: the main one, and those of A and B. */
export type ThreadId = "" | ClientId;

/** What a page can ask for. */
export type Command =
  | { type: "connect" | "ask" | "leave"; client: ClientId }
  | { type: "scene" }
  | { type: "idle"; by: number }
  | { type: "load"; on: boolean }
  | { type: "autoAnswer"; on: boolean }
  | { type: "answer"; script: string; text: string }
  | { type: "restart"; script: string }
  | { type: "open"; script: string | null };

/** What the server of the page sends. */
export type Message = Hello | Update | SceneResult | CommandError;

/** The first message. */
export interface Hello {
  type: "hello";
  /** Another one: watch.ts has been started anew. */
  session: string;
  models: {
    script: string;
    name: Words;
    canteen: Words;
    /** Whether each client has a thread of its own. */
    threadPerClient: boolean;
    /** Whether somebody types its answers. */
    typesAnswers: boolean;
  }[];
  /** What is answered where nobody types. */
  defaultAnswer: string;
}

/** What is new, twenty times a second. Times are in ms since watch.ts started. */
export interface Update {
  type: "update";
  time: number;
  /** By script. */
  models: Record<string, ModelUpdate>;
  idle: {
    wanted: number;
    /** How many there can be, and the descriptors that bound them. */
    most: number;
    descriptors: number;
  };
  load: boolean;
  autoAnswer: boolean;
  /** Whether the scene is being played. */
  scene: boolean;
}

/** What is new of one model. */
export interface ModelUpdate {
  status: "starting" | "running" | "failed" | "ended";
  reason?: string;
  /** Where it listens. */
  port: number;
  threads: { thread: ThreadId; spans: Span[]; current?: Span }[];
  clients: Record<ClientId, ClientState>;
  /** What A and B have done since the last update, and do no more. */
  clientSpans: ClientSpan[];
  idle: { connected: number; reason?: string };
  /** Whether it waits for somebody to type an answer. */
  awaitsAnswer: boolean;
  metrics?: Metrics;
  /** Only of the script whose code the page shows. */
  positions?: SourcePosition[];
  calls?: string[];
}

/** A span of a thread's time, with the client that its call was about. */
export interface Span extends TimelineSpan {
  role?: ClientRole;
}

/** What a client is doing. `load`: it asks without pause. */
export type ClientStatus =
  | "away"
  | "connecting"
  | "connected"
  | "waiting"
  | "answered"
  | "load"
  | "ended";

export interface ClientState {
  status: ClientStatus;
  since: number;
  /** For how long it waited for its last answer. */
  waited?: number;
  /** Why it has ended, or what it was told then. */
  reason?: string;
}

/** A span of a client's time. */
export interface ClientSpan {
  client: ClientId;
  status: ClientStatus;
  from: number;
  to: number;
}

/** What an answer costs, measured while A asks without pause. */
export interface Metrics {
  /** Whether the script makes its system calls itself, and not Deno. */
  makesOwnCalls: boolean;
  /** System calls for each answer; null while that is not known. */
  calls: number | null;
  /** CPU time in µs for each answer of a server without a trace, or null. */
  cpu: number | null;
  /** How many answers that server has given in the last seconds. */
  answers: number;
}

/** A line of the script in which a thread is. */
export interface SourcePosition {
  line: number;
  /** Whose thread it is; the main one's is empty. */
  thread: ClientRole | "";
  /** In a call; behind a promise that holds no thread; or the last call. */
  kind: "in" | "promised" | "last";
}

/** For how long the clients of a scene waited, in ms. */
export interface SceneResult {
  type: "sceneResult";
  /** By script. */
  waits: Record<string, Partial<Record<ClientId, number>>>;
  /** When each client asked. */
  asked: Record<ClientId, number>;
}

/** What was wrong with a command, or why it has changed nothing. */
export interface CommandError {
  type: "error";
  error: string;
}
