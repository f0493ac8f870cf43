// FakeTank, as the tests of a program use it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tank } from "../dist/tank.js";
import { FakeTank } from "../dist/testing.js";
import { Clock, log, settle } from "./help.mjs";

async function world(t, options, tankOptions) {
  const clock = new Clock();
  const server = new FakeTank(options);
  const tank = new Tank("ws://fake", { WebSocket: server.WebSocket, ...tankOptions });
  t.after(async () => {
    tank.close();
    await clock.pass(0);
    clock.end();
  });
  await settle();
  return { clock, server, tank };
}

test("it needs no timers", async () => {
  const server = new FakeTank();
  const tank = new Tank("ws://fake", { WebSocket: server.WebSocket });
  const got = [];
  tank.subscribe("news", { onMessage: (m) => got.push(m.data) });
  assert.equal(server.subscribers("news"), 0);
  while (server.subscribers("news") === 0) await null;
  for (let i = 0; i < 10; i++) await null;
  server.publish("news", "Rain");
  for (let i = 0; i < 10; i++) await null;
  assert.deepEqual(got, ["Rain"]);
  tank.close();
  while (tank.state !== "closed") await settle();
});

test("a cut is healed", async (t) => {
  const { clock, server, tank } = await world(t);
  const news = log(tank, "news");
  await settle();
  server.publish("news", 1);
  await settle();
  server.cut();
  server.publish("news", 2);
  await settle();
  assert.equal(tank.state, "waiting");
  await clock.next();
  assert.deepEqual(news.take(), [
    ["join", false, undefined, ["epoch-1", 0]], ["message", 1, 1], ["join", true, undefined, ["epoch-1", 1]], ["message", 2, 2],
  ]);
});

test("a loss is healed, and what is dropped is told", async (t) => {
  const { server, tank } = await world(t);
  const news = log(tank, "news");
  await settle();
  server.lose("news", 1);
  server.publish("news", 1);
  server.publish("news", 2);
  await settle();
  assert.deepEqual(news.take().map((c) => c[0] + c[1]), ["joinfalse", "message1", "message2"]);
  server.lose("news", 1);
  server.publish("news", 3);
  server.dropped("news", 1);
  server.gap("news");
  server.publish("news", 4);
  await settle();
  assert.deepEqual(news.take(), [["gap", "lost", ["epoch-1", 2], ["epoch-1", 3], 1], ["message", 4, 4]]);
});

test("a restart and a reset begin a new numbering", async (t) => {
  const { clock, server, tank } = await world(t);
  const news = log(tank, "news");
  await settle();
  server.restart(3_000);
  await settle();
  assert.equal(tank.state, "waiting");
  await clock.pass(3_000);
  server.publish("news", 1);
  server.reset("news");
  await settle();
  assert.deepEqual(news.take(), [["join", false, undefined, ["epoch-1", 0]], ["join", false, "epoch", ["epoch-2", 0]], ["message", 1, 1],
    ["gap", "epoch", ["epoch-2", 1], ["epoch-3", 0], undefined]]);
});

test("an answer is lost, and the retry is a duplicate", async (t) => {
  const { clock, server, tank } = await world(t);
  const news = log(tank, "news");
  await settle();
  server.loseAnswers(1);
  const error = await tank.publish("news", "once").catch((error) => error);
  assert.equal(error.code, "lost");
  await clock.next();
  assert.deepEqual(await tank.publish("news", "once", { key: error.key }), { seq: 1, duplicate: true });
  assert.deepEqual(news.take().filter((c) => c[0] === "message"), [["message", 1, "once"]]);
});

test("refusals, requests, messages, tokens and presence", async (t) => {
  const messages = [];
  const { server, tank, clock } = await world(t, {
    refuse: (verb, topic) => (topic === "secret" ? "forbidden" : undefined),
    onRequest: (data) => {
      if (data === "bad") throw Object.assign(new Error(), { code: "no_room" });
      return { got: data };
    },
    onMessage: (data) => messages.push(data),
  }, { token: "t1", onMessage: (data) => messages.push(data) });
  assert.deepEqual(server.tokens, ["t1"]);
  assert.equal(server.connections, 1);
  const secret = log(tank, "secret");
  await assert.rejects(tank.publish("secret", 1), { code: "forbidden" });
  assert.deepEqual(secret.take(), [["end", "forbidden"]]);
  assert.deepEqual(await tank.request(5), { got: 5 });
  await assert.rejects(tank.request("bad"), { code: "no_room" });
  tank.send("hello");
  server.tell({ from: "server" });
  await settle();
  assert.deepEqual(messages.sort(), ["hello", { from: "server" }].sort());
  const room = log(tank, "room", { presence: true });
  await settle();
  server.here("room", { ann: { age: 3 } });
  server.here("room", { bob: {} }, ["ann"]);
  server.end("room");
  await settle();
  assert.deepEqual(room.take(), [["join", false, undefined, server.position("room")], ["presence", 0, {}], ["presence", 1, { ann: { age: 3 } }],
    ["presence", 1, { bob: {} }], ["end", "unsubscribed"]]);
  server.raw({ expires: 60 });
  await settle();
  assert.deepEqual(server.received.at(-1), { id: server.received.at(-1).id, auth: "t1" });
  server.close(3003);
  await settle();
  assert.equal(tank.state, "closed");
  await clock.pass(0);
});

test("a renewed token is that of the connection, a refused one is not", async (t) => {
  const tokens = ["t1", "t2", "t3"], refused = [];
  const { server, tank } = await world(t, {
    refuse: (verb, name) => (verb === "auth" && name === "t3" ? "forbidden" : undefined),
  }, { token: () => tokens.shift(), onError: (error) => refused.push(error.code) });
  server.raw({ expires: 60 });
  await settle();
  assert.deepEqual([server.tokens, refused], [["t2"], []]);
  server.raw({ expires: 60 });
  await settle();
  assert.deepEqual([server.tokens, refused, tank.state], [["t2"], ["forbidden"], "open"]);
});

test("silence is noticed", async (t) => {
  const { clock, server, tank } = await world(t);
  server.silence();
  await clock.pass(34_999);
  assert.equal(tank.state, "open");
  await clock.pass(1);
  assert.equal(tank.state, "waiting");
  await clock.next();
  await clock.pass(10_000);
  assert.equal(tank.state, "waiting", "the handshake was not answered");
  server.silence(false);
  server.offline = true;
  await clock.next();
  assert.equal(tank.state, "waiting");
  server.offline = false;
  await clock.next();
  assert.equal(tank.state, "open");
});

test("connections that the client has closed, or given up, are not open", async (t) => {
  const { clock, server, tank } = await world(t, {}, { token: "t" });
  tank.subscribe("news");
  await settle();
  server.silence();
  await clock.pass(35_000);
  server.silence(false);
  await clock.next();
  assert.equal(tank.state, "open");
  assert.deepEqual([server.connections, server.subscribers("news"), server.tokens], [1, 1, ["t"]]);
  tank.close();
  await clock.pass(0);
  assert.deepEqual([server.connections, server.subscribers("news"), server.tokens], [0, 0, []]);
});
