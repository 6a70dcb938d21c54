// Sessions in the order of their creation, for paging: a doubly linked list over slots, and the ends of the pages that
// clients were given last. A page end whose session goes moves to the one before it, so that the next page continues
// exactly where that page ended (api.md point 5). Links are slot + 1; 0 is the head of the list.

/** Page ends that are remembered. */
const PAGE_ENDS = 1_024;

/** Page ends that stand at the same link: they move as one, whatever their number. */
interface Place {
  link: number;
  readonly ids: Set<bigint>;
}

export class CreationOrder {
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  #first = 0;
  #last = 0;
  /** Session id → where its page ended; oldest first. */
  readonly #ends = new Map<bigint, Place>();
  readonly #places = new Map<number, Place>();

  constructor(capacity: number) {
    this.#next = new Int32Array(capacity + 1);
    this.#previous = new Int32Array(capacity + 1);
  }

  append(slot: number): void {
    const link = slot + 1;
    this.#previous[link] = this.#last;
    this.#next[link] = 0;
    if (this.#last === 0) this.#first = link;
    else this.#next[this.#last] = link;
    this.#last = link;
  }

  remove(slot: number): void {
    const link = slot + 1;
    const next = this.#next[link] as number;
    const previous = this.#previous[link] as number;
    if (previous === 0) this.#first = next;
    else this.#next[previous] = next;
    if (next === 0) this.#last = previous;
    else this.#previous[next] = previous;
    const place = this.#places.get(link);
    if (place !== undefined) this.#move(place, previous);
  }

  /** Slot after this one (-1: the first), or -1 at the end. */
  after(slot: number): number {
    const next = slot < 0 ? this.#first : (this.#next[slot + 1] as number);
    return next - 1;
  }

  /** A page ended with this session. */
  rememberEnd(id: bigint, slot: number): void {
    this.#forget(id);
    if (this.#ends.size === PAGE_ENDS) this.#forget(this.#ends.keys().next().value as bigint);
    this.#stand(id, slot + 1);
  }

  /** Slot after which the page that ended with this id continues (-1: before the first), or undefined when forgotten. */
  resumeEnd(id: bigint): number | undefined {
    const place = this.#ends.get(id);
    return place === undefined ? undefined : place.link - 1;
  }

  #stand(id: bigint, link: number): void {
    let place = this.#places.get(link);
    if (place === undefined) {
      place = { link, ids: new Set() };
      this.#places.set(link, place);
    }
    place.ids.add(id);
    this.#ends.set(id, place);
  }

  #move(place: Place, link: number): void {
    this.#places.delete(place.link);
    const there = this.#places.get(link);
    // The smaller joins the larger: sessions that go newest first push all page ends before them.
    const [larger, smaller] = there === undefined || there.ids.size < place.ids.size ? [place, there] : [there, place];
    for (const id of smaller?.ids ?? []) {
      larger.ids.add(id);
      this.#ends.set(id, larger);
    }
    larger.link = link;
    this.#places.set(link, larger);
  }

  #forget(id: bigint): void {
    const place = this.#ends.get(id);
    if (place === undefined) return;
    this.#ends.delete(id);
    place.ids.delete(id);
    if (place.ids.size === 0) this.#places.delete(place.link);
  }
}
