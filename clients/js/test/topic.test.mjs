import assert from "node:assert/strict";
import { test } from "node:test";
import { log, settle, startOpen } from "./help.mjs";

const E = "E";

/** joined is an open connection with a subscription to news that stands at 10. */
async function joined(t, options = {}) {
  const world = await startOpen(t);
  const news = log(world.tank, "news", options);
  world.socket.answer({ epoch: E, seq: 10 });
  news.take();
  return { ...world, news };
}

/** reconnect loses the connection, and opens the next one. */
async function reconnect({ clock, last }) {
  last().lose();
  await clock.next();
  last().hello();
}

test("a subscription made before the connection is sent with it", async (t) => {
  const { tank, last, clock, socket } = await startOpen(t);
  socket.lose();
  const news = log(tank, "news", { last: 5 });
  await clock.next();
  last().hello();
  assert.deepEqual(last().answer({ epoch: E, seq: 10, from: 8 }), { id: 1, sub: "news", last: 5 });
  last().hear(["news", 9, "nine"]);
  assert.deepEqual(news.take(), [["join", false, undefined, [E, 8]], ["message", 9, "nine"]]);
});

test("the position moves before handlers run", async (t) => {
  const { tank, socket } = await startOpen(t);
  const seen = [];
  const s = tank.subscribe("news", {
    onJoin: () => seen.push(s.position),
    onMessage: (m) => seen.push(s.position, m.position),
    onGap: () => seen.push(s.position),
  });
  assert.equal(s.position, undefined);
  socket.answer({ epoch: E, seq: 10 });
  socket.hear(["news", 11, "x"], { topic: "news", lost: 2, seq: 13 });
  assert.deepEqual(seen, [[E, 10], [E, 11], [E, 11], [E, 13]]);
});

test("publications before the answer are ignored, messages to this client alone are not", async (t) => {
  const { tank, socket } = await startOpen(t);
  const news = log(tank, "news");
  socket.hear(["news", 0, "alone"], ["news", 7, "early"]);
  socket.answer({ epoch: E, seq: 7 });
  socket.hear(["news", 0, "alone again"], ["news", 7, "seen"], ["news", 8, "eight"]);
  assert.deepEqual(news.take(), [["message", 0, "alone"], ["join", false, undefined, [E, 7]], ["message", 0, "alone again"], ["message", 8, "eight"]]);
  assert.deepEqual(news.subscription.position, [E, 8]);
});

test("a message says who published it", async (t) => {
  const { socket, tank } = await joined(t);
  const froms = [];
  tank.subscribe("news", { onMessage: (m) => froms.push(m.from) });
  await settle();
  socket.hear(["news", 11, 1, { from: "ann" }], ["news", 12, 1]);
  assert.deepEqual(froms, ["ann", undefined]);
});

test("since and last are sent", async (t) => {
  const { tank, socket } = await startOpen(t);
  log(tank, "a", { since: [E, 3], last: 5 });
  log(tank, "b", { since: null });
  assert.deepEqual(socket.sent, [{ id: 1, sub: "a", since: [E, 3], last: 5 }, { id: 2, sub: "b" }]);
});

test("a new connection resumes, and says whether something is missing", async (t) => {
  const world = await joined(t);
  const { news, last } = world;
  last().hear(["news", 11, "x"]);
  news.take();
  await reconnect(world);
  assert.deepEqual(last().answer({ epoch: E, seq: 12, from: 11, recovered: true }).since, [E, 11]);
  last().hear(["news", 12, "y"]);
  assert.deepEqual(news.take(), [["join", true, undefined, [E, 11]], ["message", 12, "y"]]);
  await reconnect(world);
  assert.deepEqual(last().answer({ epoch: "F", seq: 2, from: 2, recovered: false, why: "epoch" }).since, [E, 12]);
  last().hear(["news", 3, "z"]);
  assert.deepEqual(news.take(), [["join", false, "epoch", ["F", 2]], ["message", 3, "z"]]);
});

test("last applies again when a new connection does not recover", async (t) => {
  const world = await startOpen(t);
  const news = log(world.tank, "news", { last: 3 });
  world.socket.answer({ epoch: E, seq: 10, from: 7 });
  await reconnect(world);
  news.take();
  const { since, last } = world.last().answer({ epoch: "F", seq: 5, from: 2, recovered: false, why: "epoch" });
  assert.deepEqual([since, last], [[E, 7], 3]);
  world.last().hear(["news", 3, "c"]);
  assert.deepEqual(news.take(), [["join", false, "epoch", ["F", 2]], ["message", 3, "c"]]);
});

