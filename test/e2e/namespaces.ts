// Network namespaces of one test process, the veth pairs between them, and the processes inside them. All of it goes with
// close(), with the process's exit, or, after a kill -9, at the start of the next test: names carry the process id.

import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Why tests in namespaces are skipped, or false. */
export const noNamespaces: string | false = reason();

function reason(): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  for (const tool of ["ip", "tcpdump", "ethtool", "/usr/bin/python3"]) {
    if (spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0) return `needs ${tool}`;
  }
  const probe = `sle${process.pid}-probe`;
  if (spawnSync("ip", ["netns", "add", probe]).status !== 0) return "needs network namespaces (ip netns add failed)";
  const entered = spawnSync("ip", ["netns", "exec", probe, "true"], { encoding: "utf8" });
  spawnSync("ip", ["netns", "del", probe]);
  return entered.status === 0 ? false : `needs network namespaces (ip netns exec failed: ${entered.stderr.trim()})`;
}

const PREFIX = "sle";
const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

export class Namespaces {
  /** For files of this test. */
  readonly directory = directoryOf(process.pid);
  readonly #parts = new Set<string>();
  readonly #children = new Set<ChildProcess>();
  readonly #atExit = () => this.#remove();
  /** Then the signal does what it would have done. */
  readonly #atSignal = (signal: NodeJS.Signals) => {
    this.#remove();
    process.kill(process.pid, signal);
  };

  constructor(parts: readonly string[]) {
    removeStale();
    mkdirSync(this.directory);
    process.once("exit", this.#atExit);
    for (const signal of SIGNALS) process.once(signal, this.#atSignal);
    for (const part of parts) {
      must("ip", ["netns", "add", this.name(part)]);
      this.#parts.add(part);
      this.sh(part, "ip link set lo up");
    }
  }

  name(part: string): string {
    return `${PREFIX}${process.pid}-${part}`;
  }

  /** Runs a command there, words split at spaces; it must succeed. */
  sh(part: string, command: string): string {
    return must("ip", ["netns", "exec", this.name(part), ...command.split(" ")]);
  }

  /** No IPv6 on this interface. sysctl(8) is not on every machine. */
  quiet(part: string, link: string): void {
    const script = `echo 1 > /proc/sys/net/ipv6/conf/${link}/disable_ipv6`;
    must("ip", ["netns", "exec", this.name(part), "sh", "-c", script]);
  }

  /** Runs a command there to its end, whatever that is. */
  run(part: string, command: readonly string[], timeout = 20_000) {
    return spawnSync("ip", ["netns", "exec", this.name(part), ...command], { encoding: "utf8", timeout });
  }

  /** A process in a namespace (`ip netns exec` becomes it: the pid is its own). Killed with the namespaces at the latest. */
  spawn(part: string, command: readonly string[], options: SpawnOptions): ChildProcess {
    const child = spawn("ip", ["netns", "exec", this.name(part), ...command], options);
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    return child;
  }

  /** A veth pair, both ends up: `link("a", "eth0", "d", "up1")`. */
  link(part: string, name: string, otherPart: string, otherName: string): void {
    const there = `type veth peer name ${otherName} netns ${this.name(otherPart)}`;
    must("ip", `link add ${name} netns ${this.name(part)} ${there}`.split(" "));
    this.sh(part, `ip link set ${name} up`);
    this.sh(otherPart, `ip link set ${otherName} up`);
  }

  async close(): Promise<void> {
    const ends = [...this.#children].map((child) => new Promise((resolve) => child.once("exit", resolve)));
    this.#remove();
    await Promise.all(ends);
    process.removeListener("exit", this.#atExit);
    for (const signal of SIGNALS) process.removeListener(signal, this.#atSignal);
  }

  #remove(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const part of this.#parts) spawnSync("ip", ["netns", "del", this.name(part)]);
    this.#parts.clear();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Namespaces of a test process that is no more, with what it left running inside them. */
function removeStale(): void {
  const names = must("ip", ["netns", "list"]).split("\n");
  for (const line of names) {
    const [, name, pid] = /^(sle(\d+)-\S+)/.exec(line) ?? [];
    if (name === undefined || isAlive(Number(pid))) continue;
    for (const left of spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" }).stdout.split("\n")) {
      if (left !== "") spawnSync("kill", ["-KILL", left]);
    }
    spawnSync("ip", ["netns", "del", name]);
    rmSync(directoryOf(pid), { recursive: true, force: true });
  }
}

function directoryOf(pid: number | string): string {
  return join(tmpdir(), `${PREFIX}${pid}`);
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function must(command: string, args: readonly string[]): string {
  const done = spawnSync(command, args, { encoding: "utf8", timeout: 20_000 });
  if (done.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${done.stderr || done.error}`);
  return done.stdout;
}
