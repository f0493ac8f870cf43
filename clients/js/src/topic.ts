import { backoff } from "./connection.js";
import { TankError } from "./error.js";
import type { Answer, Command, Details, Fault, Here, Subscribed } from "./frames.js";
import type { Subscription } from "./subscription.js";
import type { Position, Presence, PresenceChange } from "./types.js";

type Sub = Subscription<any>;

const same = (a: Position | undefined, b: Position | undefined): boolean => String(a) === String(b);

/**
 * Topic is what all subscriptions to one name share: one `sub` on the wire at a time, and what the server says of the topic.
 *
 * A subscription is waiting, or has a position and gets each publication above it. Waiting ends with an answer that fits it. A `sub`
 * asks for the lowest position of those that wait; whom its answer does not settle, the next `sub` asks for.
 */
export class Topic {
  readonly _name: string;
  readonly _subs: Set<Sub> = new Set();
  _presence: Presence | undefined;
  #send: (command: Command, answer: Answer) => boolean;
  #idle: (topic: Topic) => void; // the last subscription was removed
  #top: Position | undefined; // the highest number that was seen on this connection; undefined without a subscription there
  #asked = false; // a sub has no answer, or a refused one waits to be sent again
  #live = false; // the server has a subscription
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(name: string, send: (command: Command, answer: Answer) => boolean, idle: (topic: Topic) => void) {
    this._name = name;
    this.#send = send;
    this.#idle = idle;
  }

  /** _onWire reports whether the server may have a subscription. */
  get _onWire(): boolean {
    return this.#asked || this.#live;
  }

  _add(s: Sub): void {
    this._subs.add(s);
    const { last, presence } = s._options;
    if (!this.#top || s._at || last || (presence && !this._presence)) return this._ask();
    queueMicrotask(() => { // so that who subscribes has the subscription before its handlers are called
      if (!s._waiting || s.closed) return;
      if (!this.#top) return this._ask();
      this.#settle(s, this.#top, false);
      s._here({ in: [], out: [] });
    });
  }

  _remove(s: Sub): void {
    this._subs.delete(s);
    if (!this._subs.size) this.#idle(this);
  }

  // A handler may close others: what they do not get any more does not move their positions.
  *#each(): Iterable<Sub> {
    for (const s of [...this._subs]) if (!s.closed) yield s;
  }

  /** _ask sends a sub for the subscriptions that wait, unless one is on its way. */
  _ask(): void {
    if (this.#asked) return;
    let since: Position | undefined;
    let last = 0;
    let presence: true | undefined;
    let waits = false;
    for (const { _options, _waiting, _at } of this._subs) {
      if (_options.presence) presence = true;
      if (!_waiting) continue;
      waits = true;
      last = Math.max(last, _options.last ?? 0);
      if (_at && (!since || (_at[0] === since[0] && _at[1] < since[1]))) since = _at;
    }
    if (!waits) return;
    this.#asked = this.#send({ sub: this._name, since, last: last || undefined, presence }, (ok, error) => {
      if (!this.#asked) return; // the connection is another one
      this.#asked = false;
      if (error) this.#refused(error);
      else this.#answered(ok, since, last, presence);
    });
  }

  #refused(error: Fault): void {
    if (error.retry) {
      this.#asked = true; // until then, so that nothing else asks sooner
      this.#timer = setTimeout(() => {
        this.#asked = false;
        this._ask();
      }, backoff(this.#tries++));
    } else {
      const waiting = [...this._subs].filter((s) => s._waiting);
      const watching = waiting.filter((s) => s._options.presence);
      // It may be presence that is refused, so those who do not want it ask again, without.
      for (const s of watching.length ? watching : waiting) s._end(new TankError(error.code, error.message, false));
      this._ask();
    }
  }

