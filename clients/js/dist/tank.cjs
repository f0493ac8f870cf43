/* tank-websocket, MIT License, (c) 2026 The tank authors */
"use strict";
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

// src/index.ts
var index_exports = {};
__export(index_exports, {
  Subscription: () => Subscription,
  Tank: () => Tank,
  TankError: () => TankError
});
module.exports = __toCommonJS(index_exports);

// src/error.ts
var TankError = class extends Error {
  constructor(code, message, retry, key) {
    super(message);
    this.code = code;
    this.retry = retry;
    this.key = key;
  }
  code;
  retry;
  key;
  name = "TankError";
};

// src/subscription.ts
var Subscription = class {
  /** @internal */
  b;
  /** @internal The answer to a sub says where to go on: until then, publications are ignored. */
  c = true;
  /** @internal An answer has told what there is up to here: a number that does not come has no publication, or is missing and told. */
  o = 0;
  /** @internal On this connection. */
  m = false;
  /** @internal */
  a;
  #topic;
  #call;
  #open = true;
  #watches = false;
  // it has been told who is in the topic
  #error;
  #queue;
  // for a loop, from its beginning on
  #wake;
  // the loop that waits
  /** @internal */
  constructor(topic, options, call) {
    this.#topic = topic;
    this.a = options;
    this.#call = call;
    this.b = options.since ?? void 0;
    options.signal?.addEventListener("abort", this.close);
  }
  get topic() {
    return this.#topic.j;
  }
  /** The number of the last message that was handed on, with its epoch. Undefined until the first answer, unless `since` was given. */
  get position() {
    return this.b;
  }
  /** Who is in the topic, if that was asked for and answered. */
  get presence() {
    return this.a.presence ? this.#topic.i : void 0;
  }
  get closed() {
    return !this.#open;
  }
  /** Ends this subscription: no handler is called any more. The server is told one task later, if no other one wants the topic by then. */
  close = () => {
    this.h();
  };
  [Symbol.asyncIterator]() {
    this.#queue ??= [];
    return this.#loop();
  }
  async *#loop() {
    try {
      for (; ; ) {
        const messages = this.#queue;
        this.#queue = [];
        yield* messages;
        if (this.#queue.length) continue;
        if (this.#error) throw this.#error;
        if (!this.#open) return;
        await new Promise((wake) => this.#wake = wake);
      }
    } finally {
      this.close();
    }
  }
  /** @internal */
  h(error) {
    if (!this.#open) return;
    this.#open = false;
    this.#error = error;
    this.a.signal?.removeEventListener("abort", this.close);
    this.#topic.s(this);
    this.#wake?.();
    if (error) this.#call(this.a.onEnd, error);
  }
  /** @internal */
  t(message) {
    if (!this.#open) return;
    this.#queue?.push(message);
    this.#wake?.();
    this.#call(this.a.onMessage, message);
  }
  /** @internal */
  u(join) {
    this.m = true;
    this.#call(this.a.onJoin, join);
  }
  /** @internal */
  p(gap) {
    if (this.a.gaps !== "ignore") this.#call(this.a.onGap, gap);
  }
  /** @internal */
  k(change) {
    const { presence } = this;
    if (!this.#open || !presence) return;
    if (!this.#watches) change = { in: [...presence.users.keys()], out: [] };
    this.#watches = true;
    this.#call(this.a.onPresence, presence, change);
  }
};

// src/connection.ts
var HANDSHAKE = 1e4;
var GRACE = 1e4;
var ANSWER = 5e3;
var STABLE = 1e4;
var FIRST = 500;
var LONGEST = 2e4;
var LONGEST_TIMER = 2 ** 31 - 1;
var PROBE = `{"id":${Number.MAX_SAFE_INTEGER},"unsub":""}`;
var backoff = (tries) => Math.random() * Math.min(LONGEST, FIRST * 2 ** tries);
var Connection = class {
  e = "connecting";
  g;
  // of the connection that is open
  #url;
  #options;
  #call;
  #receive;
  #changed;
  #socket;
  #timer;
  #closing;
  #attempt = 0;
  // counts attempts and losses, so that who waited knows whether it still matters
  #tries = 0;
  // attempts since a connection has lasted
  #openedAt = 0;
  #probed = false;
  // and nothing has come since
  #within;
  // of bye
  constructor(url, options, call, receive, changed) {
    this.#url = String(new URL(url, globalThis.location?.href)).replace(/^http/, "ws");
    this.#options = { ...options, WebSocket: options.WebSocket ?? globalThis.WebSocket };
    if (!this.#options.WebSocket) throw new TypeError("there is no WebSocket: pass the option");
    this.#call = call;
    this.#receive = receive;
    this.#changed = changed;
    globalThis.addEventListener?.("online", this.#noticed);
    globalThis.document?.addEventListener("visibilitychange", this.#noticed);
    this.#connect();
  }
  /** _send sends a frame. It is false, and nothing is sent, while there is no connection. */
  l(data) {
    const sends = this.e === "open" && this.#socket.readyState === 1;
    if (sends) this.#socket.send(data);
    return sends;
  }
  /** _close takes effect one task later, unless _keep is called before. */
  v() {
    this.#closing ??= setTimeout(() => {
      this.#drop(1e3);
      if (this.e !== "closed") this.#end({});
    });
  }
  w() {
    if (!this.#closing || this.e === "closed") return;
    clearTimeout(this.#closing);
    this.#closing = void 0;
    if (this.e === "connecting" && !this.#socket) this.#connect();
  }
  /** _hurry ends a wait; an open connection has to show that it is alive. */
  q() {
    if (this.e === "waiting") {
      this.#tries = 0;
      this.#connect();
    } else if (this.e === "open") this.#probe();
  }
  // The network is back, or the page is looked at.
  #noticed = ({ type }) => {
    if (type === "online" || !document.hidden) this.q();
  };
  async #connect() {
    this.#drop();
    const attempt = this.#attempt;
    this.#after(HANDSHAKE, () => this.#lost(1006, "no answer to the handshake"));
    if (this.e !== "connecting") this.#become("connecting", {});
    try {
      const { token, WebSocket } = this.#options;
      const fresh = await (typeof token === "function" ? token() : token);
      if (attempt !== this.#attempt || this.#closing) return;
      const socket = new WebSocket(this.#url, fresh ? ["tank.v2", "bearer." + fresh] : ["tank.v2"]);
      this.#socket = socket;
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        if (socket.protocol !== "tank.v2") this.#lost(1002, "the server does not speak tank.v2");
      };
      socket.onmessage = ({ data }) => this.#call(() => this.#received(data));
      socket.onclose = ({ code, reason }) => this.#lost(code, reason);
      socket.onerror = () => {
        if (!this.g) this.#lost(1006, "");
      };
    } catch (error) {
      if (attempt === this.#attempt) this.#lost(1006, String(error));
    }
  }
  #received(data) {
    const frame = typeof data === "string" ? JSON.parse(data) : data;
    if (!frame) return;
    if (frame.hello) {
      this.g = frame.hello;
      this.#openedAt = Date.now();
      this.#become("open", {});
    }
    if (!this.g) return;
    this.#watch();
    if (frame.bye) this.#within = frame.bye.within;
    this.#receive(frame);
  }
  // Each message renews the time limit, and nothing else does. A computer that slept finds its timers overdue although the server
  // is there, and a page in the background gets them late. So silence leads to a probe, and only its silence to a loss.
  #watch() {
    this.#probed = false;
    this.#after(Math.min(this.g.ping * 1e3 + GRACE - ANSWER, LONGEST_TIMER), () => this.#probe());
  }
  #probe() {
    if (this.#probed) return;
    this.#probed = true;
    this.l(PROBE);
    this.#after(ANSWER, () => this.#lost(1006, "the server is silent"));
  }
  #lost(code, reason) {
    if (this.g && Date.now() - this.#openedAt > STABLE) this.#tries = 0;
    const final = this.#isFinal(code, reason);
    this.#drop();
    const info = { code, reason };
    if (final) return this.#end(info);
    const within = this.#within;
    this.#within = void 0;
    info.delay = within === void 0 ? backoff(this.#tries++) : Math.random() * within;
    this.#after(info.delay, () => this.#connect());
    this.#become("waiting", info);
  }
  #isFinal(code, reason) {
    if (code >= 4e3) return !this.#call(this.#options.reconnect, code, reason);
    return code > 3e3 || code === 1e3 || code === 1002 || code === 1007;
  }
  // The socket is let go of: what it still has to say, such as its close event 60 s later, is not heard.
  #drop(code) {
    clearTimeout(this.#timer);
    this.#attempt++;
    this.g = void 0;
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = void 0;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {
    };
    socket.close(code);
  }
  #end(info) {
    globalThis.removeEventListener?.("online", this.#noticed);
    globalThis.document?.removeEventListener("visibilitychange", this.#noticed);
    this.#become("closed", info);
  }
  #become(state, info) {
    this.e = state;
    this.#changed(info);
  }
  #after(ms, what) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(what, ms);
  }
};

// src/guard.ts
var guard = (report) => (f, ...args) => {
  try {
    const result = f?.(...args);
    result?.catch?.(report);
    return result;
  } catch (error) {
    report(error);
    return void 0;
  }
};

// src/topic.ts
var same = (a, b) => String(a) === String(b);
var Topic = class {
  j;
  d = /* @__PURE__ */ new Set();
  i;
  #send;
  #idle;
  // the last subscription was removed
  #top;
  // the highest number that was seen on this connection; undefined without a subscription there
  #asked = false;
  // a sub has no answer, or a refused one waits to be sent again
  #live = false;
  // the server has a subscription
  #tries = 0;
  #timer;
  constructor(name, send, idle) {
    this.j = name;
    this.#send = send;
    this.#idle = idle;
  }
  /** _onWire reports whether the server may have a subscription. */
  get x() {
    return this.#asked || this.#live;
  }
  y(s) {
    this.d.add(s);
    const { last, presence } = s.a;
    if (!this.#top || s.b || last || presence && !this.i) return this.f();
    queueMicrotask(() => {
      if (!s.c || s.closed) return;
      if (!this.#top) return this.f();
      this.#settle(s, this.#top, false);
      s.k({ in: [], out: [] });
    });
  }
  s(s) {
    this.d.delete(s);
    if (!this.d.size) this.#idle(this);
  }
  // A handler may close others: what they do not get any more does not move their positions.
  *#each() {
    for (const s of [...this.d]) if (!s.closed) yield s;
  }
  /** _ask sends a sub for the subscriptions that wait, unless one is on its way. */
  f() {
    if (this.#asked) return;
    let since;
    let last = 0;
    let presence;
    let waits = false;
    for (const { a: _options, c: _waiting, b: _at } of this.d) {
      if (_options.presence) presence = true;
      if (!_waiting) continue;
      waits = true;
      last = Math.max(last, _options.last ?? 0);
      if (_at && (!since || _at[0] === since[0] && _at[1] < since[1])) since = _at;
    }
    if (!waits) return;
    this.#asked = this.#send({ sub: this.j, since, last: last || void 0, presence }, (ok, error) => {
      if (!this.#asked) return;
      this.#asked = false;
      if (error) this.#refused(error);
      else this.#answered(ok, since, last, presence);
    });
  }
  #refused(error) {
    if (error.retry) {
      this.#asked = true;
      this.#timer = setTimeout(() => {
        this.#asked = false;
        this.f();
      }, backoff(this.#tries++));
    } else {
      const waiting = [...this.d].filter((s) => s.c);
      const watching = waiting.filter((s) => s.a.presence);
      for (const s of watching.length ? watching : waiting) s.h(new TankError(error.code, error.message, false));
      this.f();
    }
  }
  #answered(ok, since, last, presence) {
    const { epoch, seq, from = seq, recovered, why } = ok;
    this.#tries = 0;
    const change = ok.here && this.#merge(ok.here, true);
    if (!change && !this.#top) this.i = void 0;
    this.#top = [epoch, seq];
    this.#live = true;
    for (const s of this.#each()) {
      const at = s.b;
      const asked = same(at, since);
      const first = seq - (s.a.last ?? 0);
      if (!s.c || s.a.presence && !presence) {
      } else if (recovered && at && at[0] === epoch && from <= at[1] && at[1] <= seq) {
        this.#settle(s, at, true);
      } else if ((asked || !at || at[0] !== epoch) && (from <= Math.max(0, first) || !recovered && seq - first <= last)) {
        this.#settle(s, [epoch, asked && !last ? from : Math.max(from, first)], false, asked ? why : at && "epoch");
      }
      if (change) s.k(change);
    }
    this.f();
  }
  // The position moves, then it is told what that means: that the subscription is in force, or on one that was, that something is missing.
  #settle(s, position, recovered, why) {
    const from = s.b;
    s.b = position;
    s.c = false;
    s.o = this.#top[1];
    if (!s.m) s.u({ position, until: this.#top[1], recovered, why });
    else if (!recovered) s.p({ why: why ?? "", from, to: position, missed: void 0 });
  }
  z(seq, data, { from, prev = seq - 1 } = {}) {
    if (this.#top && seq > this.#top[1]) this.#top = [this.#top[0], seq];
    for (const s of this.#each()) {
      if (seq) {
        const at = s.b;
        if (s.c || !at || seq <= at[1]) continue;
        const jumped = prev > at[1] && prev > s.o;
        if (jumped && (s.a.gaps ?? "recover") === "recover") {
          s.c = true;
          continue;
        }
        if (jumped) this.#skip(s, prev, "jump", void 0);
        if (s.closed) continue;
        s.b = [at[0], seq];
      }
      s.t({ topic: this.j, data, seq, position: s.b, from });
    }
    this.f();
  }
  A(missed, seq) {
    if (this.#top && seq > this.#top[1]) this.#top = [this.#top[0], seq];
    for (const s of this.#each()) this.#skip(s, seq, "lost", missed);
  }
  B(seq) {
    for (const s of this.#each()) {
      const { gaps = "recover" } = s.a;
      if (gaps === "recover") s.c = true;
      else if (gaps === "report") this.#skip(s, seq - 1, "gap", void 0);
    }
    this.f();
  }
  // The position moves behind what is missing, and that is told, unless it was seen.
  #skip(s, seq, why, missed) {
    const at = s.b;
    if (s.c || !at || seq <= at[1]) return;
    s.b = [at[0], seq];
    s.p({ why, from: at, to: s.b, missed });
  }
  C() {
    this.#top = void 0;
    for (const s of this.d) s.c = true;
    this.f();
  }
  /** _end ends those that do not wait: an answer that is still to come is about a later sub. */
  h(error) {
    this.#top = void 0;
    this.#live = false;
    for (const s of this.#each()) if (!s.c) s.h(new TankError(error.code, error.message, error.retry));
  }
  k(here) {
    if (!this.i) return;
    const change = this.#merge(here);
    for (const s of this.#each()) s.k(change);
  }
  // A snapshot replaces what is known. What that changes is told, as of any other frame.
  #merge(here, snapshot) {
    const known = new Map(this.i?.users);
    const listed = here.in || here.out;
    const users = new Map(listed && !snapshot ? known : void 0);
    for (const user of here.out ?? []) users.delete(user);
    for (const user in here.in) users.set(user, here.in[user]);
    this.i = { n: here.n, users };
    return {
      in: [...users.keys()].filter((user) => !known.has(user)),
      out: [...known.keys()].filter((user) => listed && !users.has(user))
    };
  }
  /** _disconnected: the next connection has no subscriptions. */
  r() {
    clearTimeout(this.#timer);
    this.#asked = this.#live = false;
    this.#top = void 0;
    for (const s of this.d) {
      s.c = true;
      s.m = false;
    }
  }
};

// src/tank.ts
var Tank = class {
  /** The server has lost its way to others: what is published meanwhile comes late, or is told as a gap. */
  interrupted = false;
  #connection;
  #options;
  #call;
  #report;
  #topics = /* @__PURE__ */ new Map();
  #answers = /* @__PURE__ */ new Map();
  #id = 0;
  /** @param url may be relative to the page, and begin with http. */
  constructor(url, options = {}) {
    this.#options = options;
    const report = options.onError ?? globalThis.reportError ?? console.error;
    this.#report = async (error) => report(error);
    this.#call = guard(this.#report);
    this.#connection = new Connection(
      url,
      options,
      this.#call,
      (frame) => this.#received(frame),
      (info) => this.#changed(info)
    );
  }
  get state() {
    return this.#connection.e;
  }
  /** The id of the connection, while it is open. */
  get client() {
    return this.#connection.g?.client;
  }
  /** The user id that the server has for this client, while it is open. */
  get user() {
    return this.#connection.g?.user;
  }
  /** Subscribes, now and on each new connection. Several subscriptions to one topic share one on the wire. It takes back a `close()` of the same task. */
  subscribe(name, options = {}) {
    this.#connection.w();
    let topic = this.#topics.get(name);
    if (!topic) {
      topic = new Topic(name, (command, answer) => !!this.#send(command, answer), (t) => this.#idle(t));
      this.#topics.set(name, topic);
    }
    const subscription = new Subscription(topic, options, this.#call);
    if (options.signal?.aborted) subscription.close();
    else if (this.state === "closed") queueMicrotask(() => subscription.h(closed()));
    else topic.y(subscription);
    return subscription;
  }
  /**
   * Publishes any JSON. It never waits for a connection. When it fails with a `key` and with `retry`, publish again with that key:
   * the message is published once, whether or not the first attempt arrived.
   */
  publish(name, data, options = {}) {
    const key = options.key ?? randomKey();
    return this.#ask({ pub: name, data, key }, options.signal, key);
  }
  /** Asks the application, whose answer is any JSON. */
  request(data, options = {}) {
    return this.#ask({ msg: data }, options.signal);
  }
  /** Sends a message to the application, JSON or bytes, without an answer. It is false, and nothing is sent, while there is no connection. */
  send(data) {
    const bytes = data instanceof ArrayBuffer || ArrayBuffer.isView(data);
    return this.#connection.l(bytes ? data : JSON.stringify({ msg: data }));
  }
  /** Ends a wait: the next attempt begins at once. An open connection has to show within 5 s that it is alive. For a button "retry now". */
  connect() {
    this.#connection.q();
  }
  /** Ends all subscriptions at once, and closes the connection for good, one task later, unless something is subscribed to by then. */
  close() {
    this.#connection.v();
    this.#endAll();
  }
  #endAll(error) {
    for (const topic of this.#topics.values()) for (const s of [...topic.d]) s.h(error);
  }
  #ask(command, signal, key) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const abort = () => reject(signal.reason);
      const sent = this.#send(command, (ok, error) => {
        signal?.removeEventListener("abort", abort);
        if (error) reject(new TankError(error.code, error.message, error.retry, key));
        else resolve(ok);
      });
      if (sent) signal?.addEventListener("abort", abort);
      else reject(this.state === "closed" ? closed(key) : new TankError("offline", "there is no connection", true, key));
    });
  }
  #send(command, answer) {
    const sent = this.#connection.l(JSON.stringify({ id: this.#id + 1, ...command }));
    if (sent) this.#answers.set(++this.#id, answer);
    return sent;
  }
  #received(frame) {
    if (frame instanceof ArrayBuffer) return this.#call(this.#options.onMessage, frame);
    if (Array.isArray(frame)) return this.#topics.get(frame[0])?.z(frame[1], frame[2], frame[3]);
    const { id, error, topic: name, expires, interrupted } = frame;
    const topic = this.#topics.get(name);
    if (id) {
      const answer = this.#answers.get(id);
      this.#answers.delete(id);
      answer?.(frame.ok, error);
    } else if (error) this.#fail(error);
    else if (topic) {
      if (frame.lost) topic.A(frame.lost, frame.seq);
      else if (frame.gap) topic.B(frame.gap.seq);
      else if (frame.reset) topic.C();
      else if (frame.end) topic.h(frame.end);
      else if (frame.here) topic.k(frame.here);
    } else if ("msg" in frame) this.#call(this.#options.onMessage, frame.msg);
    else if (expires) this.#renew();
    else if (interrupted !== void 0) {
      this.interrupted = interrupted;
      this.#call(this.#options.onState, this.state, {});
    }
  }
  async #renew() {
    const { token } = this.#options;
    try {
      const auth = await (typeof token === "function" ? token() : token);
      if (auth) this.#send({ auth }, (_, error) => error && this.#fail(error));
    } catch (error) {
      this.#report(error);
    }
  }
  #fail({ code, message, retry }) {
    this.#report(new TankError(code, message, retry));
  }
  #changed(info) {
    const { state } = this;
    if (state === "open") {
      for (const topic of this.#topics.values()) topic.f();
    } else {
      this.interrupted = false;
      const answers = [...this.#answers.values()];
      this.#answers.clear();
      for (const topic of this.#topics.values()) topic.r();
      const lost = { code: "lost", message: "the connection ended before the answer, so it may have happened", retry: info.code !== 1009 };
      for (const answer of answers) answer(void 0, lost);
      if (state === "closed") this.#endAll(closed());
    }
    this.#call(this.#options.onState, state, info);
  }
  // One task later, so that who subscribes again at once, as React does, finds the topic as it was.
  #idle(topic) {
    setTimeout(() => {
      const name = topic.j;
      if (topic.d.size || this.#topics.get(name) !== topic) return;
      this.#topics.delete(name);
      if (topic.x) this.#connection.l(JSON.stringify({ unsub: name }));
      topic.r();
    });
  }
};
var closed = (key) => new TankError("closed", "the connection is closed for good", false, key);
var randomKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
