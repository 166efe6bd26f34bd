// node build.mjs <folder>: builds the scripts there from src/, and records of what: manifest.json (digests), LICENSES.txt.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const STATIC = resolve(process.argv[2]);
const NAMES = ["chart", "console", "editor", "htmx"];
const digest = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");

const made = await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: NAMES.map((name) => `src/${name}.js`),
  outdir: STATIC,
  bundle: true,
  charset: "utf8",
  define: { "process.env.NODE_ENV": '"production"' },
  format: "esm",
  legalComments: "none",
  metafile: true,
  minify: true,
  target: "es2022",
});

const packages = new Set();
for (const input of Object.keys(made.metafile.inputs)) {
  const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (found) packages.add(found[1]);
}
const LINE = "=".repeat(100);
const texts = [...packages].sort().map((name) => {
  const folder = join(import.meta.dirname, "node_modules", name);
  const { license, version } = JSON.parse(readFileSync(join(folder, "package.json")));
  const files = readdirSync(folder, { recursive: true })
    .filter((file) => /^(licen[cs]e|notice)/i.test(file) && statSync(join(folder, file)).isFile()).sort();
  if (!files.length) throw new Error(`${name} has no licence text`);
  const words = files.map((file) => readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n").trim());
  return `${LINE}\n${name} ${version} (${license})\n${LINE}\n\n${words.join("\n\n")}\n`;
});
writeFileSync(join(STATIC, "LICENSES.txt"), `The scripts of this folder contain these packages.\n\n${texts.join("\n")}`);

const sources = ["build.mjs", "package-lock.json", "package.json", ...readdirSync(join(import.meta.dirname, "src")).map((file) => `src/${file}`)];
const results = [...NAMES.map((name) => `${name}.js`), "LICENSES.txt"];
const manifest = {
  sources: Object.fromEntries(sources.sort().map((file) => [file, digest(join(import.meta.dirname, file))])),
  results: Object.fromEntries(results.sort().map((file) => [file, digest(join(STATIC, file))])),
};
writeFileSync(join(STATIC, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
