// The topics that this page is in, and what was said there.

import { recallList, remember } from './prefs.js';

const MOST_MESSAGES = 500; // per room; older ones are dropped
const MOST_OWN = 500;

/** own has the places of messages that were sent from this browser: a name proves nothing, and others see the ref. */
const own = new Set(recallList('own'));

let serial = 0;

/**
 * Rooms has a room for each topic. Of its messages, one that was published has a place, which is the topic's epoch and the number
 * there. One's own that is not published has a ref instead, by which it is known when it comes, and a state: "sending"; "waiting" for
 * the next connection; or "failed".
 */
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
    // Messages up to the number end are a replay: at first of what was said before, later of what was missed.
    this.all.set(topic, { topic, messages: [], unread: 0, draft: '', end: 0, replay: 'history' });
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

  /** joined says what a replay has, which is to come. */
  joined(topic, { until, recovered, why }) {
    const room = this.all.get(topic);
    if (!room) return;
    Object.assign(room, { end: until, replay: recovered ? 'missed' : why ? 'rest' : 'history' });
    if (why) this.lacks(topic);
  }

  /** lacks says that messages are missing here. */
  lacks(topic) {
    const room = this.all.get(topic);
    const last = room?.messages.at(-1);
    if (room && !(last?.kind === 'note' && last.text === 'gap')) this.#note(room, 'gap');
  }

  // A line that nobody said. Its text is a key of words.js, so that it speaks the page's language.
  #note(room, text) {
    this.#insert(room, { kind: 'note', text, time: new Date() });
  }

  /** sending shows a message of one's own before the server has confirmed it, and returns it. */
  sending(topic, from, text, ref) {
    const message = { kind: 'chat', from, text, ref, time: new Date(), own: true, state: 'sending' };
    this.#insert(this.all.get(topic), message);
    return message;
  }

  /** unsent returns what waits for a connection. */
  unsent(topic) {
    return this.all.get(topic)?.messages.filter((m) => m.state === 'waiting') ?? [];
  }

  /** again moves a failed message of one's own to the end, and returns it. */
  again(topic, id) {
    const room = this.all.get(topic);
    const at = room.messages.findIndex((m) => m.id === id && m.state === 'failed');
    if (at < 0) return null;
    const [message] = room.messages.splice(at, 1);
    message.state = 'sending';
    this.#insert(room, message);
    return message;
  }

  /** said takes in what was published. It replaces what one has sent oneself, at the place that it has for everybody. */
  said(topic, { data, seq, position }, name, isRead) {
    const room = this.all.get(topic);
    const place = position.join(' ');
    if (!room || room.messages.some((m) => m.place === place)) return;
    const sent = room.messages.findIndex((m) => m.ref && m.ref === data.ref);
    const message = sent < 0 ? { kind: 'chat', own: own.has(place) && data.from === name } : room.messages.splice(sent, 1)[0];
    Object.assign(message, { from: data.from, text: data.text, time: new Date(data.time), place, ref: undefined, state: undefined });
    if (sent >= 0) remembered(place);
    const replay = seq <= room.end ? room.replay : '';
    if (replay === 'missed' && !message.own) {
      this.#note(room, 'missed');
      room.replay = 'rest';
    }
    this.#insert(room, message);
    if (!message.own && !isRead && replay !== 'history') room.unread++;
  }

  // In front of what is on its way: that comes later for everybody.
  #insert(room, message) {
    message.id ??= String(++serial);
    const { messages } = room;
    const behind = message.state ? -1 : messages.findIndex((m) => m.state === 'sending' || m.state === 'waiting');
    messages.splice(behind < 0 ? messages.length : behind, 0, message);
    if (messages.length > MOST_MESSAGES) messages.shift();
  }
}

function remembered(place) {
  own.add(place);
  remember('own', JSON.stringify([...recallList('own') ?? [], place].slice(-MOST_OWN)));
}
