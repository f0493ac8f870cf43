// The client's side of testdata/protocol-v2.json. What a dialogue sends, the tank of its client is made to send, and what it expects
// from the server, the client hears. Then its handlers and promises must have got what the protocol says.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Tank } from "../dist/tank.js";
import { Clock, log, settle, sockets } from "./help.mjs";

const file = JSON.parse(readFileSync(new URL("../../../testdata/protocol-v2.json", import.meta.url)));

// These need a client that does what this one never does.
const notForThisClient = {
  "without an id there is no answer": "each sub has an id",
  "an error comes without an id, too": "each sub has an id",
  "unknown members are ignored": "no unknown member is sent",
  "text that is no command is a bad message": "only commands are sent",
  "an error carries the id wherever it could be read": "only commands are sent",
  "the same id twice is answered twice": "each id is sent once",
  "nothing comes behind the answer to unsub, not even a second time": "unsub has no id; see topic.test.mjs",
  "something was missed, and nothing is kept": "the client would not ask with the last number that it has seen",
  "a topic is kept without subscribers until its messages are too old": "the client would ask with the last number that it has seen",
  "new credentials without an id": "each auth has an id",
};

class Dialogue {
  values = {};
  speakers = {};
  clock = new Clock();

  async run(steps) {
    for (const [verb, ...args] of steps) {
      await this[verb]?.(...args); // what only the server does is seen by what comes then
      await settle();
    }
    for (const { tank, topics } of Object.values(this.speakers)) {
      for (const shown of topics) assert.deepEqual(shown.messages, shown.expected, `messages of ${shown.name}`);
      tank.close();
    }
    await this.clock.pass(0);
  }

  async connect(name, token) {
    await this.dial(name, token);
    assert.deepEqual(this.speakers[name].made.at(-1).protocols, token ? ["tank.v2", "bearer." + token] : ["tank.v2"]);
  }
  async dial(name, token) {
    const known = this.speakers[name];
    this.away = false;
    if (known) {
      known.token = token;
      for (const before = known.made.length; known.made.length === before;) await this.clock.next();
      return;
    }
    const { Socket, made } = sockets();
    const speaker = { made, token, topics: [], told: [], errors: [], commands: new Map(), states: [] };
    speaker.tank = new Tank("ws://example.test", {
      WebSocket: Socket,
      token: () => speaker.token,
      onMessage: (m) => speaker.told.push(m),
      onError: (error) => speaker.errors.push(error),
      onState: (state, info) => speaker.states.push({ state, ...info }),
    });
    this.speakers[name] = speaker;
    await settle();
  }
  cut(name) {
    this.away = true;
    this.speakers[name].made.at(-1).lose();
  }
  closed(name, code) {
    const { made, states, bye } = this.speakers[name];
    made.at(-1).lose(code);
    assert.equal(states.at(-1).state, "waiting");
    if (bye) assert.ok(states.at(-1).delay <= bye.within, "bye says within which time");
  }
  // A client hears the server meanwhile, or it is away and its computer sleeps.
  async wait(seconds) {
    if (this.away) return this.clock.sleep(seconds * 1_000);
    for (let i = 0; i < seconds; i += 10) {
      await this.clock.pass(Math.min(10, seconds - i) * 1_000);
      for (const { made } of Object.values(this.speakers)) made.at(-1).hear({});
    }
  }
  beat(name) {
    this.speakers[name].made.at(-1).hear({});
  }
  position(_, value) {
    this.values[value] ??= ["E-position", 0];
  }

  // send makes the tank send a command, unless it has sent it by itself, and compares.
  async send(name, wanted) {
    const speaker = this.speakers[name];
    const socket = speaker.made.at(-1);
    const { id, ...command } = this.fill(wanted);
    if ("unsub" in command && !speaker.topics.some((shown) => shown.name === command.unsub)) return; // nothing to close
    let handle;
    if ("auth" in command) handle = await this.renew(speaker, command.auth);
    else if (socket.sent.length) handle = speaker.topics.find((shown) => shown.name === command.sub);
    else handle = await this.call(speaker, command);
    const { id: sentID, ...sent } = socket.take();
    if (command.key === undefined) delete sent.key;
    if (command.presence === false) delete command.presence;
    assert.deepEqual(sent, command);
    if (id) speaker.commands.set(id, { id: sentID ?? 0, command, handle });
  }
  async call({ tank, topics }, command) {
    if ("sub" in command) {
      const { since, last, presence } = command;
      const shown = { name: command.sub, since, messages: [], expected: [] };
      Object.assign(shown, log(tank, command.sub, { since, last, presence, onMessage: (m) => shown.messages.push([m.seq, m.data]) }));
      topics.push(shown);
      return shown;
    }
    if ("unsub" in command) {
      for (const shown of topics) if (shown.name === command.unsub) shown.subscription.close();
      return this.clock.pass(0);
    }
    const outcome = {};
    const promise = "pub" in command ? tank.publish(command.pub, command.data, command) : tank.request(command.msg);
    promise.then((ok) => (outcome.ok = ok), (error) => (outcome.error = error));
    return outcome;
  }

  // A client sends new credentials when it hears that those in force expire, at the latest now.
  async renew(speaker, token) {
    speaker.token = token;
    speaker.made.at(-1).hear(speaker.expires ?? { expires: 60 });
    speaker.expires = undefined;
    await settle();
    return { get error() { return speaker.errors.pop(); }, get ok() { return speaker.errors.length ? speaker.errors : {}; } };
  }

