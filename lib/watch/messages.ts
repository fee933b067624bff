/** The messages on the WebSocket of watch.ts, both ways: each is one JSON text. */
import type { Words } from "../models/states.js";
import type { Span as TimelineSpan } from "../models/timeline.ts";

/** The two clients that the page lets its user play. */
export type ClientId = "A" | "B";
export const CLIENT_IDS: ClientId[] = ["A", "B"];

/** Which client a call is about: A, B, an idle one, or one from elsewhere. */
export type ClientRole = ClientId | "idle" | "other";

/** The threads that are shown: the main one, and those of A and B. */
export type ThreadId = "" | ClientId;

/** What a page can ask for; `idle` connects so many more idle clients. */
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
  /** A page that gets another one than before knows: watch.ts has started anew. */
  session: string;
  models: {
    script: string;
    name: Words;
    canteen: Words;
    /** Whether each client has a thread of its own. */
    threadPerClient: boolean;
    /** The command of a client; `$PORT` stands for the port. */
    joinCommand: string;
    /** Whether its answers are typed into its terminal. */
    typesAnswers: boolean;
  }[];
  /** What is typed, unless the page types something else. */
  defaultAnswer: string;
}

/** What is new, twenty times a second. Times are in ms since watch.ts started. */
export interface Update {
  type: "update";
  time: number;
  /** The key is the script. */
  models: Record<string, ModelUpdate>;
  idle: {
    wanted: number;
    /** How many there can be at each model. */
    most: number;
    /** How many descriptors watch.ts may have, which bound them. */
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
  /** Why it has failed, or ended. */
  reason?: string;
  /** The port it listens on. */
  port: number;
  threads: { thread: ThreadId; spans: Span[]; current?: Span }[];
  clients: Record<ClientId, ClientState>;
  /** What A and B have done since the last update, as far as it is over. */
  clientSpans: ClientSpan[];
  /** `reason`: why there are fewer than wanted. */
  idle: { connected: number; reason?: string };
  /** Its clients that are not of watch.ts. */
  elsewhere: ElsewhereUpdate;
  /** Whether it waits for an answer to be typed. */
  awaitsAnswer: boolean;
  /** Only under load. */
  metrics?: Metrics;
  /** Only of a script whose code a page shows; `calls` are its last calls. */
  positions?: SourcePosition[];
  calls?: string[];
}

/** Clients from elsewhere. */
export interface ElsewhereUpdate {
  /** Some have a name: when each was accepted, and answered since the last update. */
  clients: { name: string; since: number; answers: number[] }[];
  /** How many have none. */
  more: number;
}

/** A span of a thread's time, with the client that its call is about. */
export interface Span extends TimelineSpan {
  role?: ClientRole;
  /** The line of the script that made the call. */
  line?: number;
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
  /** When that began, in ms since watch.ts started. */
  since: number;
  /** For how long it waited for its last answer, in ms. */
  waited?: number;
  /** Why it has ended: what the server sent before, or an error. */
  reason?: string;
}

/** A span of a client's time, in ms since watch.ts started. */
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
  /**
   * Whether A waits in vain for an answer of the server that is shown. Nothing is
   * known then: what the other one costs, which has no such clients, is no price.
   */
  isUnanswered: boolean;
  /** How many answers that server has given in the last seconds. */
  answers: number;
}

/** A line of the script in which a thread is. */
export interface SourcePosition {
  line: number;
  /** The client that the thread serves; empty for the main thread. */
  thread: ClientRole | "";
  /**
   * `in`: the thread is in that call. `promised`: the call is not resolved, and
   * holds no thread. `last`: the thread is in no call; this was its last one.
   */
  kind: "in" | "promised" | "last";
}

/** For how long the clients of a scene waited, in ms. */
export interface SceneResult {
  type: "sceneResult";
  /** The key is the script. */
  waits: Record<string, Partial<Record<ClientId, number>>>;
  /** When each client asked, in ms since watch.ts started. */
  asked: Record<ClientId, number>;
}

/** What was wrong with a command, or why it has changed nothing. */
export interface CommandError {
  type: "error";
  error: string;
}

/** An update as it is recorded: without what has not changed. */
export interface RecordedUpdate extends Omit<Update, "models"> {
  models: Record<string, RecordedModel>;
}

/** What is new of one model; `null` stands for what is not there any more. */
export type RecordedModel =
  & Pick<ModelUpdate, "threads">
  & { [K in Exclude<keyof ModelUpdate, "calls">]?: ModelUpdate[K] | null }
  & {
    /** A number stands for a call of the message before, by its index. */
    calls?: (string | number)[];
  };

/** From that time on, a recording shows something new. */
export interface Chapter {
  time: number;
  name: Words;
  /** The scripts that are shown; without them, all. */
  only?: string[];
  /** How many clients are idle from then on, if that is what is new. */
  idle?: number;
}

/** What a recorded page has instead of a server. */
export interface Recording {
  hello: Hello;
  /** When it was recorded, in ms since 1970. */
  recorded: number;
  /** On what: `Deno 2.9.6, Linux 6.1 x86_64, 2 CPUs`. */
  machine: string;
  chapters: Chapter[];
  /** The source of each script. */
  sources: Record<string, string>;
  /** Recorded updates and results of scenes: lines of JSON, gzip, base64. */
  messages: string;
}
