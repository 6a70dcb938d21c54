// ESP for a burst: packets get their new form or are looked through one by one, and wait; the AEAD provider is called once for all; then
// they go on.

import type { Aead } from "../aead/aead.js";
import type { Burst } from "../memory/burst.js";
import { Fate } from "../reason.js";
import type { RuleLookup } from "../table/rule-lookup.js";
import { Base, Procedure, Rule } from "../table/rule-memory.js";
import type { SaLookup } from "../table/sa-lookup.js";
import { Sa } from "../table/sa-memory.js";
import { be32 } from "../wire/bytes.js";
import { Esp as EspHeader } from "../wire/esp.js";
import type { EspAudit } from "./esp-audit.js";
import { EspContexts } from "./esp-contexts.js";
import { EspJobs } from "./esp-jobs.js";
import { EspOpen } from "./esp-open.js";
import { EspSeal } from "./esp-seal.js";
import type { Headers } from "./headers.js";
import type { Identification } from "./identification.js";

export class Esp {
  readonly jobs: EspJobs;
  readonly contexts: EspContexts;
  readonly seal: EspSeal;
  readonly open: EspOpen;
  // Done jobs that finish() has not come to
  #sealed = 0;
  #opened = 0;

  constructor(
    readonly rules: RuleLookup,
    sas: SaLookup,
    readonly aead: Aead,
    identification: Identification,
    readonly audit: EspAudit | undefined,
  ) {
    this.jobs = new EspJobs(sas);
    this.contexts = new EspContexts(sas, aead);
    this.seal = new EspSeal(rules, this.contexts, this.jobs, identification);
    this.open = new EspOpen(rules, this.contexts, this.jobs);
  }

  /** @returns Fate.count: it waits for run(); or why it is dropped */
  prepare(burst: Burst, i: number, headers: Headers, slot: number, procedure: Procedure): Fate {
    const { open, audit } = this;
    if (procedure === Procedure.ipsecEnc) {
      const fate = this.seal.prepare(burst, i, headers, slot);
      if (fate !== Fate.count) audit?.note(burst, i, fate, this.#spi(slot), 0);
      return fate;
    }
    const fate = open.prepare(burst, i, headers, slot);
    if (fate !== Fate.count) {
      const { bytes } = burst.frames;
      const esp = headers.base[Base.header];
      audit?.note(burst, i, fate, be32(bytes, esp + EspHeader.spi), be32(bytes, esp + EspHeader.sequence));
    }
    return fate;
  }

  /** Of a rule that encrypts. */
  #spi(slot: number): number {
    const sa = this.rules.records[slot * Rule.size + Rule.sa];
    return sa < 0 ? 0 : this.contexts.sas.records[sa * Sa.size + Sa.spi];
  }

  run(): void {
    this.jobs.run(this.aead);
    this.#sealed = 0;
    this.#opened = 0;
  }

  /** In the order of prepare(). @returns Fate.count: it is through; or why it is dropped */
  finish(burst: Burst, i: number, slot: number, procedure: Procedure): Fate {
    if (procedure === Procedure.ipsecEnc) {
      this.seal.finish(burst, i, slot, this.#sealed++);
      return Fate.count;
    }
    const { open } = this;
    const job = this.#opened++;
    const fate = open.finish(burst, i, slot, job);
    if (fate !== Fate.count && fate !== Fate.espDummy) this.audit?.note(burst, i, fate, open.spi(job), open.sequence(i));
    return fate;
  }
}
