// Opens a worker's instance of every port of the device, or the captures of a replay in their place.

import type { PortConfig } from "../config/config.js";
import type { Counters } from "../memory/counters.js";
import type { Frames } from "../memory/frames.js";
import { native } from "../native.js";
import { openAfPacket } from "./af-packet.js";
import type { Tell } from "./capture.js";
import { FilePort } from "./file.js";
import { MemoryPort } from "./memory.js";
import type { Port } from "./port.js";
import { openReplay, type ReplayPlan } from "./replay.js";

export interface OpenOptions {
  readonly worker: number;
  readonly workers: number;
  readonly maxFrame: number;
  readonly ports: readonly PortConfig[];
  /** By port: fanout group of its af_packet sockets. */
  readonly fanout: readonly number[];
  readonly replay?: ReplayPlan | undefined;
  readonly frames: Frames;
  readonly counters: Counters;
  readonly tell: Tell;
}

export interface OpenPorts {
  /** To receive from. */
  readonly sources: readonly Port[];
  /** By port index: to send to. */
  readonly egress: readonly Port[];
  /** Waits until a source may have something, at most this many milliseconds. */
  rest(milliseconds: number): void;
  close(): void;
}

/** Opens all of them or, when one fails, none. */
export function openPorts(options: OpenOptions): OpenPorts {
  const { replay, counters, worker, workers, maxFrame, tell } = options;
  if (replay !== undefined) {
    const { source, sinks } = openReplay({ ...replay, ports: options.ports, worker, workers, maxFrame, counters, tell });
    const rest = (milliseconds: number) => source.wait(milliseconds);
    return { sources: [source], egress: sinks, rest, close: () => closeAll([source, ...sinks]) };
  }
  const ports: Port[] = [];
  try {
    for (const port of options.ports) ports.push(open(port, options));
  } catch (error) {
    closeAll(ports);
    throw error;
  }
  const descriptors = new Int32Array(ports.length);
  return {
    sources: ports,
    egress: ports,
    rest: (milliseconds) => {
      // A socket that was opened anew after its interface came back has another descriptor.
      let n = 0;
      for (const port of ports) if (port.fd >= 0) descriptors[n++] = port.fd;
      native.poll(descriptors, n, milliseconds);
    },
    close: () => closeAll(ports),
  };
}

function open(port: PortConfig, options: OpenOptions): Port {
  const { driver } = port;
  switch (driver.driver) {
    case "af_packet":
      return openAfPacket(
        { ...port, driver },
        { workers: options.workers, fanout: options.fanout[port.index] },
        options.frames,
        options.counters,
        options.maxFrame,
      );
    case "file":
      return new FilePort({ ...options, index: port.index, driver });
    case "memory":
      return new MemoryPort({ ...options, index: port.index, driver });
  }
}

function closeAll(ports: readonly Port[]): void {
  for (const port of ports) port.close();
}
