// Control's half of the shapes: which combinations of fields and prefix lengths rules look at (layout: rule-memory.ts). Two
// areas, of which the generation names the one in use: the other is written, then the generation moves on.

import type { Retirement } from "./retire.js";
import type { RuleKey } from "./rule-key.js";
import { Control, SHAPES, Shape } from "./rule-memory.js";

export interface KnownShape {
  readonly id: number;
  readonly key: RuleKey;
  readonly name: string;
  users: number;
}

export class RuleShapes {
  readonly #known = new Map<string, KnownShape>();
  readonly #free = Array.from({ length: SHAPES }, (_, i) => SHAPES - 1 - i);

  constructor(
    readonly control: Int32Array,
    readonly retirement: Retirement,
  ) {}

  get size(): number {
    return this.#known.size;
  }

  /** For one more rule; undefined when there are too many. */
  take(key: RuleKey): KnownShape | undefined {
    const name = [key.words, key.masks.map((mask) => mask >>> 0), key.classes, key.rank].join(";");
    let shape = this.#known.get(name);
    if (shape === undefined) {
      const id = this.#free.pop();
      if (id === undefined) return undefined;
      shape = { id, key, name, users: 0 };
      this.#known.set(name, shape);
      this.#write();
    }
    shape.users++;
    return shape;
  }

  release(shape: KnownShape): void {
    if (--shape.users > 0) return;
    this.#known.delete(shape.name);
    this.#write();
    // Workers may search by an old copy of the shapes until they begin their next burst.
    this.retirement.after(() => this.#free.push(shape.id));
  }

  #write(): void {
    const { control } = this;
    const area = (Atomics.load(control, Control.generation) + 1) & 1;
    const sorted = [...this.#known.values()].sort((a, b) => b.key.rank - a.key.rank || a.id - b.id);
    sorted.forEach(({ id, key }, i) => {
      const base = Control.size + (area * SHAPES + i) * Shape.size;
      control.fill(0, base, base + Shape.size);
      control[base + Shape.n] = key.words.length;
      control[base + Shape.rank] = key.rank;
      control[base + Shape.id] = id;
      control.set(key.classes, base + Shape.classes);
      key.words.forEach((word, w) => {
        control[base + Shape.words + 2 * w] = word;
        control[base + Shape.words + 2 * w + 1] = key.masks[w] as number;
      });
    });
    control[Control.shapes + area] = sorted.length;
    Atomics.add(control, Control.generation, 1);
  }
}