  // expect lets the client hear a frame and looks at what that does.
  async expect(name, wanted) {
    const speaker = this.speakers[name];
    const socket = speaker.made.at(-1);
    const frame = this.fill(wanted, true);
    const answered = frame.id && speaker.commands.get(frame.id);
    if (frame.ok?.recovered && wanted.ok.epoch === "$_") frame.ok.epoch = answered.command.since[0];
    if (frame.expires) return void (speaker.expires = frame); // until it is known what the client has to say to that
    if (frame.hello) socket.open();
    if (frame.bye) speaker.bye = frame.bye;
    if (frame.id && !answered?.id) return; // unsub, which this client sends without an id
    if (frame.reset) for (const shown of speaker.topics) shown.at = undefined;
    const skipped = frame.lost ? this.skip(speaker, frame) : [];
    const gaps = this.gaps(speaker, frame);
    if (answered) this.before(answered, frame);
    else if (Array.isArray(frame)) this.note(speaker, frame);
    socket.hear(answered ? { ...frame, id: answered.id } : frame);
    await settle();
    if (answered) this.after(answered, frame, socket);
    if (frame.hello) assert.deepEqual([speaker.tank.state, speaker.tank.client, speaker.tank.user], ["open", frame.hello.client, frame.hello.user]);
    for (const gap of gaps) assert.deepEqual({ ...socket.sent.at(-1), id: 0 }, { id: 0, ...gap }, "what is missing is asked for");
    for (const [shown, gap] of skipped) assert.deepEqual(shown.calls.pop(), gap);
    if (frame.here) for (const shown of speaker.topics) if (shown.name === frame.topic) this.watches(shown, frame.here);
    if ("interrupted" in frame) assert.deepEqual([speaker.tank.interrupted, speaker.states.at(-1).state], [frame.interrupted, "open"]);
    if ("msg" in frame) assert.deepEqual(speaker.told.pop(), frame.msg);
    if (frame.end) assert.deepEqual(speaker.topics.find((s) => s.name === frame.topic).calls.pop(), ["end", frame.end.code]);
  }
  // A gap that is told, or seen in the numbers: the client has to ask for what is behind its position, and shows nothing until the answer.
  gaps({ topics }, frame) {
    const [topic, seq, , { prev = seq - 1 } = {}] = frame.gap ? [frame.topic] : Array.isArray(frame) ? frame : [];
    const before = topics.filter((shown) => shown.name === topic && !shown.subscription.closed && shown.at !== undefined)
      .filter(({ at, stood }) => frame.gap || (seq > at && prev > at && prev > stood));
    return before.map((shown) => {
      const since = [shown.epoch, shown.at];
      shown.at = undefined;
      return { sub: topic, since };
    });
  }
  // What the protocol says that a page shows: from the position of the answer on, each number once. Number 0 is shown at any time.
  note({ topics }, [topic, seq, data]) {
    for (const shown of topics) {
      if (shown.name !== topic || shown.subscription.closed || (seq && (shown.at === undefined || seq <= shown.at))) continue;
      if (seq) shown.at = seq;
      shown.expected.push([seq, data]);
    }
  }
  // What is lost moves the position, and is told.
  skip({ topics }, { topic, lost, seq }) {
    return topics.filter((shown) => shown.name === topic && seq > shown.at).map((shown) => {
      const gap = ["gap", "lost", [shown.epoch, shown.at], [shown.epoch, seq], lost];
      shown.at = seq;
      return [shown, gap];
    });
  }
  // Names are added to those that are known, or forgotten when none are told.
  watches(shown, here, known = shown.here) {
    shown.here = here.in || here.out ? { ...known, ...here.in } : {};
    for (const user of here.out ?? []) delete shown.here[user];
    assert.deepEqual(shown.calls.pop(), ["presence", here.n, shown.here]);
  }
  before({ command, handle }, { ok }) {
    if (ok && "sub" in command) Object.assign(handle, { at: ok.from ?? ok.seq, stood: ok.seq, epoch: ok.epoch });
  }
  after({ command, handle }, { ok, error }, socket) {
    if ("sub" in command) {
      if (ok?.here) this.watches(handle, ok.here, {});
      const call = handle.calls.pop();
      const live = handle.joinedOn === socket;
      handle.joinedOn = socket;
      if (error) assert.deepEqual(call, ["end", error.code]);
      else if (live && ok.recovered) assert.equal(call, undefined);
      else if (live) assert.deepEqual([call[0], call[1], call[3]], ["gap", ok.why, [ok.epoch, ok.from]]);
      else assert.deepEqual(call, ["join", ok.recovered ?? false, ok.why, [ok.epoch, ok.from ?? ok.seq]]);
    } else if (error) {
      const { code, message, retry } = handle.error;
      assert.deepEqual({ code, message, retry }, error);
    } else {
      assert.deepEqual(handle.ok, ok);
    }
  }
  binary(name, text) {
    const { made, told } = this.speakers[name];
    made.at(-1).hear(new TextEncoder().encode(text).buffer);
    assert.deepEqual(Buffer.from(told.pop()).toString(), text);
  }

  // fill puts values in the places of names. A server would choose those that are not known yet; here the test does.
  fill(value, invents = false) {
    if (typeof value === "string" && value.startsWith("$")) {
      if (value === "$_" && invents) return "any-" + Math.random();
      if (invents) this.values[value] ??= "value-" + value.slice(1);
      return this.values[value] ?? value;
    }
    if (Array.isArray(value)) return value.map((v) => this.fill(v, invents));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, this.fill(v, invents)]));
    return value;
  }
}

for (const { name, steps } of file.dialogues) {
  test(name, { skip: notForThisClient[name] }, async () => {
    const dialogue = new Dialogue();
    try {
      await dialogue.run(steps);
    } finally {
      dialogue.clock.end();
    }
  });
}

test("the list of dialogues that are not for this client is up to date", () => {
  for (const name of Object.keys(notForThisClient)) assert.ok(file.dialogues.some((d) => d.name === name), name);
});
