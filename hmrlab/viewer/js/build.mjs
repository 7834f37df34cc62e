// Bundles src/index.js and three.js: `node build.mjs TARGET` with node_modules beside this file.
// One file serves both: a page reads it as a plain script, a widget as a module (see loader.js).

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { build } from "esbuild";

const [target] = process.argv.slice(2);
const here = new URL(".", import.meta.url);
const sources = [
  "build.mjs", "package.json", "package-lock.json",
  ...readdirSync(new URL("src/", here)).sort().map((name) => `src/${name}`),
];
const hash = createHash("sha256");
for (const name of sources) hash.update(`${name}\n`).update(readFileSync(new URL(name, here)));
await build({
  entryPoints: [new URL("src/index.js", here).pathname],
  banner: { js: `/* hmrlab viewer, from sources sha256:${hash.digest("hex")} */` },
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "hmrlabViewer",
  target: ["es2022"],
  loader: { ".css": "text" },
  legalComments: "inline",
  charset: "utf8",
  outfile: target,
});
