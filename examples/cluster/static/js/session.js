// What a page of the chat is: a connection to one node, what was said in the room, and what waits to be said.

import { Tank } from '../tank.js';

const ROOM = 'room';
const HISTORY = 200; // messages; what a node keeps
const AGAIN = 500; // ms until a publication is tried again that has failed while the node is fine

const randomId = () => Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join('');

/**
 * Session shows the room as its node has it. Its items are messages, {id, from, text, time}, and notes, {id, note}, in the node's order.
 * Behind them come the own ones that have not come back yet, {id, from, text, state}. The state is "" at first; "late" when it could not be
 * published at once, and is going to be; "sent"; or "refused".
 */
export class Session {
  items = [];
  own = [];
  node = null;
  #name;
  #on; // changed(), and flows(out) for a message that goes to the node, or comes from it
  #tank;
  #room;
  #sending = false;
  #left = 0; // when the node was last reached; 0: it is
  #away = null; // [from, to, told], in ms: what was said in this time was missed

  constructor(name, on) {
    this.#name = name;
    this.#on = on;
  }

  /** state is "live", "interrupted" while the node cannot reach the others, "connecting" at first, or "lost". */
  get state() {
    if (this.#tank?.state === 'open') return this.#tank.interrupted ? 'interrupted' : 'live';
    return this.items.length || this.own.length || this.#left ? 'lost' : 'connecting';
  }

  /** connect goes to a node, {number, port}, and goes on there behind what has come from the last one. */
  connect(node) {
    const since = this.#room?.position;
    if (this.#tank) this.#left ||= Date.now();
    this.#tank?.close();
    this.node = node;
    const url = `ws://${location.hostname}:${node.port}/ws?${new URLSearchParams({ user_id: this.#name })}`;
    const tank = this.#tank = new Tank(url, { onState: () => tank === this.#tank && this.#changed() });
    this.#room = tank.subscribe(ROOM, {
      since,
      last: HISTORY,
      onJoin: (join) => this.#joined(join),
      onMessage: ({ data }) => this.#came(data),
      onGap: () => this.#note('gap'),
    });
    this.#on.changed();
  }

  /** say publishes, now or as soon as that is possible. */
  say(text) {
    this.own.push({ id: randomId(), from: this.#name, text, state: this.state === 'live' ? '' : 'late' });
    this.#send();
    this.#on.changed();
  }

  #changed() {
    if (this.state === 'live') this.#back();
    else {
      if (this.state !== 'connecting') this.#left ||= Date.now();
      for (const message of this.own) message.state ||= 'late';
    }
    this.#on.changed();
  }

  #back() {
    if (this.#left) this.#away = [this.#left, Date.now(), false];
    this.#left = 0;
    this.#send();
  }

  // When nobody can tell what came behind the position, as when the broker has lost its files, what there is now is the room.
  #joined({ recovered, why }) {
    if (!recovered && why) this.items = [];
    this.#on.changed();
  }

  #came(message) {
    this.own = this.own.filter(({ id }) => id !== message.id);
    if (this.items.some(({ id }) => id === message.id)) return;
    const [from, to, told] = this.#away ?? [];
    if (message.from !== this.#name && message.time >= from && message.time < to && !told) {
      this.#note('missed');
      this.#away[2] = true;
    }
    this.items.push(message);
    if (this.items.length > 2 * HISTORY) this.items.shift();
    this.#on.flows(false);
    this.#on.changed();
  }

  #note(note) {
    if (this.items.at(-1)?.note !== note) this.items.push({ id: randomId(), note });
    this.#on.changed();
  }

  // One after the other, so that they keep their order. A repetition has the key of the first attempt, so nothing is said twice.
  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    const next = () => this.state === 'live' && this.own.find(({ state }) => !state || state === 'late');
    for (let message; (message = next());) {
      try {
        await this.#tank.publish(ROOM, { id: message.id, text: message.text }, { key: message.key });
        message.state = 'sent';
        this.#on.flows(true);
      } catch (error) {
        message.key = error.key;
        message.state = error.retry ? 'late' : 'refused';
        if (error.retry && this.state === 'live') await new Promise((done) => setTimeout(done, AGAIN));
      }
      this.#on.changed();
    }
    this.#sending = false;
  }
}
