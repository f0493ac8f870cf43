import { Connection } from "./connection.js";
import { TankError } from "./error.js";
import type { Answer, Command, Fault, Frame, Publication } from "./frames.js";
import { guard, type Guard } from "./guard.js";
import { Subscription } from "./subscription.js";
import { Topic } from "./topic.js";
import type { CallOptions, Published, PublishOptions, State, StateInfo, SubscribeOptions, TankOptions, TopicName } from "./types.js";

/**
 * Tank is a connection to a tank server that comes back after each loss, and then gets what it has missed.
 *
 * `Topics` says what messages topics have, by name or by template: `{ news: News; [room: `chat:${string}`]: Chat }`.
 */
export class Tank<Topics extends object = Record<string, unknown>> {
  /** The server has lost its way to others: what is published meanwhile comes late, or is told as a gap. */
  interrupted = false;
  readonly #connection: Connection;
  readonly #options: TankOptions;
  readonly #call: Guard;
  readonly #report: (error: unknown) => void;
  readonly #topics = new Map<string, Topic>();
  readonly #answers = new Map<number, Answer>();
  #id = 0;

  /** @param url may be relative to the page, and begin with http. */
  constructor(url: string | URL, options: TankOptions = {}) {
    this.#options = options;
    const report = options.onError ?? globalThis.reportError ?? console.error;
    this.#report = async (error) => report(error); // browsers want no `this`, and what it throws is an unhandled rejection and harms nobody
    this.#call = guard(this.#report);
    this.#connection = new Connection(
      url,
      options,
      this.#call,
      (frame) => this.#received(frame),
      (info) => this.#changed(info),
    );
  }

  get state(): State {
    return this.#connection._state;
  }

  /** The id of the connection, while it is open. */
  get client(): string | undefined {
    return this.#connection._hello?.client;
  }

  /** The user id that the server has for this client, while it is open. */
  get user(): string | undefined {
    return this.#connection._hello?.user;
  }

  /** Subscribes, now and on each new connection. Several subscriptions to one topic share one on the wire. It takes back a `close()` of the same task. */
  subscribe<Name extends TopicName<Topics>>(name: Name, options: SubscribeOptions<Topics[Name]> = {}): Subscription<Topics[Name]> {
    this.#connection._keep();
    let topic = this.#topics.get(name);
    if (!topic) {
      topic = new Topic(name, (command, answer) => !!this.#send(command, answer), (t) => this.#idle(t));
      this.#topics.set(name, topic);
    }
    const subscription = new Subscription<Topics[Name]>(topic, options, this.#call);
    if (options.signal?.aborted) subscription.close();
    else if (this.state === "closed") queueMicrotask(() => subscription._end(closed()));
    else topic._add(subscription);
    return subscription;
  }

  /**
   * Publishes any JSON. It never waits for a connection. When it fails with a `key` and with `retry`, publish again with that key:
   * the message is published once, whether or not the first attempt arrived.
   */
  publish<Name extends TopicName<Topics>>(name: Name, data: Topics[Name], options: PublishOptions = {}): Promise<Published> {
    const key = options.key ?? randomKey();
    return this.#ask({ pub: name, data, key }, options.signal, key);
  }

  /** Asks the application, whose answer is any JSON. */
  request<Result = unknown>(data: unknown, options: CallOptions = {}): Promise<Result> {
    return this.#ask({ msg: data }, options.signal);
  }

  /** Sends a message to the application, JSON or bytes, without an answer. It is false, and nothing is sent, while there is no connection. */
  send(data: unknown): boolean {
    const bytes = data instanceof ArrayBuffer || ArrayBuffer.isView(data);
    return this.#connection._send(bytes ? data : JSON.stringify({ msg: data }));
  }

  /** Ends a wait: the next attempt begins at once. An open connection has to show within 5 s that it is alive. For a button "retry now". */
  connect(): void {
    this.#connection._hurry();
  }

  /** Ends all subscriptions at once, and closes the connection for good, one task later, unless something is subscribed to by then. */
  close(): void {
    this.#connection._close();
    this.#endAll();
  }

  #endAll(error?: TankError): void {
    for (const topic of this.#topics.values()) for (const s of [...topic._subs]) s._end(error);
  }

  #ask<Result>(command: Command, signal: AbortSignal | undefined, key?: string): Promise<Result> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const abort = () => reject(signal!.reason);
      const sent = this.#send(command, (ok, error) => {
        signal?.removeEventListener("abort", abort);
        if (error) reject(new TankError(error.code, error.message, error.retry, key));
        else resolve(ok);
      });
      if (sent) signal?.addEventListener("abort", abort);
      else reject(this.state === "closed" ? closed(key) : new TankError("offline", "there is no connection", true, key));
    });
  }

  #send(command: Command, answer: Answer): boolean {
    const sent = this.#connection._send(JSON.stringify({ id: this.#id + 1, ...command }));
    if (sent) this.#answers.set(++this.#id, answer);
    return sent;
  }

  #received(frame: Frame | Publication | ArrayBuffer): void {
    if (frame instanceof ArrayBuffer) return this.#call(this.#options.onMessage, frame);
    if (Array.isArray(frame)) return this.#topics.get(frame[0])?._published(frame[1], frame[2], frame[3]);
    const { id, error, topic: name, expires, interrupted } = frame;
    const topic = this.#topics.get(name!);
    if (id) {
      const answer = this.#answers.get(id);
      this.#answers.delete(id);
      answer?.(frame.ok, error);
    } else if (error) this.#fail(error);
    else if (topic) {
      if (frame.lost) topic._lost(frame.lost, frame.seq!);
      else if (frame.gap) topic._mayLack(frame.gap.seq);
      else if (frame.reset) topic._reset();
      else if (frame.end) topic._end(frame.end);
      else if (frame.here) topic._here(frame.here);
    } else if ("msg" in frame) this.#call(this.#options.onMessage, frame.msg);
    else if (expires) this.#renew();
    else if (interrupted !== undefined) {
      this.interrupted = interrupted;
      this.#call(this.#options.onState, this.state, {});
    }
  }

  async #renew(): Promise<void> {
    const { token } = this.#options;
    try {
      const auth = await (typeof token === "function" ? token() : token);
      if (auth) this.#send({ auth }, (_, error) => error && this.#fail(error));
    } catch (error) {
      this.#report(error);
    }
  }

  #fail({ code, message, retry }: Fault): void {
    this.#report(new TankError(code, message, retry));
  }

  #changed(info: StateInfo): void {
    const { state } = this;
    if (state === "open") {
      for (const topic of this.#topics.values()) topic._ask();
    } else {
      this.interrupted = false;
      const answers = [...this.#answers.values()];
      this.#answers.clear();
      for (const topic of this.#topics.values()) topic._disconnected();
      const lost = { code: "lost", message: "the connection ended before the answer, so it may have happened", retry: info.code !== 1009 };
      for (const answer of answers) answer(undefined, lost);
      if (state === "closed") this.#endAll(closed());
    }
    this.#call(this.#options.onState, state, info);
  }

  // One task later, so that who subscribes again at once, as React does, finds the topic as it was.
  #idle(topic: Topic): void {
    setTimeout(() => {
      const name = topic._name;
      if (topic._subs.size || this.#topics.get(name) !== topic) return;
      this.#topics.delete(name);
      if (topic._onWire) this.#connection._send(JSON.stringify({ unsub: name }));
      topic._disconnected(); // leaves no timer
    });
  }
}

const closed = (key?: string): TankError => new TankError("closed", "the connection is closed for good", false, key);

const randomKey = (): string => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
