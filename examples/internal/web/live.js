const RETRY = 1_000, LONGEST = 30_000; // ms: how long to wait at most before the second attempt, and before any
const STABLE = 10_000; // ms that a connection has to last for the next loss to count as the first
const FINAL = [1000, 1002, 1007]; // close codes after which coming back is no use
const EXPIRED = 3000; // the close code for credentials that have expired: url and protocols get new ones

/** Live is a connection to a tank server that comes back after each loss and subscribes again to what is wanted. */
export class Live {
  state = "connecting"; // or open; waiting, until retryAt; closed, for good
  retryAt = 0; // ms, as Date.now() counts
  handlers = new Map(); // topic -> set of functions
  tries = 0; // attempts since a connection has lasted
  ending = new AbortController();

  /** url and protocols may be functions, also async ones: they are called before each attempt, say for a new token. */
  constructor(url, options = {}) {
    const none = () => {};
    Object.assign(this, {
      url, protocols: [], timeout: 10_000, // ms that a handshake or an answer may take
      onConnecting: none, onOpen: none, onClose: none, onBroadcast: none, onRefused: console.warn,
    }, options);
    // The network is back, or the page is looked at again: now is the time to find out.
    const { signal } = this.ending;
    addEventListener("online", () => this.hurry(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry(), { signal });
    this.connect();
  }

  /** subscribe returns a function that takes back this subscription, and not those of others to the same topic. */
  subscribe(topic, handler) {
    const call = (data) => handler(data);
    const calls = this.handlers.get(topic) ?? new Set();
    this.handlers.set(topic, calls.add(call));
    this.send("sub:" + topic);
    return () => {
      if (calls.delete(call) && calls.size === 0 && this.handlers.get(topic) === calls) this.unsubscribe(topic);
    };
  }
  unsubscribe(topic) { // for all handlers
    this.handlers.delete(topic);
    this.send("unsub:" + topic);
  }
  publish(topic, data) { return this.send(JSON.stringify({ topic, data })); }
  send(text) { // not sent, and false, while there is no connection
    if (this.state !== "open" || this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(text);
    return true;
  }
  hurry() { // ends a wait, and asks an open connection for a sign of life
    if (this.state === "waiting") this.connect();
    else if (this.state === "open") this.watch(1);
  }
  reconnect() { // for another url
    this.tries = 0;
    this.connect();
  }
  close() { // for good; onClose is not called
    this.ending.abort();
    this.drop(1000);
    this.state = "closed";
  }

  async connect() {
    this.drop();
    const attempt = (this.attempt = {});
    this.timer = setTimeout(() => this.lost(1006, "no answer to the handshake"), this.timeout);
    const value = (v) => (typeof v === "function" ? v() : v);
    let target;
    try {
      target = [await value(this.url), await value(this.protocols)];
    } catch (error) {
      if (attempt === this.attempt) this.lost(1006, String(error));
      return;
    }
    if (attempt !== this.attempt) return; // there is a later one, or the end
    this.state = "connecting";
    this.onConnecting();
    if (attempt !== this.attempt) return;
    try {
      this.socket = new WebSocket(...target);
    } catch (error) { // such as for a subprotocol that is none
      this.lost(1006, String(error));
      return;
    }
    this.socket.onopen = () => this.opened();
    this.socket.onmessage = ({ data }) => this.received(data);
    this.socket.onclose = ({ code, reason }) => this.lost(code, reason);
  }
  opened() {
    this.state = "open";
    this.openedAt = Date.now();
    this.asked = 0;
    this.watch(0);
    for (const topic of this.handlers.keys()) this.send("sub:" + topic);
    this.onOpen();
  }
  lost(code, reason) {
    if (Date.now() - this.openedAt > STABLE) this.tries = 0;
    this.drop();
    const willRetry = !FINAL.includes(code) && code <= EXPIRED; // above: refused, or the application's own
    this.state = willRetry ? "waiting" : "closed";
    if (willRetry) {
      const delay = Live.delay(this.tries++);
      this.retryAt = Date.now() + delay;
      this.timer = setTimeout(() => this.connect(), delay);
    }
    this.onClose({ code, reason, willRetry });
  }
  static delay(tries) { // random, so that pages that were disconnected together do not come back together
    return Math.random() * Math.min(LONGEST, RETRY * 2 ** tries);
  }
  drop(code) { // lets go of the socket: what it still has to say is not heard
    clearTimeout(this.timer);
    this.attempt = null;
    this.openedAt = Infinity;
    if (this.state === "open") this.state = "connecting";
    const { socket } = this;
    if (!socket) return;
    this.socket = socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  // A page cannot see pings. After a silence it asks with an "unsub:" that names no topic: the server answers with an error
  // frame. Two questions without an answer, and not one, because a computer may have been asleep during the first.
  watch(silent) {
    clearTimeout(this.timer);
    this.heard = false;
    this.silent = silent;
    if (silent > 0) this.ask();
    this.timer = setInterval(() => {
      this.silent = this.heard ? 0 : this.silent + 1;
      this.heard = false;
      if (this.silent > 2) this.lost(1006, "no sign of life");
      else if (this.silent > 0) this.ask();
    }, this.timeout);
  }
  ask() {
    if (this.send("unsub:")) this.asked++;
  }

  received(data) {
    this.heard = true;
    let frame;
    try { frame = JSON.parse(data); } catch { /* not JSON, so not the protocol's */ }
    const { error } = frame ?? {};
    if (this.asked > 0 && error?.code === "invalid_topic" && error.topic === "") this.asked--; // the answer to ask
    else this.deliver(frame, data);
  }
  deliver(frame, data) {
    if (typeof frame?.topic === "string") {
      for (const call of this.handlers.get(frame.topic) ?? []) {
        try { call(frame.data); } catch (error) { reportError(error); } // and the others get it
      }
    } else if (frame?.error) {
      const { code, topic } = frame.error;
      if (["limit", "invalid_topic"].includes(code)) this.handlers.delete(topic); // or it is asked for with each connection
      this.onRefused(frame.error);
    } else {
      this.onBroadcast(data);
    }
  }
}
