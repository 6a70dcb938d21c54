// Text that is drawn over what was drawn before, on a terminal (ECMA-48: CUU, ED). Below what stood there already.

import type { WriteStream } from "node:tty";

const MIN_ROWS = 1;

export class Screen {
  #drawn = 0;

  constructor(private readonly terminal: WriteStream) {}

  /** Lines that can be drawn over, less so many. */
  rows(less: number): number {
    return Math.max(this.terminal.rows - less - 1, MIN_ROWS);
  }

  /** Lines that are too long are cut: one that wraps would be two. */
  show(text: string): void {
    const lines = text.trimEnd().split("\n");
    const over = this.#drawn === 0 ? "" : `\x1b[${this.#drawn}A\r\x1b[J`;
    this.terminal.write(`${over}${lines.map((line) => `${line.slice(0, this.terminal.columns)}\n`).join("")}`);
    this.#drawn = lines.length;
  }
}
