// Numbers of tunnel ids: what a packet carries of the last tunnel that it went through, and what rules match on. An id has
// one as long as it is a tunnel or a rule matches on it.

import type { Retirement } from "./retire.js";

interface Numbered {
  readonly number: number;
  exists: boolean;
  /** Rules that match on it. */
  dependents: number;
}

export class RuleNumbers {
  readonly #ids = new Map<bigint, Numbered>();
  readonly #free: number[] = [];
  #fresh = 0;

  constructor(readonly retirement: Retirement) {}

  has(id: bigint): boolean {
    return this.#ids.has(id);
  }

  of(id: bigint): number {
    return this.#numbered(id).number;
  }

  /** It is a tunnel from now on, or none any more. */
  exists(id: bigint, exists: boolean): void {
    this.#numbered(id).exists = exists;
    this.settle(id);
  }

  /** One more or one less rule matches on it. */
  depend(id: bigint, rules: 1 | -1): void {
    this.#numbered(id).dependents += rules;
    this.settle(id);
  }

  /** Gives up its number when nobody needs it. */
  settle(id: bigint): void {
    const numbered = this.#ids.get(id);
    if (numbered === undefined || numbered.exists || numbered.dependents > 0) return;
    this.#ids.delete(id);
    // A packet on its way may carry it as its last tunnel.
    this.retirement.after(() => this.#free.push(numbered.number));
  }

  #numbered(id: bigint): Numbered {
    let numbered = this.#ids.get(id);
    if (numbered === undefined) {
      numbered = { number: this.#free.pop() ?? this.#fresh++, exists: false, dependents: 0 };
      this.#ids.set(id, numbered);
    }
    return numbered;
  }
}