test("a jump is healed with one sub, and what comes before the answer is ignored", async (t) => {
  const { socket, news } = await joined(t);
  socket.hear(["news", 11, "a"], ["news", 13, "c"], ["news", 14, "d"]);
  assert.deepEqual(socket.sent, [{ id: 2, sub: "news", since: [E, 11] }]);
  socket.answer({ epoch: E, seq: 14, from: 11, recovered: true });
  socket.hear(["news", 12, "b"], ["news", 13, "c"], ["news", 14, "d"], ["news", 15, "e"]);
  assert.deepEqual(news.take().map((c) => c[2]), ["a", "b", "c", "d", "e"]);
});

test("a jump that cannot be healed is told once", async (t) => {
  const { socket, news } = await joined(t);
  socket.hear(["news", 13, "c"]);
  socket.answer({ epoch: E, seq: 14, from: 14, recovered: false, why: "off" });
  socket.hear(["news", 15, "e"]);
  assert.deepEqual(news.take(), [["gap", "off", [E, 10], [E, 14], undefined], ["message", 15, "e"]]);
});

test("numbers that nothing has, in what an answer replays, are asked for once", async (t) => {
  const { tank, socket } = await startOpen(t);
  const news = log(tank, "news", { last: 20 });
  socket.answer({ epoch: E, seq: 3, from: 0 });
  socket.hear(["news", 1, "one"], ["news", 3, "three"]); // 2 is a gap of a broker
  assert.deepEqual(socket.sent, []);
  socket.hear({ topic: "news", gap: { seq: 5 } });
  socket.answer({ epoch: E, seq: 5, from: 0, recovered: false, why: "unknown" });
  socket.hear(["news", 1, "one"], ["news", 3, "three"], ["news", 4, "four"], ["news", 6, "six"]);
  assert.deepEqual(socket.sent, []);
  socket.hear(["news", 8, "eight"]); // 7 was not seen, and no answer has said that it is missing
  assert.deepEqual(socket.answer({ epoch: E, seq: 8, from: 6, recovered: true }).since, [E, 6]);
  assert.deepEqual(news.take().filter(([what]) => what === "message").map((c) => c[1]), [1, 3, 1, 3, 4, 6]);
});

test("prev explains numbers that are not there", async (t) => {
  const { socket, news } = await joined(t);
  socket.hear(["news", 15, "a", { prev: 10 }], ["news", 20, "b", { prev: 18 }]);
  assert.deepEqual(news.take(), [["message", 15, "a"]]);
  assert.deepEqual(socket.sent, [{ id: 2, sub: "news", since: [E, 15] }]);
});

test("a position between two numbers is no jump", async (t) => {
  const { socket, news } = await joined(t);
  socket.hear(["news", 12, "a", { prev: 11 }]); // who has 10 lacks 11
  assert.deepEqual(socket.answer({ epoch: E, seq: 30, from: 10, recovered: true }).since, [E, 10]); // and now it stands at 30, where nothing is
  socket.hear(["news", 11, "z"], ["news", 12, "a"], ["news", 40, "b", { prev: 30 }], ["news", 50, "c", { prev: 40 }]);
  assert.deepEqual(news.take().map((c) => c[2]), ["z", "a", "b", "c"]);
  assert.deepEqual(socket.sent, []);
  socket.hear(["news", 70, "e", { prev: 60 }]);
  assert.deepEqual(socket.answer({ epoch: E, seq: 70, from: 50, recovered: true }).since, [E, 50]);
});

test("gaps: report tells a jump and goes on", async (t) => {
  const { socket, news } = await joined(t, { gaps: "report" });
  socket.hear(["news", 13, "c"], { topic: "news", gap: { seq: 20 } });
  assert.deepEqual(news.take(), [["gap", "jump", [E, 10], [E, 12], undefined], ["message", 13, "c"], ["gap", "gap", [E, 13], [E, 19], undefined]]);
  assert.deepEqual(news.subscription.position, [E, 19]);
  socket.hear(["news", 20, "j"], { topic: "news", gap: { seq: 21 } }, { topic: "news", gap: { seq: 15 } });
  assert.deepEqual(news.take(), [["message", 20, "j"]]); // told once, and not where nothing is missing
  assert.deepEqual(socket.sent, []);
});

test("gaps: report, and a subscription that ends there stands behind the gap", async (t) => {
  const { socket, news } = await joined(t, { gaps: "report", onGap: ({ to }) => {
    assert.deepEqual(news.subscription.position, to);
    news.subscription.close();
  } });
  socket.hear(["news", 13, "c"]);
  assert.deepEqual(news.take(), []);
  assert.deepEqual(news.subscription.position, [E, 12]);
});

