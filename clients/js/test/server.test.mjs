// Against a real server, in Go, behind a link that breaks. CUTS=1000 cuts it so often; 100 by default. The sockets are Node's own where it
// has them, from Node 22 on.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Tank } from "tank-websocket";

const sockets = globalThis.WebSocket ? {} : { WebSocket: (await import("ws")).WebSocket };
const CUTS = Number(process.env.CUTS ?? 100);

let folder, binary, address, server;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "tank-js-"));
  binary = join(folder, "server");
  execFileSync("go", ["build", "-o", binary, "./testdata/server"], { cwd: new URL("..", import.meta.url), stdio: "inherit" });
});
after(() => rmSync(folder, { recursive: true }));

/** serve starts a server that ends with the test. */
async function serve(t) {
  server = spawn(binary, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((done) => server.on("exit", done));
  t.after(async () => {
    server.kill("SIGCONT");
    server.kill("SIGKILL");
    await ended;
  });
  address = await new Promise((done) => server.stdout.once("data", (text) => done(new URL(String(text)).host)));
  return { server, ended };
}

/** The timers of the client are real, and its delays short. */
const short = (t) => {
  const { random } = Math;
  t.mock.method(Math, "random", () => random() / 1_000);
};

const order = async (topic, from, to) => {
  const { ok } = await fetch(`http://${address}/publish`, { method: "POST", body: JSON.stringify({ Topic: topic, From: from, To: to }) });
  assert.ok(ok);
};

/** until waits for something that has no event, for 30 s at least. */
async function until(what, holds) {
  for (let i = 0; !holds(); i++) {
    if (i > 6_000) assert.fail("waited in vain until " + what);
    await sleep(5);
  }
}

/** link is a proxy for TCP that can be cut, and made deaf in one direction. */
async function link(t) {
  const pairs = new Set();
  const state = { mute: false };
  const listener = net.createServer((client) => {
    const [host, port] = address.split(":");
    const upstream = net.connect(Number(port), host);
    const pair = [client, upstream];
    pairs.add(pair);
    client.on("data", (data) => upstream.write(data));
    upstream.on("data", (data) => state.mute || client.write(data));
    for (const end of pair) {
      end.on("error", () => {});
      end.on("close", () => {
        for (const other of pair) other.destroy();
        pairs.delete(pair);
      });
    }
  });
  await new Promise((done) => listener.listen(0, "127.0.0.1", done));
  const cut = () => {
    for (const [client, upstream] of [...pairs]) {
      client.destroy();
      upstream.destroy();
    }
  };
  t.after(() => {
    listener.close();
    cut();
  });
  return Object.assign(state, { cut, url: `ws://127.0.0.1:${listener.address().port}/ws` });
}

function connect(t, url, options = {}) {
  const errors = [];
  const states = [];
  const tank = new Tank(url, { ...sockets, onError: (error) => errors.push(error), onState: (state, info) => states.push({ state, ...info }), ...options });
  t.after(async () => {
    tank.close();
    await until("it is closed", () => tank.state === "closed");
    assert.deepEqual(errors, []);
  });
  return { tank, states };
}

test(`a stream survives ${CUTS} cuts: nothing is missed, and nothing comes twice`, { timeout: CUTS * 1_000 }, async (t) => {
  short(t);
  await serve(t);
  const proxy = await link(t);
  const { tank, states } = connect(t, proxy.url);
  const [got, second, joins] = [[], [], []];
  tank.subscribe("stream", { onMessage: (m) => got.push(m.data), onJoin: (j) => joins.push(j), onGap: (gap) => joins.push(gap) });
  tank.subscribe("stream", { onMessage: (m) => second.push(m.data) });
  await until("the topic is there", () => joins.length === 1);
  let last = 0;
  for (let i = 0; i < CUTS; i++) {
    await order("stream", last + 1, last + 10);
    last += 10;
    if (i % 10 === 9) await until("it comes back, also for a while", () => got.length === last);
    else await sleep(Math.random() * 20_000);
    proxy.cut();
  }
  await order("stream", last + 1, last + 10);
  await until("all has come", () => got.at(-1) === last + 10);
  const want = Array.from({ length: last + 10 }, (_, i) => i + 1);
  assert.deepEqual(got, want);
  assert.deepEqual(second, want);
  assert.ok(joins.slice(1).every((join) => join.recovered), "all recovered");
  const losses = states.filter((s) => s.state === "waiting").length;
  t.diagnostic(`${losses} losses, ${joins.length} joins, ${want.length} messages`);
  assert.ok(losses >= CUTS / 20); // on a busy machine, most cuts meet no connection
});

test("a publication that is retried after a lost answer is delivered once", async (t) => {
  short(t);
  await serve(t);
  const proxy = await link(t);
  const { tank } = connect(t, proxy.url);
  const { tank: witness } = connect(t, `ws://${address}/ws`);
  const [seen, own, joins] = [[], [], []];
  witness.subscribe("stream:pub", { onMessage: (m) => seen.push(m.data), onJoin: (j) => joins.push(j) });
  tank.subscribe("stream:pub", { onMessage: (m) => own.push(m.data), onJoin: (j) => joins.push(j) });
  await until("both are there", () => joins.length === 2);
  for (let i = 1; i <= 10; i++) {
    proxy.mute = true;
    const answer = tank.publish("stream:pub", i).catch((error) => error);
    await until("it has arrived", () => seen.length === i);
    proxy.cut();
    const lost = await answer;
    assert.deepEqual([lost.code, lost.retry], ["lost", true]);
    proxy.mute = false;
    await until("it is back", () => tank.state === "open");
    assert.deepEqual(await tank.publish("stream:pub", i, { key: lost.key }), { seq: i, duplicate: true });
  }
  const want = Array.from({ length: 10 }, (_, i) => i + 1);
  await until("all has come", () => own.length === 10);
  assert.deepEqual(own, want);
  assert.deepEqual(seen, want);
});

test("one's own publication comes before its answer", async (t) => {
  await serve(t);
  const { tank, states } = connect(t, `ws://${address}/ws`);
  await until("it is open", () => states.length > 0);
  const got = [];
  tank.subscribe("room", { onMessage: (m) => got.push(m) });
  const { seq } = await tank.publish("room", { text: "hi" }); // no wait: commands are carried out in order
  assert.deepEqual(got.map((m) => [m.seq, m.data]), [[seq, { text: "hi" }]]);
  assert.deepEqual(await tank.request([1, null]), { echo: [1, null], user: tank.user });
});

test("two subscriptions to one topic each end alone", async (t) => {
  await serve(t);
  const { tank } = connect(t, `ws://${address}/ws`);
  const [one, two, old, joins] = [[], [], [], []];
  const first = tank.subscribe("stream:two", { onMessage: (m) => one.push(m.data), onJoin: (j) => joins.push(j) });
  await until("it is there", () => joins.length === 1);
  await order("stream:two", 1, 3);
  await until("it has come", () => one.length === 3);
  tank.subscribe("stream:two", { onMessage: (m) => two.push(m.data), onJoin: (j) => joins.push(j) });
  tank.subscribe("stream:two", { since: [first.position[0], 1], onMessage: (m) => old.push(m.data), onJoin: (j) => joins.push(j) });
  await until("all are there", () => joins.length === 3);
  await order("stream:two", 4, 4);
  await until("all have it", () => one.at(-1) === 4 && two.at(-1) === 4 && old.at(-1) === 4);
  first.close();
  await order("stream:two", 5, 5);
  await until("two have it", () => two.at(-1) === 5 && old.at(-1) === 5);
  assert.deepEqual([one, two, old], [[1, 2, 3, 4], [4, 5], [2, 3, 4, 5]]);
});

test("a server that stops is noticed within ping + 10 s, and abandoned", { timeout: 30_000 }, async (t) => {
  const { server } = await serve(t);
  const { tank, states } = connect(t, `ws://${address}/ws`);
  await until("it is open", () => tank.state === "open");
  await sleep(3_000); // heartbeats keep it alive
  assert.equal(tank.state, "open");
  server.kill("SIGSTOP");
  const stopped = Date.now();
  while (tank.state === "open") await sleep(20);
  const seconds = (Date.now() - stopped) / 1_000;
  t.diagnostic(`noticed after ${seconds} s`);
  assert.ok(seconds < 13, `${seconds} s`); // 11, and what a busy machine takes
  assert.equal(states.find((s) => s.state === "waiting").code, 1006);
  server.kill("SIGCONT");
  await until("it is back", () => tank.state === "open");
});

test("credentials that expire are asked for again", { timeout: 30_000 }, async (t) => {
  short(t);
  await serve(t);
  const tokens = ["ann.1", "ann.1000"];
  const { tank, states } = connect(t, `ws://${address}/ws`, { token: async () => tokens.shift() });
  await until("it is open", () => tank.state === "open");
  assert.equal(tank.user, "ann");
  await until("it is back", () => states.filter((s) => s.state === "open").length === 2);
  assert.deepEqual(states.filter((s) => s.code).map((s) => s.code), [3000]);
  assert.deepEqual(tokens, []);
});

test("a server that shuts down says within which time to come back", async (t) => {
  const { server, ended } = await serve(t);
  const { tank, states } = connect(t, `ws://${address}/ws`);
  await until("it is open", () => tank.state === "open");
  server.kill("SIGTERM");
  await ended;
  await until("it knows", () => states.length > 1);
  const { state, code, delay } = states[1];
  assert.deepEqual([state, code], ["waiting", 1001]);
  assert.ok(delay <= 1_000);
});
