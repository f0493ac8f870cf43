// A WebSocket that keeps itself alive: it comes back after every loss and subscribes again to what is wanted.

const FIRST_DELAY = 500; // ms; doubles with every failure
const LONGEST_DELAY = 15_000; // ms
const STABLE = 5_000; // ms online until the next loss counts as the first again
const HANDSHAKE = 10_000; // ms a connection attempt may take
const GOING_AWAY = 1001; // close code of a server that shuts down and asks us to come back (RFC 6455, section 7.4.1)
const RESTART = 1_000; // ms until the next server is up
const SPREAD = 2_000; // ms over which the pages that were told at once come back

/** backoff is exponential with jitter: half of it is random, so that pages do not come back all at once. */
export function backoff(failures, random = Math.random) {
  const most = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** failures);
  return most / 2 + (most / 2) * random();
}

/** comeback is when to return to a server that shuts down: once the next one should be up, and each page at its own time. */
export function comeback(random = Math.random) {
  return RESTART + SPREAD * random();
}

/** socketURL is beside the page, so that it also works under a path prefix and behind a TLS proxy. */
export function socketURL(name, base = document.baseURI) {
  const url = new URL('ws', base);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.search = new URLSearchParams({ user_id: name }).toString();
  url.hash = '';
  return url.href;
}

/**
 * Connection fires "state" when state, shutdown or retryAt have changed, and "frame" with each parsed message.
 * States: connecting, online, waiting (until retryAt).
 */
export class Connection extends EventTarget {
  state = 'connecting';
  shutdown = false; // the server said goodbye, and has not been seen since
  everOnline = false;
  retryAt = 0;

  #socket = null;
  #wanted = new Set();
  #failures = 0;
  #timer = 0;
  #silence; // ms without any message after which a connection is taken for dead
  #heardAt = 0;

  constructor(silence) {
    super();
    this.#silence = silence;
    // The network is back, or the page is looked at again: no reason to wait any longer.
    addEventListener('online', () => this.retryNow());
    document.addEventListener('visibilitychange', () => document.hidden || this.retryNow());
    setInterval(() => this.#checkSilence(), 2_000);
  }

  open(name) {
    this.name = name;
    this.#failures = 0;
    this.#connect();
  }

  subscribe(topic) {
    this.#wanted.add(topic);
    this.#transmit(`sub:${topic}`);
  }

  unsubscribe(topic) {
    this.#wanted.delete(topic);
    this.#transmit(`unsub:${topic}`);
  }

  /** forget drops a topic that the server refused. */
  forget(topic) {
    this.#wanted.delete(topic);
  }

  /** say returns whether it was handed to the socket; whether it arrived, its echo tells. */
  say(topic, text, ref) {
    return this.#transmit(JSON.stringify({ say: { topic, text, ref } }));
  }

  retryNow() {
    if (this.state === 'waiting') this.#connect();
  }

  #transmit(text) {
    if (this.state !== 'online') return false;
    this.#socket.send(text);
    return true;
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event('state'));
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#drop();
    const socket = new WebSocket(socketURL(this.name));
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (e) => this.#received(e.data);
    socket.onclose = (e) => this.#lost(e.code);
    this.#timer = setTimeout(() => { this.#drop(); this.#lost(); }, HANDSHAKE);
    this.#become('connecting');
  }

  /** drop lets go of the socket: nothing that it still has to say is heard. */
  #drop() {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => { this.#failures = 0; }, STABLE);
    this.#heardAt = Date.now();
    this.shutdown = false;
    this.state = 'online';
    for (const topic of this.#wanted) this.#transmit(`sub:${topic}`);
    this.#become('online');
    this.everOnline = true;
  }

  #received(data) {
    this.#heardAt = Date.now();
    let frame;
    try { frame = JSON.parse(data); } catch { return; }
    this.dispatchEvent(new CustomEvent('frame', { detail: frame }));
  }

  #lost(code) {
    clearTimeout(this.#timer);
    this.#socket = null;
    if (code === GOING_AWAY) this.shutdown = true;
    const delay = code === GOING_AWAY ? comeback() : backoff(this.#failures++);
    this.retryAt = Date.now() + delay;
    this.#timer = setTimeout(() => this.#connect(), delay);
    this.#become('waiting');
  }

  /** checkSilence notices a connection that died without a word, as when a laptop changes networks. */
  #checkSilence() {
    if (this.state !== 'online' || Date.now() - this.#heardAt < this.#silence) return;
    this.#drop();
    this.#lost();
  }
}