test("gaps: ignore goes on", async (t) => {
  const { socket, news } = await joined(t, { gaps: "ignore" });
  socket.hear(["news", 13, "c"], { topic: "news", gap: { seq: 20 } }, { topic: "news", lost: 3, seq: 16 }, ["news", 17, "d"]);
  assert.deepEqual(news.take(), [["message", 13, "c"], ["message", 17, "d"]]);
  assert.deepEqual(socket.sent, []);
});

test("what lost told is not healed", async (t) => {
  const { socket, news } = await joined(t);
  socket.hear({ topic: "news", lost: 4, seq: 14 }, ["news", 15, "x"]);
  assert.deepEqual(news.take(), [["gap", "lost", [E, 10], [E, 14], 4], ["message", 15, "x"]]);
  assert.deepEqual(socket.sent, []);
});

test("lost says nothing new to who has seen it, or waits for an answer", async (t) => {
  const { socket, news } = await joined(t);
  socket.hear({ topic: "news", lost: 4, seq: 10 }, ["news", 12, "b"], { topic: "news", lost: 4, seq: 16 });
  assert.deepEqual(news.take(), []);
  socket.answer({ epoch: E, seq: 16, from: 10, recovered: true });
  socket.hear(["news", 11, "a"]);
  assert.deepEqual(news.take(), [["message", 11, "a"]]);
});

test("gap is healed", async (t) => {
  const { socket, news } = await joined(t);
  socket.hear({ topic: "news", gap: { seq: 20 } });
  assert.deepEqual(socket.answer({ epoch: E, seq: 10, from: 10, recovered: true }).since, [E, 10]);
  socket.hear(["news", 11, "x"]);
  assert.deepEqual(news.take(), [["message", 11, "x"]]);
});

test("an answer that could not be proved is no recovery", async (t) => {
  const { socket, news } = await joined(t);
  socket.hear({ topic: "news", gap: { seq: 20 } });
  socket.answer({ epoch: E, seq: 10, from: 10, recovered: false, why: "unknown" });
  assert.deepEqual(news.take(), [["gap", "unknown", [E, 10], [E, 10], undefined]]);
});

test("a reset is answered with the own position", async (t) => {
  const { socket, news } = await joined(t);
  socket.hear({ topic: "news", reset: { epoch: "F", seq: 0 } }, ["news", 1, "ignored until the answer"]);
  assert.deepEqual(socket.answer({ epoch: "F", seq: 1, from: 1, recovered: false, why: "epoch" }).since, [E, 10]);
  socket.hear(["news", 2, "b"]);
  assert.deepEqual(news.take(), [["gap", "epoch", [E, 10], ["F", 1], undefined], ["message", 2, "b"]]);
});

test("a reset during a sub needs no other one", async (t) => {
  const { tank, socket } = await startOpen(t);
  const news = log(tank, "news");
  socket.hear({ topic: "news", reset: { epoch: "F", seq: 0 } });
  assert.equal(socket.sent.length, 1);
  socket.answer({ epoch: "F", seq: 0 });
  assert.deepEqual(news.take(), [["join", false, undefined, ["F", 0]]]);
});

test("the server ends a subscription", async (t) => {
  const { socket, news, clock, tank } = await joined(t);
  socket.hear({ topic: "news", end: { code: "forbidden", message: "no", retry: false } }, ["news", 11, "late"]);
  assert.deepEqual(news.take(), [["end", "forbidden"]]);
  assert.equal(news.subscription.closed, true);
  await clock.pass(0);
  assert.deepEqual(socket.sent, [], "there is nothing to unsubscribe from");
  log(tank, "news");
  assert.deepEqual(socket.take(), { id: 2, sub: "news" });
});

test("a refusal ends who waits, and nobody else", async (t) => {
  const { socket, news, tank } = await joined(t);
  const other = log(tank, "news", { since: [E, 2] });
  socket.refuse("forbidden");
  assert.deepEqual(other.take(), [["end", "forbidden"]]);
  socket.hear(["news", 11, "x"]);
  assert.deepEqual(news.take(), [["message", 11, "x"]]);
});

