// The topics that this page is in, and what was said there.

import { recallList, remember } from './prefs.js';

const MOST_MESSAGES = 500; // per room; older ones are dropped

let serial = 0;

export class Rooms {
  all = new Map(); // topic -> room
  active = null;

  /** remembered returns the topics of the last visit, or null at the first. */
  static remembered() {
    return recallList('topics');
  }

  #save() {
    remember('topics', JSON.stringify([...this.all.keys()]));
  }

  get room() {
    return this.all.get(this.active);
  }

  get unread() {
    return [...this.all.values()].reduce((sum, room) => sum + room.unread, 0);
  }

  add(topic) {
    if (this.all.has(topic)) return false;
    this.all.set(topic, { topic, messages: [], unread: 0, draft: '' });
    this.#save();
    return true;
  }

  remove(topic) {
    const topics = [...this.all.keys()];
    const at = topics.indexOf(topic);
    this.all.delete(topic);
    if (this.active === topic) this.active = topics[at + 1] ?? topics[at - 1] ?? null;
    this.#save();
  }

  /** note adds a line that nobody said. Its text is a key of words.js, so that it speaks the page's language. */
  note(topic, text) {
    const room = this.all.get(topic);
    const last = room?.messages.at(-1);
    if (room && !(last?.kind === 'note' && last.text === text)) this.#push(room, { kind: 'note', text, time: new Date() });
  }

  /** sending shows a message of one's own at once, before the server has confirmed it. */
  sending(topic, from, text, ref) {
    const room = this.all.get(topic);
    if (room) this.#push(room, { kind: 'chat', from, text, ref, time: new Date(), own: true, state: 'sending' });
  }

  /**
   * said takes in what the server published. The echo of one's own message replaces the one that was shown at once, at
   * the place that it has for everybody else.
   */
  said(topic, data, isRead) {
    const room = this.all.get(topic);
    if (!room) return;
    const pending = data.ref ? room.messages.findIndex((m) => m.own && m.ref === data.ref) : -1;
    const own = pending >= 0;
    const id = own ? room.messages.splice(pending, 1)[0].id : undefined;
    this.#push(room, { kind: 'chat', from: data.from, text: data.text, ref: data.ref, time: new Date(data.time), own, id });
    if (!own && !isRead) room.unread++;
  }

  /** failed marks messages of one's own as unconfirmed: one, or all that are on their way, to a topic or to any. */
  failed({ ref, topic } = {}) {
    for (const room of this.all.values()) {
      if (topic && topic !== room.topic) continue;
      for (const m of room.messages) {
        if (m.state === 'sending' && (ref === undefined || m.ref === ref)) m.state = 'failed';
      }
    }
  }

  /** take removes an unconfirmed message and returns it, to be sent again. */
  take(topic, id) {
    const messages = this.all.get(topic)?.messages ?? [];
    const at = messages.findIndex((m) => m.id === id && m.state === 'failed');
    return at < 0 ? null : messages.splice(at, 1)[0];
  }

  #push(room, message) {
    message.id ??= String(++serial);
    room.messages.push(message);
    if (room.messages.length > MOST_MESSAGES) room.messages.shift();
  }
}
