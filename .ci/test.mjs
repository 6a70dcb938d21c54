// Runs the compiled tests with tap and counts them. `npm test -- test/table` runs the files whose path contains that.
//
// What is counted: every t.test that holds assertions and no further t.test; a file that asserts without any t.test is
// one test. A file or group that fails beyond its tests (it crashed, timed out, or asserted outside them) adds a failed
// one. The last line is `N passed, N failed[, N skipped]`; the exit code is 0 only without failures.
//
// test/e2e measures time and makes traffic: those files run one after another, when the others are done.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { Parser } from "tap-parser";
import { files, root } from "./step.mjs";

const wanted = process.argv.slice(2).map((arg) => arg.replace(/^(\.\/)?(dist\/)?/, "").replace(/\.(ts|js)$/, ""));
const tests = files("dist/test").filter((path) => path.endsWith(".test.js"));
const chosen = tests.filter((path) => wanted.length === 0 || wanted.some((part) => path.includes(part)));
const serial = (path) => path.startsWith("dist/test/e2e/");

let passed = 0;
let failed = 0;
const skips = [];

if (chosen.length === 0) {
  console.log(`no test file matches ${wanted.join(" ") || "dist/test/**/*.test.js"}`);
  failed = 1;
}
await runFiles(
  chosen.filter((path) => !serial(path)),
  2,
);
await runFiles(chosen.filter(serial), 1);

if (skips.length > 0) console.log(`\nskipped:\n${skips.map(({ name, reason }) => `  ${name}: ${reason}`).join("\n")}`);
console.log(`\n${passed} passed, ${failed} failed${skips.length > 0 ? `, ${skips.length} skipped` : ""}`);
process.exitCode = failed === 0 ? 0 : 1;

async function runFiles(paths, jobs) {
  let left = paths;
  while (left.length > 0) {
    const before = failed;
    const { seen, status } = await tap(left, jobs);
    const rest = left.filter((path) => !seen.has(path));
    if (rest.length === left.length || (status !== 0 && failed === before)) {
      console.log(`tap ended with ${status}; not run: ${rest.join(" ") || "none"}`);
      failed += 1;
      return;
    }
    // A file that times out takes the place of another in tap's plan, which is then left out: those run now.
    left = rest;
  }
}

async function tap(paths, jobs) {
  const child = spawn(join(root, "node_modules/.bin/tap"), ["run", "--reporter=tap", `--jobs=${jobs}`, ...paths], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", (code, signal) => resolve(signal ?? code)));
  const parser = new Parser();
  const seen = new Set();
  record(parser, (point) => {
    if (!point.node) return;
    seen.add(point.result.name);
    finished(point);
  });
  child.stdout.pipe(parser);
  return { status: await ended, seen };
}

/** Keeps what a (sub)test reports: its points, each with the node of the subtest that it closes. */
function record(parser, onPoint = () => {}) {
  const node = { name: parser.name, points: [] };
  let open;
  parser.on("child", (child) => {
    open = record(child);
  });
  parser.on("assert", (result) => {
    const point = { result, node: open };
    open = undefined;
    node.points.push(point);
    onPoint(point);
  });
  return node;
}

/** One file is through: counts it and says so. */
function finished({ result, node }) {
  const name = result.name.replace(/^dist\//, "");
  const counts = { passed: 0, failed: 0, skipped: 0 };
  if (result.skip) skip(counts, name, result);
  else count(node, result, [name], counts);
  passed += counts.passed;
  failed += counts.failed;
  const parts = Object.entries(counts)
    .filter(([, n]) => n > 0)
    .map(([what, n]) => `${n} ${what}`);
  console.log(`${result.ok ? "ok    " : "FAILED"} ${name}: ${parts.join(", ")} (${((result.time ?? 0) / 1000).toFixed(1)} s)`);
}

function count(node, closing, path, counts) {
  const before = counts.failed;
  const groups = node.points.some((point) => point.node);
  for (const { result, node: child } of node.points) {
    const names = [...path, result.name];
    if (result.skip) skip(counts, names.join(" > "), result);
    else if (child) count(child, result, names, counts);
    else if (!result.ok && !result.todo) {
      explain(names.join(" > "), result);
      if (groups) counts.failed += 1;
    }
  }
  if (!groups && closing.ok && node.points.some(({ result }) => !result.skip)) counts.passed += 1;
  if (!closing.ok && counts.failed === before) {
    if (node.points.every(({ result }) => result.ok)) explain(path.join(" > "), closing);
    counts.failed += 1;
  }
}

function skip(counts, name, { skip: reason }) {
  counts.skipped += 1;
  skips.push({ name, reason: reason === true ? "no reason given" : reason });
}

function explain(name, { diag }) {
  const { at, diff, found, wanted: expected, source, stack, signal, exitCode, expired, tapCaught } = diag ?? {};
  const lines = [`not ok ${name}`];
  if (at?.fileName) lines.push(`at ${at.fileName}:${at.lineNumber}:${at.columnNumber}`);
  if (diff) lines.push(diff);
  else if (found !== undefined || expected !== undefined) lines.push(`found ${text(found)}, wanted ${text(expected)}`);
  if (source) lines.push(source);
  if (stack) lines.push(stack);
  const end = { signal, exitCode, expired, tapCaught };
  const known = Object.entries(end).filter(([, value]) => value !== undefined && value !== null);
  if (known.length > 0) lines.push(known.map(([what, value]) => `${what}: ${value}`).join(", "));
  console.log(lines.join("\n").trimEnd().replace(/\n+/g, "\n      "));
}

function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}