test("a refusal of presence ends those who want it", async (t) => {
  const { tank, last, clock, socket } = await startOpen(t);
  socket.lose();
  const quiet = log(tank, "room");
  const room = log(tank, "room", { presence: true });
  await clock.next();
  last().hello();
  assert.equal(last().refuse("unsupported").presence, true);
  assert.deepEqual([quiet.take(), room.take()], [[], [["end", "unsupported"]]]);
  assert.deepEqual(last().answer({ epoch: E, seq: 0 }), { id: 2, sub: "room" });
  assert.deepEqual(quiet.take(), [["join", false, undefined, [E, 0]]]);
  // What is refused for all ends all, also when somebody who does not wait has presence.
  const other = [log(tank, "other"), log(tank, "other", { presence: true })];
  last().refuse("forbidden");
  last().refuse("forbidden");
  assert.deepEqual(other.map((s) => s.take()), [[["end", "forbidden"]], [["end", "forbidden"]]]);
  log(tank, "live", { presence: true });
  last().answer({ epoch: E, seq: 0, here: { n: 0, in: {} } });
  const late = log(tank, "live", { last: 1 });
  assert.equal(last().refuse("forbidden").presence, true);
  assert.deepEqual(late.take(), [["end", "forbidden"]]);
  assert.deepEqual(last().sent, []);
});

test("a refusal that passes is asked again, later and later", async (t) => {
  t.mock.method(Math, "random", () => 1);
  const { tank, socket, clock } = await startOpen(t);
  const news = log(tank, "news");
  const delays = [];
  for (let i = 0; i < 3; i++) {
    socket.refuse("busy", true);
    const before = clock.now;
    while (!socket.sent.length) {
      socket.hear(["news", 1, "does not shorten the delay"]);
      await clock.pass(100);
    }
    delays.push(clock.now - before);
  }
  assert.deepEqual(delays, [500, 1_000, 2_000]);
  socket.answer({ epoch: E, seq: 0 });
  assert.deepEqual(news.take(), [["join", false, undefined, [E, 0]]]);
});

test("a loss ends no subscription, whatever its code", async (t) => {
  const { tank, socket, clock, last } = await startOpen(t);
  const news = log(tank, "news");
  socket.lose(1009);
  await clock.next();
  last().hello();
  assert.deepEqual(last().sent, [{ id: 2, sub: "news" }], "the first was sent on the other connection");
  assert.deepEqual(news.take(), []);
});

test("a second subscription joins without a word on the wire", async (t) => {
  const { socket, news, tank } = await joined(t);
  socket.hear(["news", 11, "a"]);
  const other = log(tank, "news");
  assert.deepEqual(other.take(), [], "who subscribes has the subscription first");
  await settle();
  assert.deepEqual(other.take(), [["join", false, undefined, [E, 11]]]);
  socket.hear(["news", 12, "b"]);
  assert.deepEqual(other.take(), [["message", 12, "b"]]);
  assert.deepEqual(news.take().map((c) => c[1]), [11, 12]);
  assert.deepEqual(socket.sent, []);
});

test("subscriptions made together share one sub", async (t) => {
  const { socket, tank } = await startOpen(t);
  const one = log(tank, "news");
  const two = log(tank, "news");
  assert.equal(socket.sent.length, 1);
  socket.answer({ epoch: E, seq: 3 });
  assert.deepEqual([one.take(), two.take()], [[["join", false, undefined, [E, 3]]], [["join", false, undefined, [E, 3]]]]);
});

test("each subscription has its own position, and gets no message twice", async (t) => {
  const { socket, news, tank } = await joined(t);
  const old = log(tank, "news", { since: [E, 8] });
  const many = log(tank, "news", { last: 1 });
  assert.deepEqual(socket.sent, [{ id: 2, sub: "news", since: [E, 8] }]);
  socket.hear(["news", 11, "k"]); // the first goes on meanwhile
  socket.answer({ epoch: E, seq: 11, from: 8, recovered: true });
  socket.hear(["news", 9, "i"], ["news", 10, "j"], ["news", 11, "k"], ["news", 12, "l"]);
  assert.deepEqual(news.take().map((c) => c[1]), [11, 12]);
  assert.deepEqual(old.take(), [["join", true, undefined, [E, 8]], ...[[9, "i"], [10, "j"], [11, "k"], [12, "l"]].map((m) => ["message", ...m])]);
  assert.deepEqual(many.take(), [["join", false, undefined, [E, 10]], ["message", 11, "k"], ["message", 12, "l"]]);
  assert.deepEqual(socket.sent, []);
});

test("a sub asks for the lowest position, and for the others when that is not recovered", async (t) => {
  const { socket, tank } = await startOpen(t);
  const low = log(tank, "news", { since: [E, 1] });
  const high = log(tank, "news", { since: [E, 8] });
  const other = log(tank, "news", { since: ["D", 5] });
  assert.deepEqual(socket.answer({ epoch: E, seq: 10, from: 10, recovered: false, why: "evicted" }).since, [E, 1]);
  assert.deepEqual(low.take(), [["join", false, "evicted", [E, 10]]]);
  assert.deepEqual(other.take(), [["join", false, "epoch", [E, 10]]]);
  assert.deepEqual(high.take(), []);
  assert.deepEqual(socket.answer({ epoch: E, seq: 10, from: 8, recovered: true }).since, [E, 8]);
  socket.hear(["news", 9, "i"], ["news", 10, "j"], ["news", 11, "k"]);
  assert.deepEqual(high.take().map((c) => c[1]), [true, 9, 10, 11]);
  assert.deepEqual(low.take().map((c) => c[1]), [11]);
});

