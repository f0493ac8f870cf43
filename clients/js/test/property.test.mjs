// Random programs of losses against the client. Whatever happens, a subscription gets each number once and in order, or is told that
// some are missing; and when the world has calmed down, it stands where its topic stands.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Tank } from "../dist/tank.js";
import { FakeTank } from "../dist/testing.js";
import { Clock, settle } from "./help.mjs";

const TOPICS = ["a", "b"];

/** World runs one program. */
class World {
  clock = new Clock();
  subscriptions = [];
  published = { a: [], b: [] };
  errors = [];
  losses = 0; // at most so many connections were lost
  retries = 0; // subs that were refused

  constructor(history) {
    this.server = new FakeTank({ history, refuse: () => (this.busy ? (this.retries++, "busy") : undefined) });
    this.tank = new Tank("ws://fake", { WebSocket: this.server.WebSocket, onError: (error) => this.errors.push(error),
      onState: (state) => (this.losses += state === "open") });
  }

  publish(name) {
    const [epoch, seq] = this.server.position(name);
    this.published[name].push(`${epoch}/${seq + 1}`);
    this.server.publish(name, `${epoch}/${seq + 1}`);
  }

  /** subscribe makes a subscription whose handlers check each step. */
  subscribe(name, { back, last, gaps }) {
    const [epoch, seq] = this.server.position(name);
    const since = back === undefined ? undefined : [epoch, Math.max(0, seq - back)];
    const shown = { name, since, got: [], told: [], at: since };
    const { tank } = this;
    const moved = (to, what) => {
      if (shown.at?.[0] === to[0]) assert.ok(to[1] >= shown.at[1], "never back");
      if (what === "told") shown.told.push(to);
      else assert.deepEqual(to, shown.at, "recovered, from where it was");
      shown.at = to;
    };
    shown.subscription = tank.subscribe(name, {
      since, last, gaps,
      onJoin: (join) => {
        assert.deepEqual(shown.subscription.position, join.position);
        moved(join.position, join.recovered ? "same" : "told");
      },
      onGap: (gap) => {
        assert.deepEqual(gap.from, shown.at);
        assert.ok(gap.why);
        moved(gap.to, "told");
      },
      onMessage: (m) => {
        assert.equal(m.seq, shown.at[1] + 1, "the next number");
        assert.equal(m.data, `${shown.at[0]}/${m.seq}`, "of this numbering");
        shown.at = m.position;
        assert.deepEqual(shown.subscription.position, shown.at);
        shown.got.push(m.data);
      },
    });
    this.subscriptions.push(shown);
  }

  async step({ verb, topic, n, options }) {
    const { server, clock } = this;
    switch (verb) {
      case "publish": for (let i = 0; i < n; i++) this.publish(topic); break;
      case "lose": server.lose(topic, n); break;
      case "dropped": {
        server.lose(topic, n);
        for (let i = 0; i < n; i++) this.publish(topic);
        server.dropped(topic, n);
        break;
      }
      case "gap": server.gap(topic); break;
      case "cut": server.cut(); break;
      case "offline": server.offline = n > 2; break;
      case "silence": {
        server.silence(n > 2);
        if (n <= 2) server.cut(); // a connection that has swallowed frames never lives again, or it would have lost some on the way
        break;
      }
      case "busy": this.busy = n > 2; break;
      case "restart": server.restart(n * 1_000); break;
      case "reset": server.reset(topic); break;
      case "subscribe": this.subscribe(topic, options); break;
      case "close": this.subscriptions.at(n % (this.subscriptions.length || 1))?.subscription.close(); break;
      case "pass": await clock.pass(n * 1_000); break;
      case "settle": await settle(); break;
    }
  }

  /** calm waits until all has healed. */
  async calm() {
    Object.assign(this.server, { offline: false });
    Object.assign(this, { busy: false });
    this.server.silence(false);
    this.server.cut();
    await this.clock.pass(60_000);
    for (const name of TOPICS) {
      this.server.lose(name, -1e9); // no loss is left
      this.publish(name);
    }
    await settle();
    this.server.cut(); // and a loss of the last number is seen with the next connection
    await this.clock.pass(60_000);
    assert.equal(this.tank.state, "open");
    assert.deepEqual(this.errors, []);
    for (const { subscription, name, at } of this.subscriptions) {
      if (subscription.closed) continue;
      assert.deepEqual(subscription.position, this.server.position(name));
      assert.deepEqual(at, subscription.position);
    }
    for (const name of TOPICS) {
      const wanted = this.subscriptions.some((s) => s.name === name && !s.subscription.closed);
      assert.equal(this.server.subscribers(name), wanted ? 1 : 0);
    }
    for (const shown of this.subscriptions) shown.subscription.close();
    await this.clock.pass(0);
    await settle();
    for (const name of TOPICS) assert.equal(this.server.subscribers(name), 0, "nothing stays subscribed");
  }

  async end() {
    this.tank.close();
    await this.clock.pass(0);
    this.clock.end();
  }
}

const steps = (verbs, gaps) => fc.array(fc.record({
  verb: fc.constantFrom(...verbs),
  topic: fc.constantFrom(...TOPICS),
  n: fc.integer({ min: 1, max: 5 }),
  options: fc.record({
    back: fc.option(fc.integer({ min: 0, max: 8 }), { nil: undefined }),
    last: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
    gaps: fc.constantFrom(...gaps),
  }),
}), { maxLength: 40 });

const run = (verbs, gaps, history, check = () => {}) => async () => {
  await fc.assert(fc.asyncProperty(steps(verbs, gaps), async (program) => {
    const world = new World(history);
    try {
      for (const step of program) await world.step(step);
      await world.calm();
      check(world);
    } finally {
      await world.end();
    }
  }), { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) });
};

const often = ["publish", "publish", "publish", "subscribe", "subscribe", "settle", "settle", "pass"];
const losses = [...often, "lose", "cut", "offline", "silence", "busy", "gap", "close"];

test("each number comes once and in order, or is told to be missing",
  run([...losses, "dropped", "restart", "reset"], ["recover", "recover", "report"], 5));

const nothingMissing = (world) => {
  for (const { subscription, name, got, told, since } of world.subscriptions) {
    if (told.length === 0 && !since) continue; // closed before the first answer
    assert.ok(told.length <= (since ? 0 : 1), "told only where it began");
    const from = (since ?? told[0])[1];
    const wanted = world.published[name].slice(from, from + got.length);
    assert.deepEqual(got, wanted);
  }
};

test("with a long history and nothing dropped, nothing is ever missing", run(losses, ["recover"], 10_000, nothingMissing));

test("without losses on the way, there is nothing to heal, whatever subscriptions ask for",
  run(losses.filter((verb) => !["lose", "gap"].includes(verb)), ["recover", "report"], 10_000, (world) => {
    nothingMissing(world);
    const healed = world.server.received.filter(({ sub }) => sub).length;
    assert.ok(healed <= world.subscriptions.length * (world.losses + 2) + world.retries, "no sub without a reason");
  }));
