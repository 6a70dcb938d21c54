// Carries tunnel requests out, in order (api.md 12, 13). First each is planned against the table as it will be when its turn
// comes, then all are committed in the same turn of the event loop: so a batch that does not fit changes nothing.
//
// Batches of all clients wait in line: each begins when the table has its records of the one before back, so that however
// fast clients write, slots in their grace period are bounded.

import type { BaseLogger } from "pino";
import { SluiceError } from "../errors.js";
import { isDecap, type NewRule, sasOf, type TunnelSettings } from "../table/rule.js";
import { RuleStatus, type RuleTable } from "../table/rule-table.js";
import type { SaKeys, SaRef } from "../table/sa.js";
import { wipeKeys } from "./ipsec-key.js";
import { invalidCapabilities, invalidField, TunnelFault, tableFull, unavailable } from "./tunnel-fault.js";
import { exists, Plan, type Step, unknownId, unknownMatch } from "./tunnel-plan.js";
import type { TunnelNames, TunnelRequest } from "./tunnel-rule.js";

/** As many requests as the table has records for beyond its capacity (rule-memory.ts). */
export const BATCH = 64;

/** Those below are IANA's. */
const FIRST_SPI = 256;
const WARN_PERIOD_MS = 1000;

export interface Outcome {
  /** The assigned one where the request asked for that. */
  readonly id: bigint;
  /** Undefined: carried out. */
  readonly fault?: TunnelFault;
}

export interface TunnelWriterOptions {
  readonly rules: RuleTable;
  readonly names: TunnelNames;
  /** Can the device serve tunnels? */
  readonly ready: () => boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Pick<BaseLogger, "warn">;
}

export class TunnelWriter {
  #last: Promise<unknown> = Promise.resolve();
  /** When reserved SPIs were last spoken of. */
  #lastReserved = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: TunnelWriterOptions) {}

  get ready(): boolean {
    return this.options.ready();
  }

