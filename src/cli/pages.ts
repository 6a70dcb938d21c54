// Rows that come in pages, written as they come: as one table or one JSON array. However many there are, one page is held.

import { json } from "./json.js";
import { write } from "./output.js";
import { type Column, Table } from "./table.js";

export interface Shape<T> {
  readonly columns: readonly Column<T>[];
  readonly plain: (row: T) => unknown;
  /** What the table says when there is no row. */
  readonly none: string;
}

/** Rows that are aligned together and written at once. */
const PIECE = 1000;

export async function writeAll<T>(pages: AsyncIterable<T[]>, { columns, plain, none }: Shape<T>, asJson: boolean): Promise<void> {
  const aligned = new Table(columns);
  let written = 0;
  for await (const page of pages) {
    for (let from = 0; from < page.length; from += PIECE) {
      const piece = page.slice(from, from + PIECE);
      const list = () => piece.map((row, i) => `${written + i > 0 ? "," : "["}\n${json(plain(row)).trimEnd()}`).join("");
      await write(asJson ? list() : aligned.rows(piece));
      written += piece.length;
    }
  }
  if (asJson) await write(written === 0 ? "[]\n" : "\n]\n");
  else if (written === 0) await write(none);
}
