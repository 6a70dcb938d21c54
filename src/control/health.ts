// grpc.health.v1.Health (https://github.com/grpc/grpc/blob/master/doc/health-checking.md), by grpc-health-check: the server as
// a whole ("") and each of its services are SERVING while the device can serve sessions, all at once.
//
// Around the package: watches are ended when the server stops, after they said NOT_SERVING; and one for a service that we do
// not have is kept here, because the package remembers its name forever.

import type { ServerWritableStream, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import type { Service } from "./server.js";

/** The longest that a watch is behind what a call would be told. */
const PERIOD_MS = 100;

type Watch = ServerWritableStream<{ readonly service: string }, { readonly status: string }>;

/** @param names of the services @param ready can the device serve? */
export function healthService(names: readonly string[], ready: () => boolean): Service {
  const known = new Set(["", ...names]);
  const health = new HealthImplementation();
  let told: boolean | undefined;
  let over = false;

  function refresh(): void {
    const serving = !over && ready();
    if (serving === told) return;
    told = serving;
    for (const name of known) health.setStatus(name, serving ? "SERVING" : "NOT_SERVING");
  }

  refresh();
  const timer = setInterval(refresh, PERIOD_MS);
  timer.unref();
  const watches = new Set<Watch>();
  const { definition, handlers } = captured(health);
  const { check, list, watch } = handlers;
  return {
    definition,
    handlers: {
      check: fresh(check),
      list: fresh(list),
      watch(call: Watch) {
        refresh();
        watches.add(call);
        call.on("cancelled", () => watches.delete(call));
        if (known.has(call.request.service)) (watch as (call: Watch) => void)(call);
        else call.write({ status: "SERVICE_UNKNOWN" });
      },
    },
    end() {
      over = true;
      clearInterval(timer);
      refresh();
      for (const call of watches) call.end();
    },
  };

  /** Asks whether the device is ready before it answers. */
  function fresh(handler: UntypedServiceImplementation[string]): UntypedServiceImplementation[string] {
    return (...call: unknown[]) => {
      refresh();
      (handler as (...call: unknown[]) => void)(...call);
    };
  }
}

/** What an implementation by the gRPC authors would add to a server. */
function captured(implementation: { addToServer(server: Adding): void }): Omit<Service, "end"> {
  let added: Omit<Service, "end"> | undefined;
  implementation.addToServer({
    addService: (definition, handlers) => {
      added = { definition, handlers };
    },
  });
  if (added === undefined) throw new Error("it adds no service");
  return added;
}

interface Adding {
  addService(definition: ServiceDefinition, handlers: UntypedServiceImplementation): void;
}
