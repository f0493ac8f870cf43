// What the tests share: a clock that stands still, and sockets whose server is the test.
import { Tank } from "../dist/tank.js";

const { setTimeout: realSetTimeout, clearTimeout: realClearTimeout, setImmediate } = globalThis;
const realNow = Date.now;

/** settle waits until all promises have come to rest. */
export const settle = () => new Promise((done) => setImmediate(() => setImmediate(done)));

let lastTimer = 1e6; // no number twice, also in other tests

/** Clock replaces the timers of the program until it ends. */
export class Clock {
  now = 1_000_000;
  #timers = new Map();

  constructor() {
    globalThis.setTimeout = (f, ms = 0) => {
      this.#timers.set(++lastTimer, { f, at: this.now + Math.ceil(ms) });
      this.longest = Math.max(this.longest, ms);
      return lastTimer;
    };
    globalThis.clearTimeout = (id) => this.#timers.delete(id);
    Date.now = () => this.now;
  }
  end() {
    Object.assign(globalThis, { setTimeout: realSetTimeout, clearTimeout: realClearTimeout });
    Date.now = realNow;
  }
  /** longest is the longest time that a timer was set to, in ms. */
  longest = 0;
  get pending() {
    return this.#timers.size;
  }
  /** pass lets time pass, timer by timer. */
  async pass(ms) {
    const end = this.now + ms;
    await settle();
    for (;;) {
      const [id, next] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (!next || next.at > end) break;
      this.#timers.delete(id);
      this.now = Math.max(this.now, next.at);
      next.f();
      await settle();
    }
    this.now = end;
  }
  /** next lets pass what is left until the next timer. */
  async next() {
    await settle();
    await this.pass(Math.max(0, Math.min(...[...this.#timers.values()].map((timer) => timer.at)) - this.now));
  }
  /** sleep is a computer that sleeps: the time is gone, and no timer has fired. */
  sleep(ms) {
    this.now += ms;
  }
}

/** sockets returns a class of sockets and the list of those that were made. */
export function sockets() {
  const made = [];
  class Socket {
    readyState = 0;
    protocol = "";
    sent = []; // frames, parsed, without probes
    probes = 0;
    closes = []; // the arguments of close
    onopen = null; onmessage = null; onclose = null; onerror = null;

    constructor(url, protocols) {
      Object.assign(this, { url, protocols });
      made.push(this);
    }
    send(data) {
      if (this.readyState !== 1) throw new Error("sent on a socket that is not open");
      const frame = typeof data === "string" ? JSON.parse(data) : data;
      if (frame.id === Number.MAX_SAFE_INTEGER) this.probes++;
      else this.sent.push(frame);
    }
    close(code) {
      this.closes.push(code);
      this.readyState = 2; // its close event may come much later
    }

    // What the server does.
    open(protocol = "tank.v2") {
      Object.assign(this, { readyState: 1, protocol });
      this.onopen?.({});
    }
    hear(...frames) {
      for (const frame of frames) this.onmessage?.({ data: frame instanceof ArrayBuffer ? frame : JSON.stringify(frame) });
    }
    hello(ping = 25) {
      this.open();
      this.hear({ hello: { v: 2, client: "c" + made.length, user: "alice", ping } });
    }
    /** answer answers the oldest command that has no answer yet, and returns it. */
    answer(ok) {
      const command = this.take();
      this.hear({ id: command.id, ok });
      return command;
    }
    refuse(code, retry = false) {
      const command = this.take();
      this.hear({ id: command.id, error: { code, message: code, retry } });
      return command;
    }
    take() {
      const command = this.sent.shift();
      if (!command) throw new Error("nothing was sent");
      return command;
    }
    lose(code = 1006, reason = "") {
      this.readyState = 3;
      this.onclose?.({ code, reason });
    }
  }
  return { Socket, made };
}

/** start returns a tank on sockets of the test, a log of what it says, and the means to go on. */
export async function start(t, options = {}) {
  const clock = new Clock();
  const { Socket, made } = sockets();
  const states = [];
  const errors = [];
  const tank = new Tank("ws://example.test/ws", {
    WebSocket: Socket,
    onState: (state, info) => states.push({ state, ...info }),
    onError: (error) => errors.push(error),
    ...options,
  });
  t.after(async () => {
    tank.close();
    await clock.pass(0);
    clock.end();
  });
  await settle();
  return { tank, clock, made, states, errors, last: () => made.at(-1) };
}

/** startOpen is start, and the first connection is there. */
export async function startOpen(t, options = {}, ping = 25) {
  const world = await start(t, options);
  world.last().hello(ping);
  return { ...world, socket: world.last() };
}

/** log subscribes and returns what the handlers get, in order, beside the subscription. */
export function log(tank, topic, options = {}) {
  const calls = [];
  const subscription = tank.subscribe(topic, {
    onMessage: (m) => calls.push(["message", m.seq, m.data]),
    onJoin: (j) => calls.push(["join", j.recovered, j.why, j.position]),
    onGap: (g) => calls.push(["gap", g.why, g.from, g.to, g.missed]),
    onPresence: (p) => calls.push(["presence", p.n, Object.fromEntries(p.users)]),
    onEnd: (e) => calls.push(["end", e.code]),
    ...options,
  });
  return { subscription, calls, take: () => calls.splice(0) };
}
