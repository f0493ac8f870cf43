// The package as npm gets it: what is in it, and that it works where it is installed.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const run = (cwd, command, ...args) => execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
const tool = (name) => join(root, "node_modules", name);

let folder, packed;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "tank-pack-"));
  const said = JSON.parse(run(root, "npm", "pack", "--json", "--pack-destination", folder));
  [packed] = Object.values(said); // a list, or an object with the package's name
});
after(() => rmSync(folder, { recursive: true }));

/** install makes a project of a folder of testdata, with nothing installed but the package. */
function install(name) {
  const project = join(folder, name);
  cpSync(join(root, "testdata/pack", name), project, { recursive: true });
  run(project, "npm", "install", "--offline", "--no-audit", "--no-fund", "--silent", join(folder, packed.filename));
  assert.deepEqual(readdirSync(join(project, "node_modules")).filter((entry) => !entry.startsWith(".")), ["tank-websocket"]);
  return project;
}

test("it has what is needed, and nothing else", () => {
  assert.deepEqual(packed.files.map(({ path }) => path).sort(), [
    "LICENSE", "README.md", "README.zh-CN.md", "package.json",
    ...["tank", "testing"].flatMap((name) => ["cjs", "d.cts", "d.ts", "js"].map((extension) => `dist/${name}.${extension}`)),
  ].sort());
  const license = (path) => readFileSync(join(root, path), "utf8");
  assert.equal(license("LICENSE"), license("../../LICENSE"));
});

test("a project in TypeScript", () => {
  const project = install("typescript");
  for (const config of ["tsconfig.json", "bundler.json"]) run(project, "node", tool("typescript/bin/tsc"), "-p", config);
  assert.equal(run(project, "node", "out/index.js"), "Rain 1\n");
});

test("a project with require", () => {
  assert.equal(run(install("commonjs"), "node", "index.js"), "Rain 1\n");
});

test("a project with Vite has the client in its bundle, and not its server for tests", () => {
  const project = install("vite");
  run(project, "node", tool("vite/bin/vite.js"), "build", "--logLevel", "warn");
  const assets = join(project, "dist/assets");
  const bundle = readdirSync(assets).map((name) => readFileSync(join(assets, name), "utf8")).join("");
  for (const [file, words, there] of [["tank", "does not speak tank.v2", true], ["testing", "shutting_down", false]]) {
    assert.ok(readFileSync(join(root, `dist/${file}.js`), "utf8").includes(words));
    assert.equal(bundle.includes(words), there, words);
  }
});
