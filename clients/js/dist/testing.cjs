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

// src/testing.ts
var testing_exports = {};
__export(testing_exports, {
  FakeTank: () => FakeTank
});
module.exports = __toCommonJS(testing_exports);
var FakeTank = class {
  /** The option of a Tank. */
  WebSocket;
  /** Whether new connections fail. See `cut` for those that are open. */
  offline = false;
  /** Every command that came, with its id. */
  received = [];
  #options;
  #topics = /* @__PURE__ */ new Map();
  #connections = /* @__PURE__ */ new Set();
  #epochs = 0;
  #clients = 0;
  #silent = false;
  #loseAnswers = 0;
  constructor(options = {}) {
    this.#options = options;
    const server = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocols) {
        super(url, protocols);
        queueMicrotask(() => server.#connect(this));
      }
      close() {
        super.close();
        server.#connections.delete(this);
      }
      e(data) {
        server.#take(this, data);
      }
    };
  }
  /** How many connections are open. */
  get connections() {
    return this.#connections.size;
  }
  /** How many connections are subscribed to a topic. */
  subscribers(name) {
    return [...this.#connections].filter((socket) => socket.a.has(name)).length;
  }
  /** The tokens of the connections that are open: for each the last one that was taken. */
  get tokens() {
    return [...this.#connections].map((socket) => socket.c);
  }
  /** Publishes JSON to a topic and returns its number. */
  publish(name, data, from) {
    const topic = this.#topic(name);
    const seq = ++topic.seq;
    const frame = JSON.stringify(from === void 0 ? [name, seq, data] : [name, seq, data, { from }]);
    topic.kept.push({ seq, frame });
    topic.kept.splice(0, topic.kept.length - (this.#options.history ?? 100));
    if (topic.lose > 0) topic.lose--;
    else this.#send(name, frame);
    return seq;
  }
  /** The position of a topic. */
  position(name) {
    const { epoch, seq } = this.#topic(name);
    return [epoch, seq];
  }
  /** The next publications of a topic are kept, but not sent: a page sees that numbers are missing. */
  lose(name, publications) {
    this.#topic(name).lose += publications;
  }
  /** Says that publications were dropped, so many before and including the last one. */
  dropped(name, publications) {
    this.#send(name, { topic: name, lost: publications, seq: this.#topic(name).seq });
  }
  /** Says that publications may be missing. */
  gap(name) {
    this.#send(name, { topic: name, gap: { seq: this.#topic(name).seq + 1 } });
  }
  /** The next commands are carried out, and the connection is cut before their answers. */
  loseAnswers(answers) {
    this.#loseAnswers += answers;
  }
  /** All connections are lost without a close frame. With `offline` they cannot come back either. */
  cut() {
    this.close(1006);
  }
  /** All connections are closed with a code. */
  close(code, reason = "") {
    for (const socket of this.#connections) this.#drop(socket, code, reason);
  }
  /** All connections stay, and nothing comes any more, not even a close event. */
  silence(silent = true) {
    this.#silent = silent;
  }
  /** The server restarts: it says within which time to come back, in ms, and forgets all topics. */
  restart(within = 1e3) {
    for (const socket of this.#connections) this.#post(socket, { bye: { code: 1001, within } });
    this.close(1001, "server is shutting down, please reconnect");
    this.#topics.clear();
  }
  /** A topic begins a new numbering. */
  reset(name) {
    const topic = this.#begin(name);
    this.#send(name, { topic: name, reset: { epoch: topic.epoch, seq: 0 } });
  }
  /** Ends all subscriptions to a topic. */
  end(name, code = "unsubscribed") {
    this.#send(name, { topic: name, end: { code, message: code, retry: false } });
    for (const socket of this.#connections) socket.a.delete(name);
  }
  /** Users come to a topic, and others go. */
  here(name, comes, goes = []) {
    const { here } = this.#topic(name);
    Object.assign(here, comes);
    for (const user of goes) delete here[user];
    this.#send(name, { topic: name, here: { n: Object.keys(here).length, in: comes, out: goes } });
  }
  /** A message to all clients outside topics: JSON, or an ArrayBuffer. */
  tell(data) {
    this.raw(data instanceof ArrayBuffer ? data : { msg: data });
  }
  /** Any frame, such as `{ expires: 60 }`, to all clients. */
  raw(frame) {
    for (const socket of this.#connections) this.#post(socket, frame);
  }
  #topic(name) {
    return this.#topics.get(name) ?? this.#begin(name);
  }
  #begin(name) {
    const topic = { epoch: `epoch-${++this.#epochs}`, seq: 0, kept: [], keys: /* @__PURE__ */ new Map(), lose: 0, here: {} };
    this.#topics.set(name, topic);
    return topic;
  }
  #connect(socket) {
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
  #drop(socket, code, reason) {
    this.#connections.delete(socket);
    if (code === 1006) socket.b.length = 0;
    socket.b.push(() => {
      socket.readyState = 3;
      socket.onclose?.({ code, reason });
    });
    socket.d();
  }
  #send(name, frame) {
    for (const socket of this.#connections) if (socket.a.has(name)) this.#post(socket, frame);
  }
  #post(socket, frame) {
    if (this.#silent) return;
    const data = typeof frame === "string" || frame instanceof ArrayBuffer ? frame : JSON.stringify(frame);
    socket.b.push(() => socket.onmessage?.({ data }));
    socket.d();
  }
  #take(socket, data) {
    if (!this.#connections.has(socket) || this.#silent) return;
    if (typeof data !== "string") return this.#options.onMessage?.(data);
    const command = JSON.parse(data);
    if (command.unsub === "") return this.#post(socket, { id: command.id, error: fault("invalid_topic") });
    this.received.push(command);
    const answer = this.#carryOut(socket, command);
    if (command.id === void 0) return;
    if (this.#loseAnswers > 0) {
      this.#loseAnswers--;
      this.#drop(socket, 1006, "");
    } else {
      for (const frame of [{ id: command.id, ...answer.frame }, ...answer.behind ?? []]) this.#post(socket, frame);
    }
  }
  #carryOut(socket, { sub, since, last, presence, unsub, pub, data, key, msg, auth, id }) {
    const named = sub ?? pub ?? auth;
    const verb = sub !== void 0 ? "sub" : pub !== void 0 ? "pub" : "auth";
    const refused = named === void 0 ? void 0 : this.#options.refuse?.(verb, named);
    if (refused) return { frame: { error: fault(refused) } };
    if (sub !== void 0) return this.#subscribe(socket, sub, since, last ?? 0, presence);
    if (pub !== void 0) {
      const { keys } = this.#topic(pub);
      const known = key === void 0 ? void 0 : keys.get(key);
      if (known) return { frame: { ok: { seq: known, duplicate: true } } };
      const seq = this.publish(pub, data);
      if (key !== void 0) keys.set(key, seq);
      return { frame: { ok: { seq } } };
    }
    if (unsub !== void 0) socket.a.delete(unsub);
    else if (auth !== void 0) socket.c = auth;
    else return this.#message(msg, id);
    return { frame: { ok: {} } };
  }
  #message(msg, id) {
    if (id === void 0) {
      this.#options.onMessage?.(msg);
      return { frame: {} };
    }
    if (!this.#options.onRequest) return { frame: { error: fault("unsupported") } };
    try {
      return { frame: { ok: this.#options.onRequest(msg) ?? null } };
    } catch (error) {
      return { frame: { error: fault(error.code ?? "internal") } };
    }
  }
  #subscribe(socket, name, since, last, presence) {
    const { epoch, seq, kept, here } = this.#topic(name);
    socket.a.add(name);
    const low = kept[0]?.seq ?? seq + 1;
    const ok = { epoch, seq };
    if (since) {
      const why = since[0] !== epoch ? "epoch" : since[1] > seq ? "ahead" : since[1] >= low - 1 ? void 0 : kept.length ? "evicted" : "off";
      ok.from = why ? seq : since[1];
      ok.recovered = !why;
      if (why) ok.why = why;
    }
    if (last && !ok.recovered) ok.from = Math.max(low - 1, seq - last);
    if (presence) ok.here = { n: Object.keys(here).length, in: here };
    return { frame: { ok }, behind: kept.filter((message) => message.seq > (ok.from ?? seq)).map((message) => message.frame) };
  }
};
var fault = (code) => ({ code, message: code, retry: ["busy", "shutting_down", "unavailable"].includes(code) });
var FakeSocket = class {
  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
    this.c = protocols[1]?.replace("bearer.", "");
  }
  url;
  protocols;
  binaryType = "blob";
  protocol = "";
  readyState = 0;
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  /** @internal */
  a = /* @__PURE__ */ new Set();
  /** @internal */
  c;
  /** @internal */
  b = [];
  #awake = false;
  send(data) {
    if (this.readyState === 1) queueMicrotask(() => this.e(data));
  }
  close() {
    this.readyState = 3;
  }
  /** @internal */
  e(_) {
  }
  /** @internal Hands on one frame in each microtask, whatever a handler throws. */
  d() {
    if (this.#awake) return;
    this.#awake = true;
    queueMicrotask(() => {
      this.#awake = false;
      const next = this.b.shift();
      if (this.b.length) this.d();
      next?.();
    });
  }
};
