// What the processes of a control benchmark say to each other: one request, one answer, in turn.

export type ServerRequest =
  /** `empty`: the same service with handlers that do nothing. */
  | { readonly do: "start"; readonly kind: "device" | "empty"; readonly capacity: number; readonly backlog: number }
  /** Puts sessions in without gRPC. */
  | { readonly do: "fill"; readonly first: number; readonly count: number; readonly timeout: number }
  /** Lets sessions close: as many records as GetClosedSessions will find. */
  | { readonly do: "close"; readonly count: number }
  /** Writes to every session's counters, as if each worker had seen each session, and says how much memory is in use. */
  | { readonly do: "touch" }
  /** Turns the clock ahead, and answers when `count` more sessions have closed. */
  | { readonly do: "age"; readonly ms: number; readonly count: number }
  /** Watches from now on for how long the thread is held. */
  | { readonly do: "watch" }
  | { readonly do: "pause" };

export interface ServerAnswer {
  readonly port?: number;
  /** Bytes that the process holds in memory. */
  readonly resident?: number;
  /** Seconds by the clock, and of the thread's processor time. */
  readonly seconds?: number;
  readonly processor?: number;
  readonly held?: Held;
}

/** The longest of each, in milliseconds. */
export interface Held {
  /** Between two turns of the event loop, by the clock. */
  readonly wall: number;
  /** The same in the thread's own processor time: what other programs had of the processor is not in it. */
  readonly processor: number;
  readonly collection: number;
}

export type LoadRequest =
  | { readonly do: "connect"; readonly port: number }
  /** Streams of AddSession, `inFlight` of them at a time; `parts` times are taken on the way. */
  | {
      readonly do: "add";
      readonly first: number;
      readonly count: number;
      readonly perStream: number;
      readonly inFlight: number;
      readonly parts?: number;
      readonly timeout?: number;
    }
  | { readonly do: "delete"; readonly first: number; readonly count: number; readonly inFlight: number }
  /** GetAllSessions from the beginning to the empty page. */
  | { readonly do: "list"; readonly pageSize: number }
  /** One poll of GetClosedSessions. */
  | { readonly do: "closed"; readonly pageSize: number };

export interface LoadAnswer {
  readonly seconds: number;
  /** Messages or sessions that came back. */
  readonly count: number;
  /** Seconds of each part. */
  readonly parts: readonly number[];
}
