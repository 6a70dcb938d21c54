"""A Python client of the session table, for python-client.test.ts. Arguments: target, directory of the generated messages.

Prints one JSON line per step. Stubs are made by hand: grpc_tools is not in Debian's python3-grpcio.
"""

import json
import socket
import struct
import sys

target, generated = sys.argv[1:3]
sys.path.insert(0, generated)

import grpc  # noqa: E402
import openoffload_pb2 as pb  # noqa: E402

channel = grpc.insecure_channel(target)
TABLE = "/openoffload.v2.SessionTable/"


def method(kind, name, request, response):
    return getattr(channel, kind)(
        TABLE + name, request_serializer=request.SerializeToString, response_deserializer=response.FromString
    )


add = method("stream_unary", "AddSession", pb.SessionRequest, pb.AddSessionResponse)
get = method("unary_unary", "GetSession", pb.SessionId, pb.SessionResponse)
delete = method("unary_unary", "DeleteSession", pb.SessionId, pb.SessionResponse)
get_all = method("unary_unary", "GetAllSessions", pb.SessionRequestArgs, pb.SessionResponses)
get_closed = method("unary_stream", "GetClosedSessions", pb.SessionRequestArgs, pb.SessionResponse)


def s_addr(text):
    return struct.unpack("<I", socket.inet_pton(socket.AF_INET, text))[0]


def session(number, **fields):
    request = pb.SessionRequest(
        session_id=number,
        in_lif=1,
        out_lif=2,
        ip_version=pb._IPV4,
        source_ip=s_addr("10.0.0.%d" % number),
        source_port=1234,
        destination_ip=s_addr("10.1.0.1"),
        destination_port=80,
        protocol_id=pb._TCP,
        action=pb.ActionParameters(action_type=pb._FORWARD),
    )
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def show(step, **values):
    print(json.dumps({"step": step, **values}), flush=True)


def errors(response):
    return [[error.session_id, error.error_status] for error in response.response_error]


answer = add(iter([session(n) for n in range(1, 65)]), timeout=5)
show("add", status=answer.request_status, mask=answer.error_status, errors=errors(answer), started=answer.HasField("start_time"))

six = session(100, ip_version=pb._IPV6, protocol_id=pb._UDP)
six.source_ipv6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
six.destination_ipv6 = socket.inet_pton(socket.AF_INET6, "2001:db8::2")
answer = add(iter([six, session(1), session(101, in_lif=0), session(102, protocol_id=1)]), timeout=5)
show("mixed", status=answer.request_status, mask=answer.error_status, errors=errors(answer))

one = get(pb.SessionId(session_id=1), timeout=5)
show("get", id=one.session_id, status=one.request_status, state=one.session_state, ended=one.HasField("end_time"))
show("missing", status=get(pb.SessionId(session_id=999), timeout=5).request_status)

listed, key = [], 4294967295
while True:
    page = get_all(pb.SessionRequestArgs(page_size=20, start_session=key), timeout=5)
    if not page.session_info:
        break
    listed += [info.session_id for info in page.session_info]
    key = page.next_key
    for info in page.session_info:
        gone = delete(pb.SessionId(session_id=info.session_id), timeout=5)
        assert gone.request_status == pb._ACCEPTED and gone.session_close_code == pb._NOT_CLOSED and gone.HasField("end_time")
show("list and delete", ids=listed, key=key)

show("closed", ids=[info.session_id for info in get_closed(pb.SessionRequestArgs(page_size=60), timeout=5)])
follow = get_closed(pb.SessionRequestArgs(), metadata=[("sluice-follow", "1")], timeout=5)
show("follow", ids=[next(follow).session_id for _ in range(5)])
follow.cancel()


def stalled():
    yield session(7)
    grpc_stop.wait()


import threading  # noqa: E402

grpc_stop = threading.Event()
call = add.future(stalled(), timeout=0.2)
show("deadline", code=call.code().name)
grpc_stop.set()
show("after", total=len(get_all(pb.SessionRequestArgs(), timeout=5).session_info))
