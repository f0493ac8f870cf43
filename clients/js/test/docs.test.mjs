// The complete clients of docs/protocol.md and docs/protocol-v2.md, where the tests in browsers do not look.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Clock, settle, sockets } from "./help.mjs";

/** load returns the class that a page shows, on sockets of the test and a clock that stands still. */
async function load(t, page, name) {
  const text = readFileSync(new URL(`../../../docs/${page}`, import.meta.url), "utf8");
  const code = text.match(/```js\n[^]*?```/g).find((block) => block.includes(`export class ${name} `)).slice(6, -3);
  const module = await import("data:text/javascript," + encodeURIComponent(code));
  const clock = new Clock();
  const { Socket, made } = sockets();
  Socket.OPEN = 1;
  Socket.prototype.send = function (text) { this.sent.push(text); };
  const { WebSocket, setInterval } = globalThis;
  const set = setTimeout;
  const asked = [];
  Object.assign(globalThis, { WebSocket: Socket, addEventListener() {}, document: { addEventListener() {} } });
  globalThis.setInterval = (f, ms) => { // whose end is not looked at: each makes the one before harmless
    const mine = asked.push(f);
    const again = () => mine === asked.length && (set(again, ms), f());
    return set(again, ms);
  };
  t.after(() => {
    clock.end();
    Object.assign(globalThis, { WebSocket, setInterval });
    if (!WebSocket) delete globalThis.WebSocket;
    delete globalThis.addEventListener;
    delete globalThis.document;
  });
  return { Client: module[name], clock, made };
}

for (const page of ["protocol-v2.md", "protocol-v2.zh-CN.md"]) {
  test(`${page}: a client that is closed while its protocols are awaited stays closed`, async (t) => {
    t.mock.method(console, "warn", () => {});
    const { Client, clock, made } = await load(t, page, "Topics");
    let fail;
    const live = new Client("ws://example.test", { protocols: () => new Promise((_, reject) => (fail = reject)) });
    live.close();
    fail(new Error("no session"));
    await clock.pass(60_000);
    assert.deepEqual([live.state, made.length], ["closed", 0]);
  });
}

for (const page of ["protocol.md", "protocol.zh-CN.md"]) {
  test(`${page}: who hurries again and again does not put a loss off`, async (t) => {
    const { Client, clock, made } = await load(t, page, "Live");
    const live = new Client("ws://example.test");
    await settle();
    made[0].open();
    for (let i = 0; i < 10; i++) {
      live.hurry();
      await clock.pass(2_500);
    }
    assert.notEqual(live.state, "open");
    live.close();
  });
}
