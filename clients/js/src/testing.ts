// A server in memory for tests of programs that use tank-websocket. It uses no timers, so it works with fake ones.
import type { Command, Subscribed } from "./frames.js";
import type { Position, WebSocketLike } from "./types.js";

/** Options of a FakeTank. */
export interface FakeTankOptions {
  /** How many messages each topic keeps; 100 by default. */
  history?: number;
  /** The heartbeat that hello tells, in seconds; 25 by default. No heartbeats are sent. */
  ping?: number;
  /** Answers requests. What it throws is the error; its `code` is "internal" unless it has one. */
  onRequest?: (data: any) => unknown;
  /** Gets messages without an answer: JSON, or bytes. */
  onMessage?: (data: any) => void;
  /** Refuses a subscription, a publication or a renewed token by returning an error code, such as "forbidden" or "busy". */
  refuse?: (verb: "sub" | "pub" | "auth", topicOrToken: string) => string | undefined | void;
}

/** A command of a client, as it was on the wire. */
export interface Received {
  id?: number;
  [member: string]: any;
}

interface Kept {
  seq: number;
  frame: string;
}

interface FakeTopic {
  epoch: string;
  seq: number;
  kept: Kept[];
  keys: Map<string, number>;
  lose: number; // so many publications are not sent
  here: Record<string, unknown>;
}

/**
 * FakeTank is a tank.v2 server in memory, with losses on demand. Pass its `WebSocket` to a Tank:
 *
 *     const server = new FakeTank();
 *     const tank = new Tank("ws://fake", { WebSocket: server.WebSocket });
 *
 * Frames arrive in microtasks, each in one of its own.
 */
export class FakeTank {
  /** The option of a Tank. */
  readonly WebSocket: new (url: string, protocols: string[]) => WebSocketLike;
  /** Whether new connections fail. See `cut` for those that are open. */
  offline = false;
  /** Every command that came, with its id. */
  readonly received: Received[] = [];
  readonly #options: FakeTankOptions;
  readonly #topics = new Map<string, FakeTopic>();
  readonly #connections = new Set<FakeSocket>();
  #epochs = 0;
  #clients = 0;
  #silent = false;
  #loseAnswers = 0;

