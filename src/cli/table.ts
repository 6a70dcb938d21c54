// Tables for humans: aligned plain text, numbers to the right.

export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string | number | bigint;
}

const digits = new Intl.NumberFormat("en");

/** A table that is written piece by piece, so that a long one is never held whole: a piece is aligned with those before it. */
export class Table<T> {
  readonly #columns: readonly Column<T>[];
  readonly #widths: number[];
  #begun = false;

  constructor(columns: readonly Column<T>[]) {
    this.#columns = columns;
    this.#widths = columns.map(({ title }) => title.length);
  }

  /** The lines of these rows; before the first ones the titles. */
  rows(rows: readonly T[]): string {
    const values = rows.map((row) => this.#columns.map(({ value }) => value(row)));
    const right = this.#columns.map((_, i) => values.every((row) => typeof row[i] !== "string"));
    const cells = values.map((row) => row.map((value) => (typeof value === "string" ? value : digits.format(value))));
    if (!this.#begun) cells.unshift(this.#columns.map(({ title }) => title));
    this.#begun = true;
    for (const row of cells) {
      row.forEach((cell, i) => {
        this.#widths[i] = Math.max(this.#widths[i] ?? 0, cell.length);
      });
    }
    const pad = (cell: string, i: number) => (right[i] ? cell.padStart(this.#widths[i] ?? 0) : cell.padEnd(this.#widths[i] ?? 0));
    return cells.map((row) => `${row.map(pad).join("  ").trimEnd()}\n`).join("");
  }
}

export function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  return new Table(columns).rows(rows);
}
