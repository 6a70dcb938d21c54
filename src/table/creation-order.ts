// Sessions in the order of their creation, for paging: a doubly linked list over slots, with cursors that stay where they
// are when the session under them goes: they move to the one before it, so that what follows is neither skipped nor given
// twice. The cursors at which clients' last pages ended are kept by the id that the page ended with (api.md point 5).
// Links are slot + 1; 0 is the head of the list.

/** Page ends that are remembered. */
const PAGE_ENDS = 1_024;

/** A place in the list: behind the session with this link. */
export interface Cursor {
  link: number;
}

export class CreationOrder {
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  #last = 0;
  /** Cursors by the link they stand at, which must follow removals. */
  readonly #standing = new Map<number, Set<Cursor>>();
  /** By session id, oldest first. */
  readonly #ends = new Map<bigint, Cursor>();

  constructor(capacity: number) {
    this.#next = new Int32Array(capacity + 1);
    this.#previous = new Int32Array(capacity + 1);
  }

  append(slot: number): void {
    const link = slot + 1;
    this.#previous[link] = this.#last;
    this.#next[link] = 0;
    this.#next[this.#last] = link;
    this.#last = link;
  }

  remove(slot: number): void {
    const link = slot + 1;
    const next = this.#next[link] as number;
    const previous = this.#previous[link] as number;
    this.#next[previous] = next;
    if (next === 0) this.#last = previous;
    else this.#previous[next] = previous;
    const cursors = this.#standing.get(link);
    if (cursors === undefined) return;
    this.#standing.delete(link);
    for (const cursor of cursors) this.#stand(cursor, previous);
  }

  /** A cursor behind this slot, or (-1) before the first. To be closed. */
  open(slot: number): Cursor {
    const cursor = { link: slot + 1 };
    this.#stand(cursor, slot + 1);
    return cursor;
  }

  /** A cursor where the page that ended with this id ended, or undefined when that is forgotten. To be closed. */
  reopen(id: bigint): Cursor | undefined {
    const end = this.#ends.get(id);
    return end === undefined ? undefined : this.open(end.link - 1);
  }

  /** The slot behind the cursor, or -1 at the end. */
  after(cursor: Cursor): number {
    return (this.#next[cursor.link] as number) - 1;
  }

  /** Moves the cursor behind this slot. */
  move(cursor: Cursor, slot: number): void {
    this.close(cursor);
    this.#stand(cursor, slot + 1);
  }

  close(cursor: Cursor): void {
    const cursors = this.#standing.get(cursor.link);
    cursors?.delete(cursor);
    if (cursors?.size === 0) this.#standing.delete(cursor.link);
  }

  /** Keeps the cursor, in place of closing it, as the end of a page whose last session had this id. */
  keep(cursor: Cursor, id: bigint): void {
    const [oldest] = this.#ends.keys();
    for (const gone of this.#ends.has(id) ? [id] : this.#ends.size === PAGE_ENDS ? [oldest as bigint] : []) {
      this.close(this.#ends.get(gone) as Cursor);
      this.#ends.delete(gone);
    }
    this.#ends.set(id, cursor);
  }

  #stand(cursor: Cursor, link: number): void {
    cursor.link = link;
    const cursors = this.#standing.get(link);
    if (cursors === undefined) this.#standing.set(link, new Set([cursor]));
    else cursors.add(cursor);
  }
}
