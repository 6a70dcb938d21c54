// Sessions in the order of their creation, for paging: a doubly linked list over slots, with cursors that stay where they
// are when the session under them goes: they move to the one before it, so that what follows is neither skipped nor given
// twice. The cursors at which clients' last pages ended are kept by the id that the page ended with (api.md point 5).
// Links are slot + 1; 0 is the head of the list.

/** Page ends that are remembered. */
const PAGE_ENDS = 1_024;

/** Where cursors stand: behind the session with this link. Those at one place move as one, whatever their number. */
interface Place {
  link: number;
  readonly cursors: Set<Cursor>;
}

export interface Cursor {
  place: Place;
}

export class CreationOrder {
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  #last = 0;
  /** By link. */
  readonly #places = new Map<number, Place>();
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
    const next = this.#next[link];
    const previous = this.#previous[link];
    this.#next[previous] = next;
    if (next === 0) this.#last = previous;
    else this.#previous[next] = previous;
    if (this.#places.size === 0) return;
    const place = this.#places.get(link);
    if (place !== undefined) this.#movePlace(place, previous);
  }

  /** The slot behind this one (-1: the first), or -1 at the end. */
  after(slot: number): number {
    return this.#next[slot + 1] - 1;
  }

  /** A cursor behind this slot, or (-1) before the first. To be closed. */
  open(slot: number): Cursor {
    const place = this.#placeAt(slot + 1);
    const cursor = { place };
    place.cursors.add(cursor);
    return cursor;
  }

  /** A cursor where the page that ended with this id ended, or undefined when that is forgotten. To be closed. */
  reopen(id: bigint): Cursor | undefined {
    const end = this.#ends.get(id);
    return end === undefined ? undefined : this.open(this.slot(end));
  }

  /** The slot that the cursor stands behind, or -1 before the first. */
  slot(cursor: Cursor): number {
    return cursor.place.link - 1;
  }

  move(cursor: Cursor, slot: number): void {
    this.close(cursor);
    cursor.place = this.#placeAt(slot + 1);
    cursor.place.cursors.add(cursor);
  }

  close(cursor: Cursor): void {
    const { link, cursors } = cursor.place;
    cursors.delete(cursor);
    if (cursors.size === 0) this.#places.delete(link);
  }

  /** Keeps the cursor, in place of closing it, as the end of a page whose last session had this id. */
  keep(cursor: Cursor, id: bigint): void {
    this.#forget(id);
    if (this.#ends.size === PAGE_ENDS) this.#forget(this.#ends.keys().next().value as bigint);
    this.#ends.set(id, cursor);
  }

  #forget(id: bigint): void {
    const end = this.#ends.get(id);
    if (end === undefined) return;
    this.close(end);
    this.#ends.delete(id);
  }

  #placeAt(link: number): Place {
    let place = this.#places.get(link);
    if (place === undefined) {
      place = { link, cursors: new Set() };
      this.#places.set(link, place);
    }
    return place;
  }

  #movePlace(place: Place, link: number): void {
    this.#places.delete(place.link);
    const there = this.#places.get(link);
    // The smaller joins the larger: sessions that go newest first push all page ends before them.
    const [larger, smaller] = there === undefined || there.cursors.size < place.cursors.size ? [place, there] : [there, place];
    for (const cursor of smaller?.cursors ?? []) {
      larger.cursors.add(cursor);
      cursor.place = larger;
    }
    larger.link = link;
    this.#places.set(link, larger);
  }
}