test("a new connection asks for the lowest position", async (t) => {
  const world = await joined(t, { gaps: "report" });
  const behind = log(world.tank, "news", { since: [E, 4] });
  world.socket.answer({ epoch: E, seq: 10, from: 4, recovered: true });
  world.socket.hear(["news", 5, "e"]);
  await reconnect(world);
  assert.deepEqual(world.last().answer({ epoch: E, seq: 11, from: 5, recovered: true }).since, [E, 5]);
  assert.deepEqual(world.news.take(), [["join", true, undefined, [E, 10]]]);
  assert.deepEqual(behind.take().at(-1), ["join", true, undefined, [E, 5]]);
});

test("an answer says nothing of a lower position, nor, without a recovery, of a higher one", async (t) => {
  const { socket, tank } = await startOpen(t);
  const middle = log(tank, "news", { since: [E, 5] });
  const low = log(tank, "news", { since: [E, 2] });
  const high = log(tank, "news", { since: [E, 8] });
  socket.answer({ epoch: E, seq: 9, from: 5, recovered: true });
  assert.deepEqual([middle.take().length, low.take().length, high.take().length], [1, 0, 1]);
  const higher = log(tank, "news", { since: [E, 9] });
  assert.deepEqual(socket.answer({ epoch: E, seq: 9, from: 9, recovered: false, why: "unknown" }).since, [E, 2]);
  assert.deepEqual([low.take().length, higher.take().length], [1, 0]);
  assert.deepEqual(socket.answer({ epoch: E, seq: 9, from: 9, recovered: true }).since, [E, 9]);
});

test("who wants more of the last ones than a sub has asked for asks again", async (t) => {
  const { socket, tank } = await startOpen(t);
  log(tank, "news", { since: [E, 9] });
  const many = log(tank, "news", { last: 5 });
  socket.answer({ epoch: E, seq: 10, from: 9, recovered: true });
  assert.deepEqual(socket.answer({ epoch: E, seq: 10, from: 5 }), { id: 2, sub: "news", last: 5 });
  assert.deepEqual(many.take(), [["join", false, undefined, [E, 5]]]);
});

test("who wants the last ones while another sub is on its way asks again", async (t) => {
  const world = await startOpen(t);
  const { socket, tank, last, clock } = world;
  const why = "evicted";
  const plain = [log(tank, "a"), log(tank, "b", { since: [E, 2] })];
  const many = [log(tank, "a", { last: 5 }), log(tank, "b", { since: [E, 2], last: 5 })];
  socket.answer({ epoch: E, seq: 10 });
  socket.answer({ epoch: E, seq: 10, from: 10, recovered: false, why });
  assert.deepEqual(plain.map((s) => s.take()), [[["join", false, undefined, [E, 10]]], [["join", false, why, [E, 10]]]]);
  assert.deepEqual(socket.answer({ epoch: E, seq: 10, from: 5 }), { id: 3, sub: "a", last: 5 });
  assert.deepEqual(socket.answer({ epoch: E, seq: 10, from: 5, recovered: false, why }), { id: 4, sub: "b", since: [E, 2], last: 5 });
  assert.deepEqual(many.map((s) => s.take()), [[["join", false, undefined, [E, 5]]], [["join", false, why, [E, 5]]]]);
  // And beside one that is recovered, with a position of another epoch.
  socket.lose();
  log(tank, "c", { since: [E, 9] });
  const other = log(tank, "c", { since: ["D", 2], last: 5 });
  await clock.next();
  last().hello();
  last().sent.splice(0, 2);
  assert.deepEqual(last().answer({ epoch: E, seq: 10, from: 9, recovered: true }).since, [E, 9]);
  assert.deepEqual(last().answer({ epoch: E, seq: 10, from: 5, recovered: false, why: "epoch" }).since, ["D", 2]);
  assert.deepEqual(other.take(), [["join", false, "epoch", [E, 5]]]);
});

