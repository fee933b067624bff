/**
 * Records the messages of the last minutes, for a page that plays them again.
 * What has not changed since the message before is left out.
 */
import type {
  Chapter,
  ModelUpdate,
  RecordedModel,
  RecordedUpdate,
  SceneResult,
  Update,
} from "./messages.ts";

/** So many ms are kept, as the page keeps them. */
const KEPT = 180_000;
/** Each piece has so many ms. The first message of a piece is a whole one. */
const PIECE = 10_000;
/** After so many ms without an update, nobody was there: it begins anew. */
const GAP = 5000;
/** A compressed recording has at most so many bytes. */
const MOST_BYTES = 900_000;

/** Messages in the order of time; each piece can be the first one. */
interface Piece {
  from: number;
  messages: string[];
  chapters: Chapter[];
}

/** Fields that are recorded only when they have changed. */
const STEADY = [
  "status",
  "reason",
  "port",
  "clients",
  "idle",
  "elsewhere",
  "awaitsAnswer",
  "metrics",
  "positions",
] as const;

export class Recorder {
  #pieces: Piece[] = [];
  #time = -Infinity; // of the last update
  #last = new Map<string, string>(); // JSON of a field, by script and field
  #calls = new Map<string, string[]>(); // the last calls, by script

  /** Records an update. */
  add({ models, ...update }: Update) {
    const { time } = update;
    if (time - this.#time > GAP) this.#pieces = [];
    this.#time = time;
    const piece = this.#pieceAt(time);
    const recorded: Record<string, RecordedModel> = {};
    for (const [script, model] of Object.entries(models)) {
      recorded[script] = this.#changes(script, model);
    }
    const message: RecordedUpdate = { ...update, models: recorded };
    piece.messages.push(JSON.stringify(message, rounded));
  }

  /** Records how a scene has ended. */
  addResult(result: SceneResult) {
    this.#pieces.at(-1)?.messages.push(JSON.stringify(result, rounded));
  }

  /** From the next update on, the recording has something new to show. */
  addChapter(chapter: Omit<Chapter, "time">) {
    const piece = this.#pieces.at(-1);
    if (!piece) return;
    const last = piece.chapters.at(-1);
    // Of several steps to more idle clients, the last one is worth a chapter.
    const isStep = last?.idle && chapter.idle && this.#time - last.time < 2000;
    if (isStep) piece.chapters.pop();
    piece.chapters.push({ ...chapter, time: this.#time });
  }

  /** The messages, compressed and in base64, and where their chapters begin. */
  async take(): Promise<{ messages: string; chapters: Chapter[] }> {
    for (let first = 0;; first++) {
      const pieces = this.#pieces.slice(first);
      const text = pieces.flatMap(({ messages }) => messages).join("\n");
      const bytes = await compress(text);
      if (bytes.length > MOST_BYTES && pieces.length > 1) continue;
      return {
        messages: bytes.toBase64(),
        chapters: pieces.flatMap(({ chapters }) => chapters),
      };
    }
  }

  #pieceAt(time: number): Piece {
    const last = this.#pieces.at(-1);
    if (last && time < last.from + PIECE) return last;
    this.#last.clear();
    this.#calls.clear();
    const piece: Piece = { from: time, messages: [], chapters: [] };
    this.#pieces.push(piece);
    while (this.#pieces[0].from < time - KEPT) this.#pieces.shift();
    return piece;
  }

  /** What is new of a model; `null` where there is nothing any more. */
  #changes(script: string, model: ModelUpdate): RecordedModel {
    const { threads, clientSpans, calls = [] } = model;
    const changes: RecordedModel = { threads };
    if (clientSpans.length) changes.clientSpans = clientSpans;
    for (const field of STEADY) {
      const value = model[field] ?? null;
      const json = JSON.stringify(value);
      const key = `${script} ${field}`;
      if ((this.#last.get(key) ?? "null") === json) continue;
      this.#last.set(key, json);
      changes[field] = value as null;
    }
    const before = this.#calls.get(script) ?? [];
    if (calls.join("\n") !== before.join("\n")) {
      changes.calls = calls.map((call) => {
        const index = before.indexOf(call);
        return index === -1 ? call : index;
      });
      this.#calls.set(script, calls);
    }
    return changes;
  }
}

/** Of a time in ms, what is finer than a microsecond is noise. */
function rounded(_key: string, value: unknown) {
  return typeof value === "number" ? Math.round(value * 1000) / 1000 : value;
}

async function compress(text: string): Promise<Uint8Array> {
  const stream = new Blob([text]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
