// The proto files against the written contract: ../shared/spec, which names every field and number.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary, isFieldSet } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import t from "tap";

const root = new URL("../../../", import.meta.url);
const api = new URL("../shared/spec/api.md", root);
const reference = new URL("../shared/spec/openoffload-v2-messages.md", root);
const skip = [api, reference].every((file) => existsSync(file)) ? hasProtoc() : "../shared/spec is not here";

interface Field {
  readonly number: number;
  readonly type: string;
  readonly repeated: boolean;
  readonly oneof: string | undefined;
}

function hasProtoc(): false | string {
  try {
    execFileSync("protoc", ["--version"]);
    return false;
  } catch {
    return "protoc is not installed";
  }
}

/** "package.Message.field" → what our proto files say of it; "package.Enum.VALUE" → its number. */
function ours(): { fields: Map<string, Field>; values: Map<string, number>; methods: Map<string, string> } {
  const files = ["openoffload.proto", "tunneloffload.proto"];
  const proto = new URL("proto", root).pathname;
  const directory = mkdtempSync(join(tmpdir(), "sluice-contract-"));
  const out = join(directory, "descriptors");
  execFileSync("protoc", ["-I", proto, `--descriptor_set_out=${out}`, ...files]);
  const set = readFileSync(out);
  rmSync(directory, { recursive: true });
  const fields = new Map<string, Field>();
  const values = new Map<string, number>();
  const methods = new Map<string, string>();
  const walk = (scope: string, message: DescriptorProto): void => {
    const name = `${scope}.${message.name}`;
    for (const field of message.field) {
      fields.set(`${name}.${field.name}`, {
        number: field.number,
        type: field.typeName.slice(1) || (FieldDescriptorProto_Type[field.type] as string).toLowerCase(),
        repeated: field.label === FieldDescriptorProto_Label.REPEATED,
        // The index has the default 0 where a field is in no oneof.
        oneof: isFieldSet(field, FieldDescriptorProtoSchema.field.oneofIndex)
          ? message.oneofDecl[field.oneofIndex]?.name
          : undefined,
      });
    }
    for (const nested of message.nestedType) {
      walk(name, nested);
    }
  };
  for (const file of fromBinary(FileDescriptorSetSchema, set).file) {
    for (const message of file.messageType) {
      walk(file.package, message);
    }
    for (const { name, value } of file.enumType) {
      for (const one of value) {
        values.set(`${file.package}.${name}.${one.name}`, one.number);
      }
    }
    for (const service of file.service) {
      for (const { name, inputType, outputType, clientStreaming, serverStreaming } of service.method) {
        const stream = (is: boolean, type: string): string => (is ? "stream " : "") + type.slice(file.package.length + 2);
        methods.set(`${service.name}.${name}`, `${stream(clientStreaming, inputType)} → ${stream(serverStreaming, outputType)}`);
      }
    }
  }
  return { fields, values, methods };
}

/** The part of a text between a mark and the next one of its kind. */
function section(text: string, mark: string, next: RegExp): string {
  const from = text.indexOf(mark) + mark.length;
  const end = text.slice(from).search(next);
  return text.slice(from, end < 0 ? undefined : from + end);
}

/** api.md: "- Message: a=1:type, oneof x{b=2}; nested Inner{c=1}", several split by " · ". */
function numbers(): Map<string, { number: number; oneof: string | undefined }> {
  const text = readFileSync(api, "utf8");
  const found = new Map<string, { number: number; oneof: string | undefined }>();
  for (const name of ["openoffload.v2", "tunneloffload.v2"]) {
    const bullets = section(text, `### ${name}\n`, /\n##/)
      .replace(/\n {2}/g, " ")
      .split("\n- ");
    for (const definition of bullets.flatMap((bullet) => bullet.replace(/^- /, "").split(" · "))) {
      const colon = definition.indexOf(": ");
      if (/^(service|enum) /.test(definition) || colon < 0) {
        continue;
      }
      const scope: { message: string; oneof: string | undefined }[] = [
        { message: `${name}.${definition.slice(0, colon)}`, oneof: undefined },
      ];
      for (const [, oneof, nested, field, number, close] of definition
        .slice(colon)
        .matchAll(/oneof (\w+)\{|(\w+)\{|(\w+)=(\d+)|(\})/g)) {
        const top = scope.at(-1) as { message: string; oneof: string | undefined };
        if (oneof !== undefined) {
          scope.push({ message: top.message, oneof });
        } else if (nested !== undefined) {
          scope.push({ message: `${top.message}.${nested}`, oneof: undefined });
        } else if (close !== undefined) {
          scope.pop();
        } else {
          found.set(`${top.message}.${field}`, { number: Number(number), oneof: top.oneof });
        }
      }
    }
  }
  return found;
}

t.test("every field has the number and the oneof of api.md, and there is no other", { skip }, async (t) => {
  const expected = numbers();
  const { fields } = ours();
  t.ok(expected.size > 140, `${expected.size} fields in api.md`);
  t.same([...fields.keys()].sort(), [...expected.keys()].sort());
  for (const [name, field] of expected) {
    t.match(fields.get(name), field, name);
  }
});

t.test("every field has the type and label, every enum value the number of the message reference", { skip }, async (t) => {
  const { fields, values } = ours();
  const seen = { fields: 0, values: 0 };
  for (const part of readFileSync(reference, "utf8").split(/^<a name="/m)) {
    const [, name, version, entity] = /^(\w+)-(v2)-([\w-]+)"><\/a>/.exec(part) ?? [];
    const scope = `${name}.${version}.${entity?.replaceAll("-", ".")}`;
    for (const [, field, type, label] of part.matchAll(/^\| (\w+) \| \[([\w.]+)\]\(#[\w-]+\) \| *(\w*) *\|/gm)) {
      const own = fields.get(`${scope}.${field}`);
      t.ok(own?.type === type || own?.type === `${name}.${version}.${type}`, `${scope}.${field}: ${type}, ours ${own?.type}`);
      t.equal(own?.repeated, label === "repeated", `${scope}.${field} ${label}`);
      seen.fields++;
    }
    for (const [, value, number] of part.matchAll(/^\| (\w+) \| (\d+) \|/gm)) {
      t.equal(values.get(`${scope}.${value}`), Number(number), `${scope}.${value}`);
      seen.values++;
    }
  }
  t.same(seen, { fields: fields.size, values: values.size }, "all of ours were looked at");
});

t.test("the services have the methods of the contract", { skip }, async (t) => {
  t.same(Object.fromEntries(ours().methods), {
    "SessionTable.AddSession": "stream SessionRequest → AddSessionResponse",
    "SessionTable.GetSession": "SessionId → SessionResponse",
    "SessionTable.DeleteSession": "SessionId → SessionResponse",
    "SessionTable.GetAllSessions": "SessionRequestArgs → SessionResponses",
    "SessionTable.GetClosedSessions": "SessionRequestArgs → stream SessionResponse",
    "IpTunnelService.Capabilities": "CapabilityRequest → CapabilityResponse",
    "IpTunnelService.CreateIpTunnel": "stream IpTunnelRequest → CreateIpTunnelResponses",
    "IpTunnelService.GetIpTunnel": "TunnelId → IpTunnelResponse",
    "IpTunnelService.GetIpTunnelStats": "TunnelId → IpTunnelStatsResponse",
    "IpTunnelService.GetAllIpTunnels": "TunnelRequestArgs → stream IpTunnelResponses",
    "IpTunnelService.GetAllIpTunnelsStats": "TunnelRequestArgs → stream IpTunnelStatsResponses",
  });
});
