import assert from "node:assert/strict";
import { test } from "node:test";
import { Tank } from "../dist/tank.js";
import { log, settle, sockets, start, startOpen } from "./help.mjs";

test("the first socket offers tank.v2 and the token", async (t) => {
  const { made, tank, last } = await start(t, { token: "abc" });
  assert.deepEqual(made.map((s) => [s.url, s.protocols]), [["ws://example.test/ws", ["tank.v2", "bearer.abc"]]]);
  assert.equal(tank.state, "connecting");
  last().open();
  assert.equal(tank.state, "connecting", "before hello");
  last().hello();
  assert.equal(tank.state, "open");
  assert.equal(tank.user, "alice");
  assert.equal(tank.client, "c1");
});

test("a url may begin with http, and be relative to the page", async (t) => {
  const { clock } = await start(t);
  const { Socket, made } = sockets();
  globalThis.location = { href: "https://example.test/page/" };
  t.after(() => delete globalThis.location);
  const tanks = ["/ws", new URL("http://example.test/ws")].map((url) => new Tank(url, { WebSocket: Socket }));
  await settle();
  for (const tank of tanks) tank.close();
  await clock.pass(0);
  assert.deepEqual(made.map((s) => s.url), ["wss://example.test/ws", "ws://example.test/ws"]);
});

test("mistakes in the constructor are thrown there", () => {
  assert.throws(() => new Tank("not a url", { WebSocket: class {} }), TypeError);
  const { WebSocket } = globalThis;
  delete globalThis.WebSocket;
  assert.throws(() => new Tank("ws://example.test"), /WebSocket/);
  if (WebSocket) globalThis.WebSocket = WebSocket;
});

test("an option that is undefined is none", async (t) => {
  const { clock } = await start(t);
  const { Socket, made } = sockets();
  const { WebSocket } = globalThis;
  globalThis.WebSocket = Socket;
  t.after(() => (WebSocket ? (globalThis.WebSocket = WebSocket) : delete globalThis.WebSocket));
  const tank = new Tank("ws://example.test", { WebSocket: undefined });
  await settle();
  assert.equal(made.length, 1);
  tank.close();
  await clock.pass(0);
});

test("a token is fetched anew for each attempt", async (t) => {
  let n = 0;
  const { made, clock, last, states } = await start(t, { token: async () => "t" + ++n });
  last().lose();
  await clock.next();
  last().hello();
  last().lose(3000, "credentials expired");
  await clock.next();
  assert.deepEqual(made.map((s) => s.protocols[1]), ["bearer.t1", "bearer.t2", "bearer.t3"]);
  assert.deepEqual(states.map((s) => s.state), ["waiting", "connecting", "open", "waiting", "connecting"]);
});

test("a token that fails, or never comes, is a failed attempt", async (t) => {
  const tokens = [() => Promise.reject(new Error("no session")), () => { throw new Error("thrown"); }, () => new Promise(() => {}), () => ""];
  const { made, clock, states } = await start(t, { token: () => tokens.shift()() });
  assert.equal(states.at(-1).reason, "Error: no session");
  await clock.next();
  assert.equal(states.at(-1).reason, "Error: thrown");
  await clock.next();
  assert.equal(states.at(-1).state, "connecting");
  await clock.pass(10_000);
  assert.equal(states.at(-1).state, "waiting");
  await clock.next();
  assert.deepEqual(made.map((s) => s.protocols), [["tank.v2"]]);
});

test("a token that comes late is of no use", async (t) => {
  const waiting = [];
  const { made, clock } = await start(t, { token: () => new Promise((done) => waiting.push(done)) });
  await clock.pass(10_000);
  await clock.next();
  assert.equal(waiting.length, 2);
  waiting[0]("late");
  await settle();
  assert.equal(made.length, 0);
  waiting[1]("right");
  await settle();
  assert.deepEqual(made.map((s) => s.protocols[1]), ["bearer.right"]);
});

test("a token that expires is replaced on the open connection", async (t) => {
  let n = 0;
  const { socket, errors } = await startOpen(t, { token: () => "t" + ++n });
  socket.hear({ expires: 60 });
  await settle();
  const { auth } = socket.answer({});
  assert.equal(auth, "t2");
  socket.hear({ expires: 60 });
  await settle();
  socket.refuse("unsupported");
  assert.deepEqual(errors.map((e) => e.code), ["unsupported"]);
});

