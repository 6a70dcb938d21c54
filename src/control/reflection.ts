// Server reflection, v1 and v1alpha (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md), by @grpc/reflection,
// from the descriptors that protoc wrote beside the generated code (npm run proto): file names, imports and comments' places
// are those of the sources. Lists what the server serves; describes all that the descriptors hold.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { ServerDuplexStream, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { PackageDefinition } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { SluiceError } from "../errors.js";
import type { Service } from "./server.js";

/** From dist/src/control to the package. */
const DESCRIPTORS = fileURLToPath(new URL("../../../src/control/gen/descriptors.binpb", import.meta.url));
const OWN = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

type Call = ServerDuplexStream<unknown, unknown>;

/** One service for each version. @param names of the services beside these */
export function reflectionServices(names: readonly string[]): Service[] {
  const reflection = new ReflectionService(definition(readFiles()), { services: [...names, ...OWN] });
  const services: Service[] = [];
  reflection.addToServer({
    addService: (definition: ServiceDefinition, handlers: UntypedServiceImplementation) => {
      services.push(service(definition, handlers));
    },
  });
  return services;
}

/** The package takes the files from a definition, and looks at nothing else in it. */
function definition(fileDescriptorProtos: Buffer[]): PackageDefinition {
  return { all: { format: "Protocol Buffer 3 EnumDescriptorProto", type: {}, fileDescriptorProtos } };
}

/** Around the package: calls are ended when the server stops, and one that does not read its answers is not read from. */
function service(definition: ServiceDefinition, { ServerReflectionInfo }: UntypedServiceImplementation): Service {
  const calls = new Set<Call>();
  return {
    definition,
    handlers: {
      ServerReflectionInfo(call: Call) {
        calls.add(call);
        call.on("cancelled", () => calls.delete(call));
        (ServerReflectionInfo as (call: Call) => void)(call);
        // After the package's listener, which has written the answer.
        call.on("data", () => {
          if (call.writableNeedDrain) {
            call.pause();
            call.once("drain", () => call.resume());
          }
        });
      },
    },
    end() {
      for (const call of calls) call.end();
    },
  };
}

/** The FileDescriptorProtos of a FileDescriptorSet (google/protobuf/descriptor.proto): its field 1, repeated. */
function readFiles(): Buffer[] {
  const files: Buffer[] = [];
  const reader = new BinaryReader(readSet());
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1 && type === WireType.LengthDelimited) files.push(Buffer.from(reader.bytes()));
    else reader.skip(type);
  }
  return files;
}

function readSet(): Buffer {
  try {
    return readFileSync(DESCRIPTORS);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SluiceError("file", `reading the descriptors of the API failed: ${why}. npm run build makes them`, { cause });
  }
}