  /**
   * At most BATCH requests. `whole`: all, or where capacity is wanting none. `gone`: asked when their turn has come; true
   * drops them, and resolves with nothing. Resolves when no packet goes through deleted tunnels any more. Whatever becomes of
   * the requests, their keys are zeros as soon as that is known.
   */
  async write(requests: readonly TunnelRequest[], whole: boolean, gone = () => false): Promise<Outcome[]> {
    const deletions: Promise<unknown>[] = [];
    const outcomes = await this.#inLine(() => (gone() ? [] : this.#write(requests, whole, deletions))).finally(() =>
      requests.forEach(wipeKeys),
    );
    await Promise.all(deletions);
    return outcomes;
  }

  /** Undefined: there is no such tunnel. A string: what is wrong with these settings for it. */
  setSettings(id: bigint, changes: Partial<TunnelSettings>): Promise<TunnelSettings | string | undefined> {
    const { rules, now } = this.options;
    return this.#inLine(() => {
      const rule = rules.get(id)?.rule;
      if (rule === undefined) return undefined;
      const changed = { ...rule, settings: { ...rule.settings, ...changes } };
      if (rules.clashes(changed)) return clash(changed);
      rules.update(changed, now());
      return changed.settings;
    });
  }

  #inLine<T>(act: () => T): Promise<T> {
    const turn = this.#last.then(() => this.options.rules.settled()).then(act);
    this.#last = turn.catch(() => {});
    return turn;
  }

  #write(requests: readonly TunnelRequest[], whole: boolean, deletions: Promise<unknown>[]): Outcome[] {
    const { rules, ready } = this.options;
    if (!ready()) {
      const fault = unavailable("the device is starting, stopping, or has no worker: try again");
      return requests.map(({ tunnelId }) => ({ id: tunnelId, fault }));
    }
    const plan = new Plan(this.options);
    const steps = requests.map((request) => plan.add(request));
    if (whole && plan.peak > rules.capacity) {
      const fault = tableFull(
        `the tunnel table has ${rules.capacity} places and the stream needs ${plan.peak}: none of it was carried out; ` +
          "delete tunnels, send fewer, or raise tunnels.capacity",
      );
      return steps.map((step, i) => ({
        id: (requests[i] as TunnelRequest).tunnelId,
        fault: step instanceof TunnelFault ? step : fault,
      }));
    }
    const placed = new Map<SaKeys, SaRef>();
    const outcomes = steps.map((step, i) => this.#commit(step, (requests[i] as TunnelRequest).tunnelId, placed, deletions));
    this.#remark(steps, outcomes);
    return outcomes;
  }

  /** @param placed SAs that steps of this batch have put into the table */
  #commit(step: Step, id: bigint, placed: Map<SaKeys, SaRef>, deletions: Promise<unknown>[]): Outcome {
    if (step instanceof TunnelFault) return { id, fault: step };
    const { rules, now } = this.options;
    if (step.kind === "delete") {
      if (!rules.has(id)) return { id, fault: unknownId(id) };
      deletions.push(rules.delete(id, now()));
      return { id };
    }
    const { tunnelId } = step.rule.match;
    // Planned, but its own creation failed.
    if (step.kind === "create" && tunnelId !== undefined && !rules.has(tunnelId)) return { id, fault: unknownMatch(tunnelId) };
    if (rules.clashes(step.rule)) return { id, fault: invalidField(clash(step.rule)) };
    const rule = withSas(step.rule, placed);
    const status = this.#put(step.kind, rule);
    if (typeof status === "string") return { id, fault: unavailable(status) };
    switch (status) {
      case RuleStatus.done: {
        const done = step.kind === "create" ? rules.lastId : id;
        place(rule, rules.get(done)?.rule, placed);
        return { id: done };
      }
      case RuleStatus.exists:
        return { id, fault: exists(id) };
      case RuleStatus.missing:
        return { id, fault: unknownId(id) };
      case RuleStatus.full:
        return {
          id,
          fault: tableFull(`the tunnel table is full (${rules.capacity}): delete tunnels, or raise tunnels.capacity`),
        };
      case RuleStatus.sas:
        return { id, fault: tableFull("the table of security associations is full: delete some, or raise ipsec.capacity") };
      case RuleStatus.shapes:
        return {
          id,
          fault: invalidCapabilities(
            "match_criteria is one combination of fields and prefix lengths too many for the device: use combinations that other tunnels have",
          ),
        };
    }
  }

  /** A sentence: why sequence numbers could not be reserved (ipsec.ivState). */
  #put(kind: "create" | "update", rule: NewRule): RuleStatus | string {
    const { rules, now } = this.options;
    try {
      return kind === "create" ? rules.add(rule, now()) : rules.update(rule, now());
    } catch (cause) {
      if (cause instanceof SluiceError) return cause.message;
      throw cause;
    }
  }

  #remark(steps: readonly Step[], outcomes: readonly Outcome[]): void {
    const done = steps.flatMap((step, i) => {
      const { id, fault } = outcomes[i] as Outcome;
      return fault !== undefined || step instanceof TunnelFault || step.kind === "delete" ? [] : [{ id, ...step }];
    });
    // Decapsulation decides by its match alone: what anyone sends to any address comes out of such a tunnel. Not so of one that decrypts.
    const open = done.filter(
      ({ kind, rule: { match, tunnel } }) =>
        kind === "create" && isDecap(tunnel) && tunnel.kind !== "ipsec-dec" && match.ip?.destination === undefined,
    );
    if (open.length > 0) {
      const what = open.length === 1 ? `tunnel ${some(open)} decapsulates` : `tunnels ${some(open)} decapsulate`;
      this.options.log.warn(`${what} packets to any address: name the outer destination in match_criteria if that is not meant`);
    }
    const reserved = done.filter(({ rule }) => sasOf(rule.tunnel).some((sa) => !("slot" in sa) && sa.spi < FIRST_SPI));
    const now = this.options.now();
    if (reserved.length === 0 || now - this.#lastReserved < WARN_PERIOD_MS) return;
    this.#lastReserved = now;
    this.options.log.warn(
      `tunnel ${some(reserved)}: SPIs below ${FIRST_SPI} are reserved (RFC 4303 section 2.1): take others if that is not meant`,
    );
  }
}

function some(tunnels: readonly { readonly id: bigint }[]): string {
  const ids = tunnels.map(({ id }) => id);
  return ids.length > 4 ? `${ids.slice(0, 4).join(", ")} and ${ids.length - 4} more` : ids.join(", ");
}

/** A later step of a batch goes by what an earlier one asked for: by now its SAs are in the table. */
function withSas(rule: NewRule, placed: ReadonlyMap<SaKeys, SaRef>): NewRule {
  const known = (sa: SaRef | SaKeys) => ("slot" in sa ? sa : (placed.get(sa) ?? sa));
  const { tunnel } = rule;
  if (tunnel.kind === "ipsec-enc") return { ...rule, tunnel: { ...tunnel, sa: known(tunnel.sa) } };
  return tunnel.kind === "ipsec-dec" ? { ...rule, tunnel: { ...tunnel, sas: tunnel.sas.map(known) } } : rule;
}

function place(asked: NewRule, done: NewRule | undefined, placed: Map<SaKeys, SaRef>): void {
  const refs = new Map((done === undefined ? [] : sasOf(done.tunnel)).map((sa) => [sa.spi, sa]));
  for (const sa of sasOf(asked.tunnel)) {
    const ref = refs.get(sa.spi);
    if (!("slot" in sa) && ref !== undefined && "slot" in ref) placed.set(sa, ref);
  }
}

function clash({ settings }: NewRule): string {
  return `UDP port ${settings.udpPort} is where other tunnels of the device expect another header: choose another udp_port`;
}