test("delays are random below a ceiling that doubles from 0.5 s to 20 s", async (t) => {
  const { clock, last, states } = await start(t);
  t.mock.method(Math, "random", () => 0.5);
  for (let i = 0; i < 8; i++) {
    last().lose();
    await clock.next();
  }
  const delays = states.filter((s) => s.state === "waiting").map((s) => s.delay);
  assert.deepEqual(delays, [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
});

test("only a connection that has lasted 10 s makes the next loss the first", async (t) => {
  const { clock, last, states } = await start(t);
  t.mock.method(Math, "random", () => 1);
  const delays = () => states.filter((s) => s.state === "waiting").map((s) => s.delay);
  for (let i = 0; i < 3; i++) {
    last().hello();
    last().lose();
    await clock.next();
  }
  assert.deepEqual(delays(), [500, 1_000, 2_000]);
  last().hello();
  await clock.pass(10_001);
  last().lose();
  assert.equal(delays().at(-1), 500);
});

test("bye sets the delay of one attempt", async (t) => {
  const { clock, last, states } = await start(t);
  t.mock.method(Math, "random", () => 0.5);
  last().hello();
  last().hear({ bye: { code: 1001, within: 8_000 } });
  last().lose(1001, "server is shutting down, please reconnect");
  assert.deepEqual(states.at(-1), { state: "waiting", code: 1001, reason: "server is shutting down, please reconnect", delay: 4_000 });
  await clock.pass(4_000);
  last().lose();
  assert.equal(states.at(-1).delay, 250);
});

for (const [code, comesBack] of [
  [1000, false], [1001, true], [1002, false], [1005, true], [1006, true], [1007, false], [1008, true], [1009, true], [1011, true], [1013, true],
  [3000, true], [3003, false], [4000, false], [4001, true], [4999, false],
]) {
  test(`close code ${code}: ${comesBack ? "comes back" : "stays closed"}`, async (t) => {
    const { clock, made, tank, socket } = await startOpen(t, { reconnect: (code, reason) => code === 4001 && reason === "later" });
    const news = log(tank, "news");
    socket.lose(code, "later");
    if (comesBack) await clock.next();
    else await clock.pass(100_000);
    assert.equal(made.length, comesBack ? 2 : 1);
    assert.equal(tank.state, comesBack ? "connecting" : "closed");
    assert.deepEqual(news.take(), comesBack ? [] : [["end", "closed"]]);
  });
}

test("reconnect may call the tank, which has no connection then", async (t) => {
  let publication;
  const { errors, socket, tank } = await startOpen(t, {
    reconnect: () => {
      publication = tank.publish("news", 1);
      tank.subscribe("news");
      tank.connect();
      return true;
    },
  });
  socket.lose(4000);
  await assert.rejects(publication, { code: "offline" });
  assert.deepEqual(errors, []);
  assert.equal(tank.state, "waiting");
});

test("a handshake without hello fails after 10 s", async (t) => {
  const { clock, made, states, last } = await start(t);
  await clock.pass(9_999);
  assert.equal(states.length, 0);
  await clock.pass(1);
  assert.equal(states.at(-1).state, "waiting");
  assert.equal(made[0].closes.length, 1);
  await clock.next();
  last().open(); // open, but no hello
  await clock.pass(10_000);
  assert.equal(states.at(-1).reason, "no answer to the handshake");
});

test("a handshake that fails without a close event, as in Node 22, is lost at once", async (t) => {
  const { clock, last, made, states } = await start(t);
  last().onerror({});
  assert.deepEqual([states.at(-1).state, states.at(-1).code], ["waiting", 1006]);
  await clock.next();
  last().hello();
  last().onerror({}); // before a close event, which has the code
  made[0].onerror({}); // of a socket that was let go of
  assert.equal(states.at(-1).state, "open");
  last().lose(1002);
  assert.deepEqual([states.at(-1).state, states.at(-1).code, made.length], ["closed", 1002, 2]);
});

test("a server that selects another subprotocol is no server of this client", async (t) => {
  const { states, last, tank } = await start(t);
  last().open("chat");
  assert.equal(tank.state, "closed");
  assert.equal(states.at(-1).code, 1002);
});

test("a silent server is noticed within ping + 10 s, and is asked before", async (t) => {
  const { clock, socket, states } = await startOpen(t);
  await clock.pass(20_000);
  socket.hear({}); // the watchdog begins anew
  await clock.pass(29_999);
  assert.equal(socket.probes, 0);
  await clock.pass(1);
  assert.equal(socket.probes, 1);
  await clock.pass(4_999);
  assert.equal(states.at(-1).state, "open");
  await clock.pass(1);
  assert.deepEqual([states.at(-1).state, states.at(-1).code], ["waiting", 1006]);
});

test("timers that are late, as in a page in the background, are no loss", async (t) => {
  const { clock, socket, tank } = await startOpen(t);
  for (let minute = 0; minute < 5; minute++) { // timers fire once a minute, and messages come before and behind
    clock.sleep(35_000);
    socket.hear({});
    clock.sleep(25_000);
    await clock.pass(0);
    socket.hear({});
    await clock.pass(0);
  }
  assert.equal(tank.state, "open");
  assert.equal(socket.probes, 0);
});

test("a computer that slept asks before it gives its connection up", async (t) => {
  const { clock, socket, tank } = await startOpen(t);
  clock.sleep(3_600_000);
  await clock.pass(0); // the overdue timer comes before the messages that wait
  assert.equal(tank.state, "open");
  assert.equal(socket.probes, 1);
  socket.hear({ id: Number.MAX_SAFE_INTEGER, error: { code: "invalid_topic", message: "", retry: false } });
  await clock.pass(29_000);
  assert.equal(tank.state, "open");
});

test("a timer alone never renews the time limit", async (t) => {
  const { clock, tank, made } = await startOpen(t);
  await clock.pass(35_000);
  assert.notEqual(tank.state, "open");
  assert.equal(made[0].closes.length, 1);
});

test("a dead socket is abandoned at once, and its close event 60 s later is not heard", async (t) => {
  const { clock, socket, states, last, made } = await startOpen(t);
  await clock.pass(35_000);
  assert.equal(socket.readyState, 2); // its close event has not come
  await clock.next();
  assert.equal(made.length, 2);
  last().hello();
  await clock.pass(25_000);
  last().hear({});
  const before = states.length;
  socket.lose(1006);
  socket.hear(["news", 1, "late"]);
  assert.equal(states.length, before);
});

function page(t) {
  const listeners = new Map();
  const target = { addEventListener: (type, f) => listeners.set(type, f), removeEventListener: (type, f) => listeners.get(type) === f && listeners.delete(type) };
  Object.assign(globalThis, target, { document: { hidden: false, ...target } });
  t.after(() => {
    for (const name of ["addEventListener", "removeEventListener", "document"]) delete globalThis[name];
  });
  return { listeners, fire: (type) => listeners.get(type)({ type }) };
}

test("online, and becoming visible, end a wait", async (t) => {
  const { fire } = page(t);
  const { last, made, states } = await start(t);
  for (const event of ["online", "visibilitychange"]) {
    last().lose();
    assert.equal(states.at(-1).state, "waiting");
    document.hidden = true;
    fire("visibilitychange");
    assert.equal(states.at(-1).state, "waiting", "hidden");
    document.hidden = false;
    fire(event);
    await settle();
    assert.equal(states.at(-1).state, "connecting");
  }
  assert.equal(made.length, 3);
});

test("online ends the wait of a hidden page, too", async (t) => {
  const { fire } = page(t);
  const { last, states } = await start(t);
  document.hidden = true;
  last().lose();
  fire("online");
  assert.equal(states.at(-1).state, "connecting");
});

test("an attempt that comes too soon after online is repeated soon", async (t) => {
  const { fire } = page(t);
  const { clock, last, states } = await start(t);
  t.mock.method(Math, "random", () => 1);
  for (let i = 0; i < 8; i++) {
    last().lose();
    await clock.next();
  }
  last().lose();
  assert.equal(states.at(-1).delay, 20_000);
  fire("online");
  await settle();
  last().lose(); // the network is not quite there
  assert.equal(states.at(-1).delay, 500);
});

test("online, and becoming visible, make an open connection show that it is alive", async (t) => {
  const { fire } = page(t);
  const { clock, socket, states } = await startOpen(t);
  fire("online");
  assert.equal(socket.probes, 1);
  socket.hear({ id: Number.MAX_SAFE_INTEGER, error: {} });
  await clock.pass(10_000);
  assert.equal(states.at(-1).state, "open");
  fire("visibilitychange");
  await clock.pass(5_000);
  assert.equal(states.at(-1).state, "waiting");
});

test("connect ends a wait, and makes an open connection show that it is alive", async (t) => {
  const { clock, last, made, states, tank } = await start(t);
  tank.connect();
  await settle();
  assert.equal(made.length, 1, "an attempt is under way");
  last().lose();
  tank.connect();
  await settle();
  assert.equal(made.length, 2);
  last().hello();
  tank.connect();
  assert.equal(last().probes, 1);
  await clock.pass(5_000);
  assert.equal(states.at(-1).state, "waiting");
  tank.close();
  await clock.pass(0);
  tank.connect();
  await settle();
  assert.deepEqual([tank.state, made.length], ["closed", 2]);
});

test("who calls connect again and again does not put a loss off", async (t) => {
  const { clock, socket, tank } = await startOpen(t);
  for (let i = 0; i < 5; i++) {
    tank.connect();
    await clock.pass(1_000);
  }
  assert.equal(socket.probes, 1);
  assert.equal(tank.state, "waiting");
});

test("a heartbeat of months is watched, too", async (t) => {
  const { clock, socket } = await startOpen(t, {}, 10_000_000);
  await clock.pass(1_000);
  assert.equal(socket.probes, 0);
  assert.ok(clock.longest < 2 ** 31, "timers take no more");
});

test("close takes effect one task later, and leaves nothing behind", async (t) => {
  const { listeners } = page(t);
  const { clock, socket, states, tank } = await startOpen(t);
  assert.equal(listeners.size, 2);
  tank.close();
  tank.close();
  assert.equal(tank.state, "open");
  await clock.pass(0);
  assert.equal(tank.state, "closed");
  assert.deepEqual(socket.closes, [1000]);
  assert.equal(listeners.size, 0);
  assert.equal(clock.pending, 0);
  tank.close();
  await clock.pass(100_000);
  assert.deepEqual(states.map((s) => s.state), ["open", "closed"]);
});

test("a component that is mounted, unmounted and mounted again opens one socket", async (t) => {
  const { clock, made, tank } = await start(t);
  const { Socket, made: others } = sockets();
  const mount = () => {
    const tank = new Tank("ws://example.test", { WebSocket: Socket });
    return () => tank.close();
  };
  mount()();
  const unmount = mount();
  await clock.pass(1);
  assert.equal(others.length, 1);
  unmount();
  await clock.pass(1);
  // A tank that outlives the component: what is subscribed to in the same task takes the close back.
  made[0].hello();
  const mountShared = () => {
    const s = tank.subscribe("news");
    return () => { s.close(); tank.close(); };
  };
  mountShared()();
  mountShared();
  await clock.pass(10);
  assert.equal(tank.state, "open");
  assert.deepEqual(made.map((s) => s.sent), [[{ id: 1, sub: "news" }]]);
});

test("close ends the subscriptions at once, also when it is taken back", async (t) => {
  const { clock, socket, tank } = await startOpen(t);
  const first = log(tank, "news");
  socket.answer({ epoch: "E", seq: 0 });
  first.take();
  tank.close();
  assert.equal(first.subscription.closed, true);
  const second = log(tank, "news");
  await clock.pass(10);
  socket.hear(["news", 1, "once"]);
  assert.deepEqual([first.calls, second.calls.map(([what]) => what)], [[], ["join", "message"]]);
  assert.deepEqual([tank.state, socket.sent], ["open", []]);
});

test("a close before the first socket that is taken back opens one", async (t) => {
  const { clock } = await start(t);
  const { Socket, made } = sockets();
  const tank = new Tank("ws://example.test", { WebSocket: Socket });
  tank.close();
  await Promise.resolve(); // the token has come, and nothing is opened
  await Promise.resolve();
  tank.subscribe("news");
  await clock.pass(0);
  assert.equal(made.length, 1);
  tank.close();
  await clock.pass(0);
});

test("a closed tank refuses what is asked of it", async (t) => {
  const { clock, tank } = await startOpen(t);
  tank.close();
  await clock.pass(0);
  const news = log(tank, "news");
  await settle();
  assert.deepEqual(news.take(), [["end", "closed"]]);
  await assert.rejects(tank.publish("news", 1), { code: "closed", retry: false });
  assert.equal(tank.send("x"), false);
});

test("the application's messages are handed on", async (t) => {
  const got = [];
  const { socket, tank } = await startOpen(t, { onMessage: (m) => got.push(m) });
  socket.hear({ msg: "text" }, { msg: null }, { msg: { a: 1 } }, new Uint8Array([1, 2]).buffer);
  assert.deepEqual(got.slice(0, 3), ["text", null, { a: 1 }]);
  assert.deepEqual([...new Uint8Array(got[3])], [1, 2]);
  assert.equal(tank.send({ b: 2 }), true);
  assert.equal(tank.send(new Uint8Array([3])), true);
  assert.deepEqual(socket.sent, [{ msg: { b: 2 } }, new Uint8Array([3])]);
});

test("interrupted is told, and ends with the connection", async (t) => {
  const { socket, tank, states } = await startOpen(t);
  socket.hear({ interrupted: true });
  assert.equal(tank.interrupted, true);
  assert.deepEqual(states.map((s) => s.state), ["open", "open"]);
  socket.hear({ interrupted: false });
  assert.equal(tank.interrupted, false);
  socket.hear({ interrupted: true });
  socket.lose();
  assert.equal(tank.interrupted, false);
});

test("frames and members that are not known are ignored", async (t) => {
  const { socket, tank, errors } = await startOpen(t);
  const news = log(tank, "news");
  socket.answer({ epoch: "E", seq: 1, color: "blue" });
  socket.hear({ weather: "fine" }, { topic: "news", color: 1 }, { topic: "other", reset: { epoch: "E", seq: 1 } }, { id: 77, ok: {} }, null, 5,
    ["other", 1, "x"], ["news", 2, "two", { weight: 3 }, "fifth"]);
  assert.deepEqual(news.take(), [["join", false, undefined, ["E", 1]], ["message", 2, "two"]]);
  assert.deepEqual(errors.filter((e) => !(e instanceof TypeError)), []);
});

test("an error without an id is reported", async (t) => {
  const { socket, errors } = await startOpen(t);
  socket.hear({ error: { code: "unsupported", message: "no handler", retry: false } });
  assert.deepEqual(errors.map((e) => [e.code, e.message]), [["unsupported", "no handler"]]);
});

/** browserReport is reportError of a browser, which refuses any `this` but the global one. */
function browserReport(t) {
  const reported = [];
  globalThis.reportError = function (error) {
    if (this !== undefined && this !== globalThis) throw new TypeError("Illegal invocation");
    reported.push(error);
  };
  t.after(() => delete globalThis.reportError);
  return reported;
}

test("without onError, a browser reports errors that answer nothing, and those of a token", async (t) => {
  const reported = browserReport(t);
  let n = 0;
  const token = () => {
    if (n++) throw new Error("no session");
    return "t";
  };
  const { socket } = await startOpen(t, { onError: undefined, token });
  socket.hear({ error: { code: "unsupported", message: "no handler", retry: false } }, { expires: 60 });
  await settle();
  assert.deepEqual(reported.map((e) => e.message), ["no handler", "no session"]);
});

test("a renewal whose answer is lost is reported, and the others hear of the loss", async (t) => {
  const reported = browserReport(t);
  const { socket, tank, states } = await startOpen(t, { onError: undefined, token: "abc" });
  socket.hear({ expires: 60 });
  await settle();
  const expected = assert.rejects(tank.request(1), { code: "lost" });
  socket.lose();
  await expected;
  assert.equal(states.at(-1).state, "waiting");
  assert.deepEqual(reported.map((e) => e.code), ["lost"]);
});

test("an onError that throws harms nobody", async (t) => {
  const thrown = [];
  const listeners = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", (error) => thrown.push(error.message));
  t.after(() => {
    process.removeAllListeners("unhandledRejection");
    for (const listener of listeners) process.on("unhandledRejection", listener);
  });
  const bad = () => { throw new Error("bad"); };
  const { socket, states, tank } = await startOpen(t, { onError: (error) => { throw error; }, reconnect: bad });
  log(tank, "news", { onMessage: bad });
  const good = log(tank, "news");
  socket.answer({ epoch: "E", seq: 0 });
  socket.hear(["news", 1, "a"]);
  socket.lose(4000);
  await settle();
  assert.deepEqual(good.take().map((c) => c[0]), ["join", "message", "end"]);
  assert.equal(states.at(-1).state, "closed");
  assert.deepEqual(thrown, ["bad", "bad"]);
});
