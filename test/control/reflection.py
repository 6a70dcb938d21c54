"""What grpcurl does, in Python, for reflection.test.ts: knows the reflection service only, and makes every call from the
descriptors that the server hands out. Arguments: target, directory of reflection_pb2, version of reflection (v1, v1alpha).

Prints one JSON line per step.
"""

import json
import sys

target, generated, version = sys.argv[1:4]
sys.path.insert(0, generated)

import importlib  # noqa: E402

import grpc  # noqa: E402
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: E402

rf = importlib.import_module("grpc_reflection_%s_pb2" % version)
channel = grpc.insecure_channel(target)
info = channel.stream_stream(
    "/grpc.reflection.%s.ServerReflection/ServerReflectionInfo" % version,
    request_serializer=rf.ServerReflectionRequest.SerializeToString,
    response_deserializer=rf.ServerReflectionResponse.FromString,
)


def ask(**question):
    (answer,) = info(iter([rf.ServerReflectionRequest(**question)]), timeout=10)
    return answer


def show(step, **values):
    print(json.dumps({"step": step, **values}), flush=True)


services = sorted(service.name for service in ask(list_services="*").list_services_response.service)
show("services", names=services)

pool = descriptor_pool.DescriptorPool()
files = {}


def fetch(**question):
    for data in ask(**question).file_descriptor_response.file_descriptor_proto:
        proto = descriptor_pb2.FileDescriptorProto.FromString(data)
        files.setdefault(proto.name, proto)


for name in services:
    fetch(file_containing_symbol=name)
missing = [name for proto in files.values() for name in proto.dependency if name not in files]
show("files", names=sorted(files), missing=missing)

# By file name, and by the symbol of a message, a method, an enum value's enum and a nested message.
by_name = ask(file_by_filename="google/protobuf/timestamp.proto").file_descriptor_response.file_descriptor_proto
show("by name", names=[descriptor_pb2.FileDescriptorProto.FromString(data).name for data in by_name])
for symbol in [
    "openoffload.v2.SessionRequest",
    "openoffload.v2.SessionTable.AddSession",
    "openoffload.v2.ActionType",
    "tunneloffload.v2.MatchCriteria.GeneveMatch",
    "sluice.v1.Device",
]:
    data = ask(file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto[0]
    show("by symbol", symbol=symbol, name=descriptor_pb2.FileDescriptorProto.FromString(data).name)
for question in [{"file_containing_symbol": "no.such.Thing"}, {"file_by_filename": "none.proto"}]:
    show("unknown", code=ask(**question).error_response.error_code)


def add_with_dependencies(proto):
    for name in proto.dependency:
        add_with_dependencies(files[name])
    pool.Add(proto)


for proto in files.values():
    add_with_dependencies(proto)
factory = message_factory.MessageFactory(pool)


def make(type_name, **fields):
    return factory.GetPrototype(pool.FindMessageTypeByName(type_name))(**fields)


def call(service, method, requests, metadata=()):
    """As the descriptor says: (number of answers, status)."""
    described = pool.FindServiceByName(service).FindMethodByName(method)
    proto = next(m for f in files.values() for s in f.service for m in s.method if f.package + "." + s.name + "." + m.name == described.full_name)
    kind = ("stream" if proto.client_streaming else "unary") + "_" + ("stream" if proto.server_streaming else "unary")
    stub = getattr(channel, kind)(
        "/%s/%s" % (service, method),
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=factory.GetPrototype(described.output_type).FromString,
    )
    answers = stub(iter(requests) if proto.client_streaming else requests[0], timeout=5, metadata=metadata)
    return kind, list(answers) if proto.server_streaming else [answers]


TABLE = "openoffload.v2.SessionTable"
session = make(
    "openoffload.v2.SessionRequest",
    session_id=7,
    in_lif=1,
    source_ip=0x0100000A,
    source_port=1,
    destination_ip=0x0200000A,
    destination_port=2,
    protocol_id=6,
    action=make("openoffload.v2.ActionParameters", action_type=1),
)
kind, (added,) = call(TABLE, "AddSession", [session])
show("AddSession", kind=kind, status=added.request_status, started=added.HasField("start_time"))
kind, (got,) = call(TABLE, "GetSession", [make("openoffload.v2.SessionId", session_id=7)])
show("GetSession", kind=kind, id=got.session_id, status=got.request_status)
args = make("openoffload.v2.SessionRequestArgs")
kind, (page,) = call(TABLE, "GetAllSessions", [args])
show("GetAllSessions", kind=kind, ids=[one.session_id for one in page.session_info])
kind, (deleted,) = call(TABLE, "DeleteSession", [make("openoffload.v2.SessionId", session_id=7)])
show("DeleteSession", kind=kind, id=deleted.session_id)
kind, closed = call(TABLE, "GetClosedSessions", [args])
show("GetClosedSessions", kind=kind, ids=[one.session_id for one in closed])
kind, (stats,) = call("sluice.v1.Device", "Stats", [make("sluice.v1.StatsRequest")])
show("Stats", kind=kind, ports=len(stats.ports))
kind, (health,) = call("grpc.health.v1.Health", "Check", [make("grpc.health.v1.HealthCheckRequest", service=TABLE)])
show("Check", kind=kind, status=health.status)
