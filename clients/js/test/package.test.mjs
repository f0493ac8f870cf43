// What is built: its size, and that it loads in every way.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { transform } from "esbuild";
import * as esm from "tank-websocket";
import * as testing from "tank-websocket/testing";

const { version, dependencies, devDependencies } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const read = (name) => readFileSync(new URL("../dist/" + name, import.meta.url), "utf8");

test("the core has at most 4 kB, minified and compressed", async (t) => {
  const { code } = await transform(read("tank.js"), { minify: true, format: "esm", target: "es2022" });
  for (const [what, text] of [["with a user's own minifier", code], ["as served", read("tank.min.js")]]) {
    const size = gzipSync(text, { level: 9 }).length;
    t.diagnostic(`${what}: ${size} bytes`);
    assert.ok(size <= 4_000, `${what}: ${size} bytes`);
  }
});

test("modules and require give the same", () => {
  const require = createRequire(import.meta.url);
  assert.deepEqual(Object.keys(esm).sort(), ["Subscription", "Tank", "TankError"]);
  assert.deepEqual(Object.keys(require("tank-websocket")).sort(), Object.keys(esm).sort());
  assert.deepEqual(Object.keys(require("tank-websocket/testing")), Object.keys(testing));
});

test("no window is needed, and nothing is imported", () => {
  for (const name of ["tank.js", "tank.cjs", "tank.min.js", "testing.js", "testing.cjs"]) {
    const code = read(name);
    assert.doesNotMatch(code, /\bwindow\b|\bself\b/, name);
    assert.doesNotMatch(code, /^import |\bfrom"\.|\brequire\(/m, name);
  }
});

test("there are no dependencies", () => {
  assert.equal(dependencies, undefined);
  for (const version of Object.values(devDependencies)) assert.match(version, /^\d+\.\d+\.\d+$/);
});

test("the readmes tell the size and the version, and what they show works", async () => {
  const kB = Math.ceil(gzipSync(read("tank.min.js"), { level: 9 }).length / 100) / 10 + " kB";
  for (const name of ["README.md", "README.zh-CN.md"]) {
    const text = readFileSync(new URL("../" + name, import.meta.url), "utf8");
    assert.ok(text.includes(`\n| tank-websocket | ${version} |`), `${name} says version ${version}`);
    assert.equal(text.split(kB).length - 1, 2, `${name} says ${kB} above and in the table`);
    const code = text.match(/```js\n[^]*?```/g).find((block) => block.includes("publishSurely")).slice(6, -3);
    const server = new testing.FakeTank();
    const tank = new esm.Tank("ws://fake", { WebSocket: server.WebSocket });
    while (tank.state !== "open") await null;
    const waits = [];
    const publishSurely = new Function("setTimeout", code + "return publishSurely;")((f) => waits.push(f));
    server.loseAnswers(1);
    const result = publishSurely(tank, "news", "once");
    while (!waits.length) await null;
    while (tank.state !== "open") await new Promise((done) => setTimeout(done, 1));
    waits.pop()();
    assert.deepEqual(await result, { seq: 1, duplicate: true }, name);
    tank.close();
    while (tank.state !== "closed") await new Promise((done) => setTimeout(done, 1));
  }
});
