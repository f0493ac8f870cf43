import assert from "node:assert/strict";
import { test } from "node:test";
import { settle, start, startOpen } from "./help.mjs";

test("a publication is answered with its number, and has a key of its own", async (t) => {
  const { socket, tank } = await startOpen(t);
  const one = tank.publish("news", { sky: "blue" });
  const two = tank.publish("news", null, { key: "mine" });
  const { id, key, ...rest } = socket.answer({ seq: 41 });
  assert.deepEqual(rest, { pub: "news", data: { sky: "blue" } });
  assert.match(key, /^[a-z0-9]{16,28}$/);
  assert.equal(socket.answer({ seq: 41, duplicate: true }).key, "mine");
  assert.deepEqual([await one, await two], [{ seq: 41 }, { seq: 41, duplicate: true }]);
  const keys = new Set(Array.from({ length: 100 }, () => (tank.publish("news", 1).catch(() => {}), socket.take().key)));
  assert.equal(keys.size, 100);
});

test("answers may come in any order", async (t) => {
  const { socket, tank } = await startOpen(t);
  const one = tank.request("one");
  const two = tank.request("two");
  socket.hear({ id: 2, ok: "second" }, { id: 1, ok: "first" });
  assert.deepEqual([await one, await two], ["first", "second"]);
});

test("nothing is queued while there is no connection", async (t) => {
  const { tank, last } = await start(t);
  const offline = { name: "TankError", code: "offline", retry: true };
  await assert.rejects(tank.publish("news", 1), (error) => error.key && Object.entries(offline).every(([k, v]) => error[k] === v));
  last().open(); // but no hello
  await assert.rejects(tank.request(1), offline);
  assert.equal(tank.send(1), false);
  last().hello();
  assert.deepEqual(last().sent, []);
  last().readyState = 2; // the browser is closing it, and would discard what is sent
  await assert.rejects(tank.publish("news", 1), offline);
});

test("an answer that is lost says that it may have happened, and its key makes a retry safe", async (t) => {
  const { tank, socket, clock, last } = await startOpen(t);
  const publication = tank.publish("news", 1);
  const request = tank.request(1);
  const { key } = socket.take();
  socket.lose();
  const lost = { code: "lost", retry: true, message: /may have happened/ };
  await assert.rejects(publication, { ...lost, key });
  await assert.rejects(request, { ...lost, key: undefined });
  await clock.next();
  last().hello();
  const again = tank.publish("news", 1, { key });
  assert.equal(last().answer({ seq: 3, duplicate: true }).key, key);
  assert.deepEqual(await again, { seq: 3, duplicate: true });
});

test("what was too big is not to be sent again", async (t) => {
  const { tank, socket } = await startOpen(t);
  const publication = tank.publish("news", "x".repeat(40_000));
  socket.lose(1009, "message too big");
  await assert.rejects(publication, { code: "lost", retry: false });
});

test("a refusal has the server's code, and the key", async (t) => {
  const { tank, socket } = await startOpen(t);
  const publication = tank.publish("news", 1);
  const { key } = socket.refuse("busy", true);
  await assert.rejects(publication, { name: "TankError", code: "busy", retry: true, key });
  const request = tank.request(1);
  socket.refuse("no_room");
  await assert.rejects(request, { code: "no_room", retry: false });
});

test("a signal ends the wait for an answer", async (t) => {
  const { tank, socket } = await startOpen(t);
  const stop = new AbortController();
  const request = tank.request(1, { signal: stop.signal });
  const answered = tank.request(2, { signal: stop.signal });
  socket.hear({ id: 2, ok: "in time" });
  stop.abort(new Error("enough"));
  await assert.rejects(request, /enough/);
  assert.equal(await answered, "in time");
  await assert.rejects(tank.publish("news", 1, { signal: stop.signal }), /enough/);
  socket.hear({ id: 1, ok: "late" });
  await settle();
  assert.equal(socket.sent.length, 2);
});

test("closing ends the wait for answers", async (t) => {
  const { tank, clock } = await startOpen(t);
  const request = tank.request(1);
  const expected = assert.rejects(request, { code: "lost" });
  tank.close();
  await clock.pass(0);
  await expected;
});
