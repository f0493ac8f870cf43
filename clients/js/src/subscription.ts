import type { TankError } from "./error.js";
import type { Guard } from "./guard.js";
import type { Topic } from "./topic.js";
import type { Gap, Join, Message, Position, Presence, PresenceChange, SubscribeOptions } from "./types.js";

/**
 * Subscription is one of maybe several to a topic. Each has its own position and ends alone.
 *
 * As an async iterable it hands on the messages from the beginning of the loop on; leaving the loop closes the subscription. The loop
 * ends when the subscription is closed, and throws when the subscription was refused or the server has ended it.
 */
export class Subscription<T = unknown> implements AsyncIterable<Message<T>> {
  /** @internal */ _at: Position | undefined;
  /** @internal The answer to a sub says where to go on: until then, publications are ignored. */ _waiting = true;
  /** @internal An answer has told what there is up to here: a number that does not come has no publication, or is missing and told. */ _told = 0;
  /** @internal On this connection. */ _joined = false;
  /** @internal */ readonly _options: SubscribeOptions<T>;
  readonly #topic: Topic;
  readonly #call: Guard;
  #open = true;
  #watches = false; // it has been told who is in the topic
  #error: TankError | undefined;
  #queue: Message<T>[] | undefined; // for a loop, from its beginning on
  #wake: (() => void) | undefined; // the loop that waits

  /** @internal */
  constructor(topic: Topic, options: SubscribeOptions<T>, call: Guard) {
    this.#topic = topic;
    this._options = options;
    this.#call = call;
    this._at = options.since ?? undefined;
    options.signal?.addEventListener("abort", this.close);
  }

  get topic(): string {
    return this.#topic._name;
  }

  /** The number of the last message that was handed on, with its epoch. Undefined until the first answer, unless `since` was given. */
  get position(): Position | undefined {
    return this._at;
  }

  /** Who is in the topic, if that was asked for and answered. */
  get presence(): Presence | undefined {
    return this._options.presence ? this.#topic._presence : undefined;
  }

  get closed(): boolean {
    return !this.#open;
  }

  /** Ends this subscription: no handler is called any more. The server is told one task later, if no other one wants the topic by then. */
  readonly close = (): void => {
    this._end();
  };

  [Symbol.asyncIterator](): AsyncGenerator<Message<T>, void, void> {
    this.#queue ??= [];
    return this.#loop();
  }

  async *#loop(): AsyncGenerator<Message<T>, void, void> {
    try {
      for (;;) {
        const messages = this.#queue!;
        this.#queue = [];
        yield* messages;
        if (this.#queue.length) continue;
        if (this.#error) throw this.#error;
        if (!this.#open) return;
        await new Promise<void>((wake) => (this.#wake = wake));
      }
    } finally {
      this.close();
    }
  }

  /** @internal */
  _end(error?: TankError): void {
    if (!this.#open) return;
    this.#open = false;
    this.#error = error;
    this._options.signal?.removeEventListener("abort", this.close);
    this.#topic._remove(this as Subscription<any>);
    this.#wake?.();
    if (error) this.#call(this._options.onEnd, error);
  }

  /** @internal */
  _message(message: Message<T>): void {
    if (!this.#open) return;
    this.#queue?.push(message);
    this.#wake?.();
    this.#call(this._options.onMessage, message);
  }

  /** @internal */
  _join(join: Join): void {
    this._joined = true;
    this.#call(this._options.onJoin, join);
  }

  /** @internal */
  _gap(gap: Gap): void {
    if (this._options.gaps !== "ignore") this.#call(this._options.onGap, gap);
  }

  /** @internal */
  _here(change: PresenceChange): void {
    const { presence } = this;
    if (!this.#open || !presence) return;
    if (!this.#watches) change = { in: [...presence.users.keys()], out: [] };
    this.#watches = true;
    this.#call(this._options.onPresence, presence, change);
  }
}