  constructor(options: FakeTankOptions = {}) {
    this.#options = options;
    const server = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        queueMicrotask(() => server.#connect(this));
      }
      override close(): void {
        super.close();
        server.#connections.delete(this);
      }
      override _take(data: unknown): void {
        server.#take(this, data);
      }
    };
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#connections.size;
  }

  /** How many connections are subscribed to a topic. */
  subscribers(name: string): number {
    return [...this.#connections].filter((socket) => socket._topics.has(name)).length;
  }

  /** The tokens of the connections that are open: for each the last one that was taken. */
  get tokens(): (string | undefined)[] {
    return [...this.#connections].map((socket) => socket._token);
  }

  /** Publishes JSON to a topic and returns its number. */
  publish(name: string, data: unknown, from?: string): number {
    const topic = this.#topic(name);
    const seq = ++topic.seq;
    const frame = JSON.stringify(from === undefined ? [name, seq, data] : [name, seq, data, { from }]);
    topic.kept.push({ seq, frame });
    topic.kept.splice(0, topic.kept.length - (this.#options.history ?? 100));
    if (topic.lose > 0) topic.lose--;
    else this.#send(name, frame);
    return seq;
  }

  /** The position of a topic. */
  position(name: string): Position {
    const { epoch, seq } = this.#topic(name);
    return [epoch, seq];
  }

  /** The next publications of a topic are kept, but not sent: a page sees that numbers are missing. */
  lose(name: string, publications: number): void {
    this.#topic(name).lose += publications;
  }

  /** Says that publications were dropped, so many before and including the last one. */
  dropped(name: string, publications: number): void {
    this.#send(name, { topic: name, lost: publications, seq: this.#topic(name).seq });
  }

  /** Says that publications may be missing. */
  gap(name: string): void {
    this.#send(name, { topic: name, gap: { seq: this.#topic(name).seq + 1 } });
  }

  /** The next commands are carried out, and the connection is cut before their answers. */
  loseAnswers(answers: number): void {
    this.#loseAnswers += answers;
  }

  /** All connections are lost without a close frame. With `offline` they cannot come back either. */
  cut(): void {
    this.close(1006);
  }

  /** All connections are closed with a code. */
  close(code: number, reason = ""): void {
    for (const socket of this.#connections) this.#drop(socket, code, reason);
  }

  /** All connections stay, and nothing comes any more, not even a close event. */
  silence(silent = true): void {
    this.#silent = silent;
  }

  /** The server restarts: it says within which time to come back, in ms, and forgets all topics. */
  restart(within = 1_000): void {
    for (const socket of this.#connections) this.#post(socket, { bye: { code: 1001, within } });
    this.close(1001, "server is shutting down, please reconnect");
    this.#topics.clear();
  }

  /** A topic begins a new numbering. */
  reset(name: string): void {
    const topic = this.#begin(name);
    this.#send(name, { topic: name, reset: { epoch: topic.epoch, seq: 0 } });
  }

  /** Ends all subscriptions to a topic. */
  end(name: string, code = "unsubscribed"): void {
    this.#send(name, { topic: name, end: { code, message: code, retry: false } });
    for (const socket of this.#connections) socket._topics.delete(name);
  }

  /** Users come to a topic, and others go. */
  here(name: string, comes: Record<string, unknown>, goes: string[] = []): void {
    const { here } = this.#topic(name);
    Object.assign(here, comes);
    for (const user of goes) delete here[user];
    this.#send(name, { topic: name, here: { n: Object.keys(here).length, in: comes, out: goes } });
  }

  /** A message to all clients outside topics: JSON, or an ArrayBuffer. */
  tell(data: unknown): void {
    this.raw(data instanceof ArrayBuffer ? data : { msg: data });
  }

  /** Any frame, such as `{ expires: 60 }`, to all clients. */
  raw(frame: unknown): void {
    for (const socket of this.#connections) this.#post(socket, frame);
  }

  #topic(name: string): FakeTopic {
    return this.#topics.get(name) ?? this.#begin(name);
  }

  #begin(name: string): FakeTopic {
    const topic = { epoch: `epoch-${++this.#epochs}`, seq: 0, kept: [], keys: new Map(), lose: 0, here: {} };
    this.#topics.set(name, topic);
    return topic;
  }

  #connect(socket: FakeSocket): void {
    if (socket.readyState !== 0) return;
    if (this.#silent) return;
    if (this.offline) return this.#drop(socket, 1006, "");
    socket.readyState = 1;
    socket.protocol = "tank.v2";
    this.#connections.add(socket);
    socket.onopen?.({});
    const client = `client-${++this.#clients}`;
    this.#post(socket, { hello: { v: 2, client, user: client, ping: this.#options.ping ?? 25 } });
  }

  #drop(socket: FakeSocket, code: number, reason: string): void {
    this.#connections.delete(socket);
    if (code === 1006) socket._inbox.length = 0; // what was on its way is lost
    socket._inbox.push(() => {
      socket.readyState = 3;
      socket.onclose?.({ code, reason });
    });
    socket._wake();
  }

  #send(name: string, frame: unknown): void {
    for (const socket of this.#connections) if (socket._topics.has(name)) this.#post(socket, frame);
  }

  #post(socket: FakeSocket, frame: unknown): void {
    if (this.#silent) return;
    const data = typeof frame === "string" || frame instanceof ArrayBuffer ? frame : JSON.stringify(frame);
    socket._inbox.push(() => socket.onmessage?.({ data }));
    socket._wake();
  }

  #take(socket: FakeSocket, data: unknown): void {
    if (!this.#connections.has(socket) || this.#silent) return;
    if (typeof data !== "string") return this.#options.onMessage?.(data);
    const command = JSON.parse(data) as Command & { id?: number };
    if (command.unsub === "") return this.#post(socket, { id: command.id, error: fault("invalid_topic") }); // a probe
    this.received.push(command);
    const answer = this.#carryOut(socket, command);
    if (command.id === undefined) return;
    if (this.#loseAnswers > 0) {
      this.#loseAnswers--;
      this.#drop(socket, 1006, "");
    } else {
      for (const frame of [{ id: command.id, ...answer.frame }, ...(answer.behind ?? [])]) this.#post(socket, frame);
    }
  }

  #carryOut(socket: FakeSocket, { sub, since, last, presence, unsub, pub, data, key, msg, auth, id }: Command & { id?: number }): Done {
    const named = sub ?? pub ?? auth;
    const verb = sub !== undefined ? "sub" : pub !== undefined ? "pub" : "auth";
    const refused = named === undefined ? undefined : this.#options.refuse?.(verb, named);
    if (refused) return { frame: { error: fault(refused) } };
    if (sub !== undefined) return this.#subscribe(socket, sub, since, last ?? 0, presence);
    if (pub !== undefined) {
      const { keys } = this.#topic(pub);
      const known = key === undefined ? undefined : keys.get(key);
      if (known) return { frame: { ok: { seq: known, duplicate: true } } };
      const seq = this.publish(pub, data);
      if (key !== undefined) keys.set(key, seq);
      return { frame: { ok: { seq } } };
    }
    if (unsub !== undefined) socket._topics.delete(unsub);
    else if (auth !== undefined) socket._token = auth;
    else return this.#message(msg, id);
    return { frame: { ok: {} } };
  }

  #message(msg: unknown, id: number | undefined): Done {
    if (id === undefined) {
      this.#options.onMessage?.(msg);
      return { frame: {} };
    }
    if (!this.#options.onRequest) return { frame: { error: fault("unsupported") } };
    try {
      return { frame: { ok: this.#options.onRequest(msg) ?? null } };
    } catch (error) {
      return { frame: { error: fault((error as { code?: string }).code ?? "internal") } };
    }
  }

  #subscribe(socket: FakeSocket, name: string, since: Position | undefined, last: number, presence: true | undefined): Done {
    const { epoch, seq, kept, here } = this.#topic(name);
    socket._topics.add(name);
    const low = kept[0]?.seq ?? seq + 1;
    const ok: Subscribed = { epoch, seq };
    if (since) {
      const why = since[0] !== epoch ? "epoch" : since[1] > seq ? "ahead" : since[1] >= low - 1 ? undefined : kept.length ? "evicted" : "off";
      ok.from = why ? seq : since[1];
      ok.recovered = !why;
      if (why) ok.why = why;
    }
    if (last && !ok.recovered) ok.from = Math.max(low - 1, seq - last);
    if (presence) ok.here = { n: Object.keys(here).length, in: here };
    return { frame: { ok }, behind: kept.filter((message) => message.seq > (ok.from ?? seq)).map((message) => message.frame) };
  }
}

/** What a command is answered with, and the frames behind that. */
interface Done {
  frame: object;
  behind?: string[];
}

const fault = (code: string): object => ({ code, message: code, retry: ["busy", "shutting_down", "unavailable"].includes(code) });

/** A socket of which both ends are here. */
class FakeSocket implements WebSocketLike {
  binaryType = "blob";
  protocol = "";
  readyState = 0;
  onopen: ((event: any) => void) | null = null;
  onmessage: ((event: any) => void) | null = null;
  onclose: ((event: any) => void) | null = null;
  onerror: ((event: any) => void) | null = null;
  /** @internal */ readonly _topics: Set<string> = new Set();
  /** @internal */ _token: string | undefined;
  /** @internal */ readonly _inbox: (() => void)[] = [];
  #awake = false;

  constructor(readonly url: string, readonly protocols: string[]) {
    this._token = protocols[1]?.replace("bearer.", "");
  }

  send(data: any): void {
    if (this.readyState === 1) queueMicrotask(() => this._take(data));
  }

  close(): void {
    this.readyState = 3;
  }

  /** @internal */
  _take(_: unknown): void {}

  /** @internal Hands on one frame in each microtask, whatever a handler throws. */
  _wake(): void {
    if (this.#awake) return;
    this.#awake = true;
    queueMicrotask(() => {
      this.#awake = false;
      const next = this._inbox.shift();
      if (this._inbox.length) this._wake();
      next?.();
    });
  }
}
