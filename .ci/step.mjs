// One step of the preparation: said in one line on stderr with its time, its output shown only when it fails, skipped
// when a hash of its inputs equals the stamp that its last success left. (stdout stays free for what runs afterwards.)

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

export function say(text) {
  process.stderr.write(text);
}

/** Says what happened and what to do about it, and ends the process. */
export function stop(text) {
  say(`${text}\n`);
  process.exit(1);
}

/** Throws what the work throws. */
export function step(what, work) {
  say(`sluice: ${what} … `);
  const started = performance.now();
  try {
    work();
  } catch (error) {
    say("failed\n");
    throw error;
  }
  say(`${((performance.now() - started) / 1000).toFixed(1)} s\n`);
}

/** A step without which nothing goes on. @param remedy what to do when it fails */
export function necessary(what, remedy, work) {
  try {
    step(what, work);
  } catch (error) {
    stop(`${String(error.message).trimEnd()}\nsluice: ${what} failed. ${remedy}`);
  }
}

/** Runs a command to its end with its output held back. Throws that output when it fails. */
export function run(command, args, env = {}) {
  const { error, status, signal, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: 64 << 20,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (error) throw new Error(`${command}: ${error.message}`);
  if (status !== 0) throw new Error(`${stdout}${stderr}\n(${command} ended with ${signal ?? status})`);
  return stdout;
}

/** Every file under a directory (or the file itself), relative to the project, sorted. */
export function files(path, skip = () => false) {
  const full = join(root, path);
  if (!existsSync(full)) return [];
  const found = [];
  const walk = (dir) => {
    for (const entry of readdirSync(join(root, dir), { withFileTypes: true })) {
      const child = `${dir}/${entry.name}`;
      if (skip(child)) continue;
      if (entry.isDirectory()) walk(child);
      else found.push(child);
    }
  };
  walk(path);
  return found.sort();
}

/** Hash of the names and contents of files, and of further text. */
export function digest(paths, ...more) {
  const hash = createHash("sha256");
  for (const path of paths)
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update("\0");
  for (const text of more) hash.update(`${text}\0`);
  return hash.digest("hex");
}

/** Does the work unless the stamp says that it was done for this digest and its output is still there. */
export function unlessDone(stamp, inputs, output, work) {
  const path = join(root, stamp);
  if (existsSync(join(root, output)) && existsSync(path) && readFileSync(path, "utf8") === inputs) return;
  rmSync(path, { force: true });
  work();
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, inputs);
}