test("one subscription ends alone, and the last one unsubscribes, one task later", async (t) => {
  const { socket, news, tank, clock } = await joined(t);
  const other = log(tank, "news");
  await settle();
  other.take();
  news.subscription.close();
  await clock.pass(0);
  socket.hear(["news", 11, "x"]);
  assert.deepEqual([news.take(), other.take()], [[], [["message", 11, "x"]]]);
  other.subscription.close();
  assert.deepEqual(socket.sent, []);
  await clock.pass(0);
  assert.deepEqual(socket.sent, [{ unsub: "news" }]);
  socket.hear(["news", 12, "late"]);
});

test("a reset is no end: the last one still unsubscribes", async (t) => {
  const { socket, news, clock, tank } = await joined(t);
  news.subscription.close();
  socket.hear({ topic: "news", reset: { epoch: "F", seq: 0 } });
  await clock.pass(0);
  assert.deepEqual(socket.take(), { unsub: "news" });
  const other = log(tank, "other");
  socket.answer({ epoch: E, seq: 0 });
  socket.hear({ topic: "other", reset: { epoch: "F", seq: 0 } });
  socket.refuse("forbidden"); // and the subscription stays
  assert.deepEqual(other.take().at(-1), ["end", "forbidden"]);
  await clock.pass(0);
  assert.deepEqual(socket.take(), { unsub: "other" });
});

test("a subscription that ends before its sub is sent again leaves no timer", async (t) => {
  t.mock.method(Math, "random", () => 1);
  const { socket, tank, clock } = await startOpen(t);
  const news = log(tank, "news");
  socket.refuse("busy", true);
  news.subscription.close();
  await clock.pass(0);
  tank.close();
  await clock.pass(0);
  assert.equal(clock.pending, 0);
});

test("a subscription that follows at once takes the place of the last one", async (t) => {
  const { socket, news, tank, clock } = await joined(t);
  news.subscription.close();
  const other = log(tank, "news");
  await clock.pass(0);
  socket.hear(["news", 11, "x"]);
  assert.deepEqual(other.take().map((c) => c[0]), ["join", "message"]);
  assert.deepEqual(socket.sent, []);
});

test("unsubscribing and subscribing again ignores what belongs to the first", async (t) => {
  const { socket, news, tank, clock } = await joined(t);
  news.subscription.close();
  await clock.pass(0);
  const other = log(tank, "news");
  socket.hear(["news", 11, "of the first"]);
  assert.deepEqual(socket.sent, [{ unsub: "news" }, { id: 2, sub: "news" }]);
  socket.take();
  socket.answer({ epoch: E, seq: 11 });
  assert.deepEqual(other.take(), [["join", false, undefined, [E, 11]]]);
});

test("a signal ends a subscription", async (t) => {
  const { socket, tank, clock } = await startOpen(t);
  const stop = new AbortController();
  const news = log(tank, "news", { signal: stop.signal });
  stop.abort();
  assert.equal(news.subscription.closed, true);
  assert.equal(log(tank, "other", { signal: stop.signal }).subscription.closed, true);
  await clock.pass(0);
  assert.deepEqual(socket.sent, [{ id: 1, sub: "news" }, { unsub: "news" }]);
});

test("a handler that throws, or rejects, harms nobody", async (t) => {
  const { socket, tank, errors } = await startOpen(t);
  const bad = () => { throw new Error("bad"); };
  log(tank, "news", { onMessage: bad, onJoin: bad, onGap: async () => bad(), onEnd: bad });
  const good = log(tank, "news");
  socket.answer({ epoch: E, seq: 0 });
  socket.hear(["news", 1, "a"], { topic: "news", lost: 1, seq: 2 }, { topic: "news", end: { code: "unsubscribed", message: "", retry: false } });
  await settle();
  assert.deepEqual(good.take().map((c) => c[0]), ["join", "message", "gap", "end"]);
  assert.deepEqual(errors.map((e) => e.message), ["bad", "bad", "bad", "bad"]);
});

test("handlers may close and subscribe", async (t) => {
  const { socket, tank } = await startOpen(t);
  const got = [];
  const first = tank.subscribe("news", {
    onMessage: (m) => {
      got.push("first " + m.seq);
      first.close();
      second.close();
      tank.subscribe("news", { onMessage: (m) => got.push("third " + m.seq) });
    },
  });
  const second = tank.subscribe("news", { onMessage: (m) => got.push("second " + m.seq) });
  socket.answer({ epoch: E, seq: 0 });
  socket.hear(["news", 1, "a"]);
  await settle();
  socket.hear(["news", 2, "b"]);
  assert.deepEqual(got, ["first 1", "third 2"]);
});

