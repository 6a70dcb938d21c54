// The rooms of src/ and who may import whom (README "Rooms"). A type-only import counts as an import.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import ts from "typescript";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** `type:` before a room: for types only. Every room may import itself and errors; reason is for whoever decides a fate. */
const ARROWS: Record<string, readonly string[]> = {
  cli: ["*"],
  bench: ["*"],
  main: ["*"],
  control: ["table", "memory", "wire", "config", "reason"],
  worker: ["stage", "port", "aead", "table", "memory", "native", "reason", "type:config"],
  stage: ["tunnel", "table", "wire", "memory", "reason", "type:aead"],
  // Of aead the interface and its const enums, which leave nothing to import.
  tunnel: ["aead", "table", "wire", "memory", "reason"],
  port: ["wire", "memory", "native", "reason", "type:config"],
  aead: ["memory", "native"],
  table: ["memory", "wire"],
  config: [],
  wire: [],
  memory: [],
  native: [],
  reason: [],
  errors: [],
};

/** These import no package and nothing of Node either. */
const BARE = ["wire", "memory", "table", "stage", "tunnel", "reason", "errors"];

/** The top level is fixed; dot-files aside. */
const TOP_LEVEL = [
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "binding.gyp",
  "README.md",
  "native",
  "proto",
  "src",
  "test",
  "pcaps",
];

interface Import {
  readonly file: string;
  readonly specifier: string;
  readonly typeOnly: boolean;
}

/** Imports, re-exports, import() and import types of one source text. */
function importsOf(file: string, text: string): Import[] {
  const found: Import[] = [];
  const add = (node: ts.Node | undefined, typeOnly: boolean) => {
    if (node !== undefined && ts.isStringLiteral(node)) found.push({ file, specifier: node.text, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, isTypeOnly(node.importClause));
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0], false);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.ES2022));
  return found;
}

/** `import type { A }` and `import { type A }` alike. */
function isTypeOnly(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false;
  if (clause.isTypeOnly) return true;
  const named = clause.namedBindings;
  if (clause.name !== undefined || named === undefined || !ts.isNamedImports(named)) return false;
  return named.elements.length > 0 && named.elements.every((element) => element.isTypeOnly);
}

/** First folder under src, or the name of a file that lies in src itself. */
function roomOf(file: string): string {
  return (file.split("/")[1] ?? "").replace(/\.ts$/, "");
}

/** What is wrong with this import, or undefined. */
function offence({ file, specifier, typeOnly }: Import): string | undefined {
  const from = roomOf(file);
  const allowed = ARROWS[from];
  if (allowed === undefined) return `${file}: there is no room ${from}: add it to README and to this test`;
  const at = `${file} imports ${specifier}`;
  if (!specifier.startsWith(".")) return BARE.includes(from) ? `${at}: ${from} imports no package` : undefined;
  const target = normalize(join(dirname(file), specifier));
  if (!target.startsWith("src/")) return `${at}: outside src`;
  const to = roomOf(target.replace(/\.js$/, ".ts"));
  if (to === from || to === "errors" || allowed.includes("*") || allowed.includes(to)) return undefined;
  if (allowed.includes(`type:${to}`)) return typeOnly ? undefined : `${at}: ${from} may import types only from ${to}`;
  return `${at}: ${from} may not import ${to}`;
}

function sources(): string[] {
  const found = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });
  return found
    .filter((path) => path.endsWith(".ts"))
    .map((path) => `src/${path}`)
    .sort();
}

const imports = sources().flatMap((file) => importsOf(file, readFileSync(join(root, file), "utf8")));

t.test("imports follow the arrows between the rooms", async (t) => {
  t.ok(imports.length > 50, "the imports were found");
  t.same(
    imports.map(offence).filter((text) => text !== undefined),
    [],
  );
});

/** The same text wherever one enters it. */
function circle(rooms: readonly string[]): string {
  const first = rooms.indexOf([...rooms].sort()[0] ?? "");
  return [...rooms.slice(first), ...rooms.slice(0, first + 1)].join(" → ");
}

t.test("no rooms import each other in a circle", async (t) => {
  const edges = new Map<string, Set<string>>();
  for (const { file, specifier } of imports) {
    if (!specifier.startsWith(".")) continue;
    const from = roomOf(file);
    const to = roomOf(normalize(join(dirname(file), specifier)).replace(/\.js$/, ".ts"));
    if (to !== from) edges.set(from, (edges.get(from) ?? new Set()).add(to));
  }
  const circles = new Set<string>();
  const walk = (room: string, path: readonly string[]): void => {
    if (path.includes(room)) circles.add(circle(path.slice(path.indexOf(room))));
    else for (const next of edges.get(room) ?? []) walk(next, [...path, room]);
  };
  for (const room of edges.keys()) walk(room, []);
  t.same([...circles], []);
});

t.test("this test sees every form of import, and what is forbidden", async (t) => {
  const text = `
    import "./a.js";
    import { type X, type Y } from "../config/config.js";
    import type { Z } from "../config/config.js";
    import { type X, f } from "../config/fill.js";
    export { b } from "../control/b.js";
    type W = import("../worker/w.js").W;
    const late = () => import("../bench/c.js");
    import fs from "node:fs";
  `;
  const seen = importsOf("src/port/x.ts", text);
  t.same(
    seen.map(({ specifier, typeOnly }) => `${specifier}${typeOnly ? " type" : ""}`),
    [
      "./a.js",
      "../config/config.js type",
      "../config/config.js type",
      "../config/fill.js",
      "../control/b.js",
      "../worker/w.js type",
      "../bench/c.js",
      "node:fs",
    ],
  );
  t.same(
    seen.map(offence).filter((text) => text !== undefined),
    [
      "src/port/x.ts imports ../config/fill.js: port may import types only from config",
      "src/port/x.ts imports ../control/b.js: port may not import control",
      "src/port/x.ts imports ../worker/w.js: port may not import worker",
      "src/port/x.ts imports ../bench/c.js: port may not import bench",
    ],
  );
  t.match(offence({ file: "src/wire/a.ts", specifier: "node:fs", typeOnly: false }), /wire imports no package/);
  t.match(offence({ file: "src/misc/a.ts", specifier: "./b.js", typeOnly: false }), /there is no room misc/);
});

function tracked(): string[] | undefined {
  try {
    return execFileSync("git", ["ls-files"], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split("\n");
  } catch {
    return undefined;
  }
}

const files = tracked();
const noGit = files === undefined ? "not a git checkout" : false;

t.test("the top level holds nothing beyond what is agreed", { skip: noGit }, async (t) => {
  const top = new Set((files ?? []).filter((path) => path !== "").map((path) => path.split("/")[0] ?? ""));
  t.same(
    [...top].filter((name) => !name.startsWith(".") && !TOP_LEVEL.includes(name)),
    [],
  );
});

t.test("package-lock.json names no registry", async (t) => {
  t.notMatch(readFileSync(join(root, "package-lock.json"), "utf8"), '"resolved"');
});
