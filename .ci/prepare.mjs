// Makes the project ready to run: system packages, npm packages, code from proto/, the native addon, TypeScript.
// Each step looks first whether its inputs changed. `node .ci/prepare.mjs [test]` prepares for the tests as well.

import { chmodSync, existsSync, lstatSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { digest, files, necessary, root, run, stop, unlessDone } from "./step.mjs";
import { systemPackages } from "./system.mjs";

const GEN = "src/control/gen";
const DESCRIPTORS = `${GEN}/descriptors.binpb`;
const ADDON = "build/Release/sluice.node";
const MAIN = "dist/src/cli/main.js";

export function prepare({ tests }) {
  if (Number.parseInt(process.versions.node, 10) < 20) {
    stop(`sluice: Node.js ${process.versions.node} is too old: version 20 or later is needed (https://nodejs.org).`);
  }
  if (process.platform !== "linux") stop("sluice: it runs on Linux only.");
  systemPackages(tests, !existsSync(join(root, ADDON)) || !existsSync(join(root, GEN)));
  // A link (a git worktree that shares its packages) is looked after elsewhere: npm ci would empty what it points to.
  if (!lstatSync(join(root, "node_modules"), { throwIfNoEntry: false })?.isSymbolicLink()) {
    npmPackages();
    if (tests) testRunner();
  }
  protoCode();
  addon();
  typescript();
}

function npmPackages() {
  unlessDone("node_modules/.sluice-lock", digest(["package-lock.json"]), "node_modules", () => {
    const remedy = "Is the npm registry within reach? `npm config get registry` shows which one is asked.";
    necessary("installing npm packages (npm ci)", remedy, () => {
      run("npm", ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"]);
    });
  });
}

function testRunner() {
  unlessDone("node_modules/.sluice-tap", digest([".taprc", "package-lock.json"]), "node_modules", () => {
    necessary("setting up the test runner (tap build)", "`npx tap build` shows more.", () =>
      run("node_modules/.bin/tap", ["build"]),
    );
  });
}

function protoCode() {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const inputs = digest([...files("proto"), "package-lock.json"], scripts.proto);
  unlessDone("build/stamps/proto", inputs, DESCRIPTORS, () => {
    necessary("generating code from proto/", "`npm run proto` is the command.", () => {
      rmSync(join(root, GEN), { recursive: true, force: true });
      run("npm", ["run", "--silent", "proto"]);
    });
  });
}

function addon() {
  // Built with libipsec-mb when that is there, and without when it is gone.
  const extra = run("sh", ["native/ipsec_mb_probe.sh"]);
  const inputs = digest([...files("native"), "binding.gyp", "package-lock.json"], process.version, process.arch, extra);
  unlessDone("build/stamps/addon", inputs, ADDON, () => {
    const remedy = "`npx node-gyp rebuild` repeats it in full view.";
    necessary("building the native addon (node-gyp)", remedy, () => {
      // The headers that came with this node, when they did: node-gyp would download them.
      const prefix = resolve(dirname(process.execPath), "..");
      const own = existsSync(join(prefix, "include/node/node_api.h")) ? [`--nodedir=${prefix}`] : [];
      run(process.execPath, ["node_modules/node-gyp/bin/node-gyp.js", "configure", "build", "--release", "-j", "max", ...own]);
    });
  });
}

function typescript() {
  const sources = [...files("src"), ...files("test")].filter((path) => path.endsWith(".ts"));
  const inputs = digest([...sources, "tsconfig.json", "package-lock.json"]);
  unlessDone("dist/.stamp", inputs, MAIN, () => {
    necessary("compiling TypeScript (tsc)", "`npx tsc -p .` repeats it.", () => {
      dropStale(new Set(sources));
      run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", ".", "--pretty", "false"]);
      chmodSync(join(root, MAIN), 0o755);
    });
  });
  // So that `npx sluice` in the project is this build.
  const link = join(root, "node_modules/.bin/sluice");
  if (!lstatSync(link, { throwIfNoEntry: false })) symlinkSync(`../../${MAIN}`, link);
}

/** Compiled files whose source is gone must not be run as tests or imported by chance. */
function dropStale(sources) {
  const stale = files("dist").filter((path) => {
    const source = /^dist\/(.+)\.js(\.map)?$/.exec(path)?.[1];
    return source !== undefined && !sources.has(`${source}.ts`);
  });
  if (stale.length === 0) return;
  for (const path of stale) rmSync(join(root, path));
  rmSync(join(root, "dist/.tsbuildinfo"), { force: true });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  prepare({ tests: process.argv[2] === "test" });
}