test("a subscription that another's handler closes stays where it is", async (t) => {
  const world = await startOpen(t);
  const { socket, tank, last } = world;
  const closes = [];
  const close = () => closes.shift()?.();
  tank.subscribe("news", { onMessage: close, onGap: close, onJoin: close });
  const others = Array.from({ length: 4 }, () => log(tank, "news"));
  socket.answer({ epoch: E, seq: 0 });
  closes.push(...others.map((other) => other.subscription.close));
  socket.hear(["news", 1, "a"], { topic: "news", lost: 1, seq: 2 });
  await reconnect(world);
  last().answer({ epoch: "F", seq: 9, from: 9, recovered: false, why: "epoch" });
  assert.deepEqual(others.map((other) => other.subscription.position), [[E, 0], [E, 1], [E, 2], ["F", 9]]);
  const never = log(tank, "news");
  never.subscription.close();
  await settle();
  assert.equal(never.subscription.position, undefined);
});

test("presence is a snapshot, then changes", async (t) => {
  const { socket, tank } = await startOpen(t);
  const room = log(tank, "room", { presence: true });
  const command = socket.answer({ epoch: E, seq: 0, here: { n: 2, in: { ann: {}, bob: { age: 3 } } } });
  assert.equal(command.presence, true);
  socket.hear({ topic: "room", here: { n: 2, in: { carol: {} }, out: ["bob"] } });
  assert.deepEqual(room.take(), [["join", false, undefined, [E, 0]], ["presence", 2, { ann: {}, bob: { age: 3 } }], ["presence", 2, { ann: {}, carol: {} }]]);
  assert.deepEqual([...room.subscription.presence.users.keys()], ["ann", "carol"]);
  socket.hear({ topic: "room", here: { n: 10431 } });
  assert.deepEqual(room.take(), [["presence", 10431, {}]]);
});

test("a join says up to where messages are replayed", async (t) => {
  const { tank, socket } = await startOpen(t);
  const untils = [];
  const join = (options) => tank.subscribe("news", { ...options, onJoin: ({ until }) => untils.push(until) });
  join({ last: 2 });
  socket.answer({ epoch: E, seq: 10, from: 8 });
  for (const seq of [9, 10, 11]) socket.hear(["news", seq, "x"]);
  join({});
  await settle();
  assert.deepEqual(untils, [10, 11]);
});

test("a change of presence names those who have come and gone, and nobody twice", async (t) => {
  const { tank, socket } = await startOpen(t);
  const changes = [];
  tank.subscribe("room", { presence: true, onPresence: (_, change) => changes.push(change) });
  socket.answer({ epoch: E, seq: 0, here: { n: 1, in: { ann: {} } } });
  socket.hear({ topic: "room", here: { n: 2, in: { ann: { age: 3 }, bob: {} }, out: ["nobody"] } });
  socket.hear({ topic: "room", here: { n: 1, out: ["bob"] } });
  assert.deepEqual(changes, [{ in: ["ann"], out: [] }, { in: ["bob"], out: [] }, { in: [], out: ["bob"] }]);
});

test("who joins later without a word gets the presence that is known, or asks for it", async (t) => {
  const { socket, tank } = await startOpen(t);
  const quiet = log(tank, "room");
  socket.answer({ epoch: E, seq: 0 });
  const first = log(tank, "room", { presence: true });
  assert.deepEqual(socket.answer({ epoch: E, seq: 0, here: { n: 1, in: { ann: {} } } }), { id: 2, sub: "room", presence: true });
  const second = log(tank, "room", { presence: true });
  await settle();
  for (const room of [first, second]) assert.deepEqual(room.take(), [["join", false, undefined, [E, 0]], ["presence", 1, { ann: {} }]]);
  socket.hear({ topic: "room", here: { n: 0, out: ["ann"] } });
  assert.deepEqual(quiet.take(), [["join", false, undefined, [E, 0]]]);
  assert.equal(quiet.subscription.presence, undefined);
  assert.deepEqual(socket.sent, []);
});

test("who wants presence while another sub is on its way asks again", async (t) => {
  const { socket, tank } = await startOpen(t);
  const quiet = log(tank, "room");
  const room = log(tank, "room", { presence: true });
  socket.answer({ epoch: E, seq: 0 });
  assert.deepEqual([quiet.take().length, room.take().length], [1, 0]);
  assert.deepEqual(socket.answer({ epoch: E, seq: 0, here: { n: 1, in: { ann: {} } } }), { id: 2, sub: "room", presence: true });
  assert.deepEqual(room.take(), [["join", false, undefined, [E, 0]], ["presence", 1, { ann: {} }]]);
});