  #answered(ok: Subscribed, since: Position | undefined, last: number, presence: true | undefined): void {
    const { epoch, seq, from = seq, recovered, why } = ok;
    this.#tries = 0;
    const change = ok.here && this.#merge(ok.here, true);
    if (!change && !this.#top) this._presence = undefined; // what is known is of an earlier subscription
    this.#top = [epoch, seq];
    this.#live = true;
    for (const s of this.#each()) {
      const at = s._at;
      const asked = same(at, since);
      const first = seq - (s._options.last ?? 0);
      if (!s._waiting || (s._options.presence && !presence)) {
        // It goes on as it did: what is replayed for others, it has seen. Or it came behind the sub, which did not ask for presence.
      } else if (recovered && at && at[0] === epoch && from <= at[1] && at[1] <= seq) {
        this.#settle(s, at, true);
      } else if ((asked || !at || at[0] !== epoch) && (from <= Math.max(0, first) || (!recovered && seq - first <= last))) {
        // Its `last` does not reach further back than what was asked for.
        this.#settle(s, [epoch, asked && !last ? from : Math.max(from, first)], false, asked ? why : at && "epoch");
      }
      if (change) s._here(change);
    }
    this._ask();
  }

  // The position moves, then it is told what that means: that the subscription is in force, or on one that was, that something is missing.
  #settle(s: Sub, position: Position, recovered: boolean, why?: string): void {
    const from = s._at;
    s._at = position;
    s._waiting = false;
    s._told = this.#top![1];
    if (!s._joined) s._join({ position, until: this.#top![1], recovered, why });
    else if (!recovered) s._gap({ why: why ?? "", from: from!, to: position, missed: undefined });
  }

  _published(seq: number, data: unknown, { from, prev = seq - 1 }: Details = {}): void {
    if (this.#top && seq > this.#top[1]) this.#top = [this.#top[0], seq];
    for (const s of this.#each()) {
      if (seq) {
        const at = s._at;
        if (s._waiting || !at || seq <= at[1]) continue;
        const jumped = prev > at[1] && prev > s._told;
        if (jumped && (s._options.gaps ?? "recover") === "recover") {
          s._waiting = true;
          continue;
        }
        if (jumped) this.#skip(s, prev, "jump", undefined);
        if (s.closed) continue;
        s._at = [at[0], seq];
      }
      s._message({ topic: this._name, data, seq, position: s._at, from });
    }
    this._ask();
  }

  _lost(missed: number, seq: number): void {
    if (this.#top && seq > this.#top[1]) this.#top = [this.#top[0], seq];
    for (const s of this.#each()) this.#skip(s, seq, "lost", missed);
  }

  _mayLack(seq: number): void {
    for (const s of this.#each()) {
      const { gaps = "recover" } = s._options;
      if (gaps === "recover") s._waiting = true;
      else if (gaps === "report") this.#skip(s, seq - 1, "gap", undefined);
    }
    this._ask();
  }

  // The position moves behind what is missing, and that is told, unless it was seen.
  #skip(s: Sub, seq: number, why: string, missed: number | undefined): void {
    const at = s._at;
    if (s._waiting || !at || seq <= at[1]) return;
    s._at = [at[0], seq];
    s._gap({ why, from: at, to: s._at, missed });
  }

  _reset(): void {
    this.#top = undefined;
    for (const s of this._subs) s._waiting = true;
    this._ask();
  }

  /** _end ends those that do not wait: an answer that is still to come is about a later sub. */
  _end(error: Fault): void {
    this.#top = undefined;
    this.#live = false;
    for (const s of this.#each()) if (!s._waiting) s._end(new TankError(error.code, error.message, error.retry));
  }

  _here(here: Here): void {
    if (!this._presence) return; // of an earlier subscription: the answer will have all of it
    const change = this.#merge(here);
    for (const s of this.#each()) s._here(change);
  }

  // A snapshot replaces what is known. What that changes is told, as of any other frame.
  #merge(here: Here, snapshot?: boolean): PresenceChange {
    const known = new Map(this._presence?.users);
    const listed = here.in || here.out; // neither: there are too many to list
    const users = new Map(listed && !snapshot ? known : undefined);
    for (const user of here.out ?? []) users.delete(user);
    for (const user in here.in) users.set(user, here.in[user]);
    this._presence = { n: here.n, users };
    return {
      in: [...users.keys()].filter((user) => !known.has(user)),
      out: [...known.keys()].filter((user) => listed && !users.has(user)),
    };
  }

  /** _disconnected: the next connection has no subscriptions. */
  _disconnected(): void {
    clearTimeout(this.#timer);
    this.#asked = this.#live = false;
    this.#top = undefined;
    for (const s of this._subs) {
      s._waiting = true;
      s._joined = false;
    }
  }
}
