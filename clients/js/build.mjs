// Builds dist, or the folder that is named: what the npm package and the Go package serve. The same sources give the same bytes.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

process.chdir(fileURLToPath(new URL(".", import.meta.url)));
const out = process.argv[2] ?? "dist";
mkdirSync(out, { recursive: true });

const common = { bundle: true, target: "es2022", mangleProps: /^_[a-z]/, legalComments: "none", charset: "utf8" };
const license = "/* tank-websocket, MIT License, (c) 2026 The tank authors */";
for (const [name, entry] of [["tank", "src/index.ts"], ["testing", "src/testing.ts"]]) {
  for (const [extension, format] of [["js", "esm"], ["cjs", "cjs"]]) {
    await build({ ...common, entryPoints: [entry], format, outfile: `${out}/${name}.${extension}`, banner: { js: license } });
  }
}
await build({ ...common, entryPoints: ["src/index.ts"], format: "esm", minify: true, outfile: `${out}/tank.min.js`, banner: { js: license } });

// One file of types for each entry, without what is internal: the declarations of its modules one behind the other.
const declarations = mkdtempSync(join(tmpdir(), "tank-types-"));
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", ".", "--noEmit", "false", "--emitDeclarationOnly", "--outDir", declarations], { stdio: "inherit" });
const bundle = (...modules) => modules.map((name) => readFileSync(join(declarations, name + ".d.ts"), "utf8")).join("")
  .replace(/^(import|export) .*from "\.\/.*;\n/gm, "").replace(/^export \{\};\n/gm, "");
const types = { tank: bundle("types", "error", "subscription", "tank"), testing: 'import type { Position, WebSocketLike } from "./tank.js";\n' + bundle("testing") };
rmSync(declarations, { recursive: true });
for (const [name, text] of Object.entries(types)) {
  writeFileSync(`${out}/${name}.d.ts`, text);
  writeFileSync(`${out}/${name}.d.cts`, text.replace('"./tank.js"', '"./tank.cjs"'));
}