test("a snapshot changes what it changes", async (t) => {
  const world = await startOpen(t);
  const { socket, tank, last } = world;
  const changes = [];
  const watch = (name, options) => tank.subscribe("room", { presence: true, onPresence: (_, change) => changes.push([name, change]), ...options });
  watch("first");
  socket.answer({ epoch: E, seq: 0, here: { n: 2, in: { ann: {}, bob: {} } } });
  watch("second", { last: 1 });
  socket.answer({ epoch: E, seq: 0, from: 0, here: { n: 2, in: { ann: {}, bob: {} } } });
  assert.deepEqual(changes.splice(0), [["first", { in: ["ann", "bob"], out: [] }], ["first", { in: [], out: [] }], ["second", { in: ["ann", "bob"], out: [] }]]);
  await reconnect(world);
  last().answer({ epoch: E, seq: 0, from: 0, recovered: true, here: { n: 2, in: { ann: {}, carol: {} } } });
  assert.deepEqual(changes.splice(0), ["first", "second"].map((name) => [name, { in: ["carol"], out: ["bob"] }]));
  last().hear({ topic: "room", here: { n: 10431 } }); // nobody has gone, but there are too many to tell names
  assert.deepEqual(changes.splice(0), ["first", "second"].map((name) => [name, { in: [], out: [] }]));
});

test("presence that nobody watches on this connection is not known", async (t) => {
  const world = await startOpen(t);
  const { socket, tank, last } = world;
  const first = log(tank, "room", { presence: true });
  socket.answer({ epoch: E, seq: 0, here: { n: 1, in: { ann: {} } } });
  log(tank, "room");
  await settle();
  first.subscription.close();
  await reconnect(world);
  last().answer({ epoch: E, seq: 0, from: 0, recovered: true });
  const second = log(tank, "room", { presence: true });
  await settle();
  assert.deepEqual(second.take(), []);
  last().answer({ epoch: E, seq: 0, here: { n: 1, in: { bob: {} } } });
  assert.deepEqual(second.take(), [["join", false, undefined, [E, 0]], ["presence", 1, { bob: {} }]]);
});

test("an answer that says nothing of presence leaves it as it is", async (t) => {
  const { socket, tank } = await startOpen(t);
  const first = log(tank, "room", { presence: true });
  log(tank, "room");
  socket.answer({ epoch: E, seq: 0, here: { n: 1, in: { ann: {} } } });
  first.subscription.close();
  socket.hear(["room", 2, "b"]); // so there is a sub on its way, without presence
  const second = log(tank, "room", { presence: true });
  await settle();
  assert.deepEqual(socket.answer({ epoch: E, seq: 2, from: 0, recovered: true }), { id: 2, sub: "room", since: [E, 0] });
  socket.hear({ topic: "room", here: { n: 2, in: { bob: {} } } });
  assert.deepEqual(second.take().slice(1), [["presence", 1, { ann: {} }], ["presence", 2, { ann: {}, bob: {} }]]);
});

test("what comes of an earlier subscription is not who is there", async (t) => {
  const { socket, tank, clock } = await startOpen(t);
  const first = log(tank, "room", { presence: true });
  socket.answer({ epoch: E, seq: 0, here: { n: 1, in: { ann: {} } } });
  first.subscription.close();
  await clock.pass(0);
  const second = log(tank, "room", { presence: true });
  socket.hear({ topic: "room", here: { n: 2, in: { bob: {} } } });
  assert.deepEqual(second.take(), []);
});

test("a loop gets every message from its beginning on, and leaving it closes the subscription", async (t) => {
  const { socket, news, clock } = await joined(t);
  const got = [];
  const loop = (async () => {
    for await (const m of news.subscription) {
      got.push(m.data);
      if (m.data === "c") break;
    }
  })();
  socket.hear(["news", 11, "a"], ["news", 12, "b"]);
  await settle();
  socket.hear(["news", 13, "c"], ["news", 14, "d"]);
  await loop;
  assert.deepEqual(got, ["a", "b", "c"]);
  assert.equal(news.subscription.closed, true);
  await clock.pass(0);
  assert.deepEqual(socket.sent, [{ unsub: "news" }]);
});

test("a loop ends with its subscription, behind what has arrived", async (t) => {
  const { socket, news, tank } = await joined(t);
  const other = log(tank, "news");
  await settle();
  const run = async (subscription) => {
    const got = [];
    try {
      for await (const m of subscription) got.push(m.data);
      return [got, "done"];
    } catch (error) {
      return [got, error.code];
    }
  };
  const loops = [run(news.subscription), run(other.subscription)];
  socket.hear(["news", 11, "a"]);
  news.subscription.close();
  socket.hear({ topic: "news", end: { code: "unsubscribed", message: "", retry: false } });
  assert.deepEqual(await Promise.all(loops), [[["a"], "done"], [["a"], "unsubscribed"]]);
});
