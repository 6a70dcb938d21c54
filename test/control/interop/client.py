"""A client of openoffload.v2.SessionTable as another vendor would write it from api.md: Debian's python3-grpcio, and messages
that protoc generated from the published proto files. Stubs are made by hand: grpc_tools is not in python3-grpcio.

A script of scenarios is called with the device's address, the directory of the generated messages, and arguments of its own.
It prints a line of JSON for each scenario: {"name", "ok", "why"}.
"""

import json
import socket
import struct
import sys
import time
import traceback

TARGET, GENERATED, *ARGS = sys.argv[1:]
sys.path.insert(0, GENERATED)

import grpc  # noqa: E402
import openoffload_pb2 as pb  # noqa: E402
import sluice_pb2  # noqa: E402

FROM_THE_BEGINNING = 4294967295  # api.md 5: a known client's
SECONDS = 10  # that a call may take when a scenario does not say


class Client:
    """Plaintext, as the C++ and Go clients connect."""

    def __init__(self, *options):
        self.channel = grpc.insecure_channel(TARGET, options=[("grpc.enable_http_proxy", 0), *options])
        grpc.channel_ready_future(self.channel).result(timeout=SECONDS)

        def method(kind, path, request, response):
            return getattr(self.channel, kind)(path, request_serializer=request.SerializeToString, response_deserializer=response.FromString)

        table = "/openoffload.v2.SessionTable/"
        self.add_stream = method("stream_unary", table + "AddSession", pb.SessionRequest, pb.AddSessionResponse)
        self.get_session = method("unary_unary", table + "GetSession", pb.SessionId, pb.SessionResponse)
        self.delete_session = method("unary_unary", table + "DeleteSession", pb.SessionId, pb.SessionResponse)
        self.get_all = method("unary_unary", table + "GetAllSessions", pb.SessionRequestArgs, pb.SessionResponses)
        self.get_closed = method("unary_stream", table + "GetClosedSessions", pb.SessionRequestArgs, pb.SessionResponse)
        self.get_stats = method("unary_unary", "/sluice.v1.Device/Stats", sluice_pb2.StatsRequest, sluice_pb2.StatsResponse)

    def add(self, *requests, seconds=SECONDS):
        return self.add_stream(iter(requests), timeout=seconds)

    def get(self, number):
        return self.get_session(pb.SessionId(session_id=number), timeout=SECONDS)

    def delete(self, number):
        return self.delete_session(pb.SessionId(session_id=number), timeout=SECONDS)

    def list(self, **args):
        return self.get_all(pb.SessionRequestArgs(**args), timeout=SECONDS)

    def closed(self, page_size=0):
        return list(self.get_closed(pb.SessionRequestArgs(page_size=page_size), timeout=SECONDS))

    def follow(self, page_size=0, seconds=SECONDS):
        return self.get_closed(pb.SessionRequestArgs(page_size=page_size), metadata=[("sluice-follow", "1")], timeout=seconds)

    def stats(self):
        return self.get_stats(sluice_pb2.StatsRequest(), timeout=SECONDS)

    def pages(self, size, start=0, each=lambda page: None):
        """Page by page as api.md 5 says, to the empty page. @returns all ids, and the answer to the last call"""
        listed, key = [], start
        while True:
            page = self.list(page_size=size, start_session=key)
            if not page.session_info:
                return listed, page
            listed += ids(page.session_info)
            assert page.next_key == listed[-1], f"next_key {page.next_key} behind session {listed[-1]}"
            key = page.next_key
            each(page)

    def clear(self):
        """An empty table and nothing to report."""
        self.pages(64, each=lambda page: [self.delete(number) for number in ids(page.session_info)])
        self.closed()


def s_addr(text):
    """api.md 1: the number that inet_pton leaves in memory, read as a little-endian uint32."""
    return struct.unpack("<I", socket.inet_pton(socket.AF_INET, text))[0]


def host_order(text):
    """api.md 1, `ipv4Order: host`: 10.0.0.1 is 0x0a000001."""
    return struct.unpack(">I", socket.inet_pton(socket.AF_INET, text))[0]


def ipv6(text):
    return socket.inet_pton(socket.AF_INET6, text)


def lif(number, vlan=0):
    """api.md 9."""
    return vlan << 16 | number


def session(number, **fields):
    """A valid request for a flow of its own; `fields` replace what it says."""
    request = dict(
        session_id=number, in_lif=1, out_lif=2, ip_version=pb._IPV4, protocol_id=pb._TCP,
        source_ip=s_addr("10.9.%d.%d" % (number >> 8 & 255, number & 255)), source_port=1234,
        destination_ip=s_addr("10.1.0.1"), destination_port=80,
        action=pb.ActionParameters(action_type=pb._FORWARD), cache_timeout=3600)
    request.update(fields)
    return pb.SessionRequest(**request)


def session6(number, source="2001:db8::1", destination="2001:db8::2", **fields):
    return session(number, **{
        "ip_version": pb._IPV6, "source_ip": 0, "destination_ip": 0, "source_ipv6": ipv6(source),
        "destination_ipv6": ipv6(destination), **fields})


def ids(responses):
    return [one.session_id for one in responses]


def errors(answer):
    return [(error.session_id, error.error_status) for error in answer.response_error]


def seconds(timestamp):
    return timestamp.seconds + timestamp.nanos / 1e9


def equal(got, wanted, what=""):
    assert got == wanted, f"{what}{': ' if what else ''}{got!r} instead of {wanted!r}"


def fails(call, code):
    """The call ends with this status. @returns its details"""
    try:
        answer = call()
    except grpc.RpcError as error:
        equal(error.code(), code, "status")
        return error.details()
    raise AssertionError(f"answered {answer} instead of {code}")


def until(condition, limit=SECONDS):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


SCENARIOS = []


def scenario(function):
    """Its docstring is its name."""
    SCENARIOS.append(function)
    return function


def verdict(name, ok, why=""):
    print(json.dumps({"name": name, "ok": ok, "why": why}), flush=True)


def main(scenarios=SCENARIOS):
    """Every scenario finds an empty table."""
    client = Client()
    for function in scenarios:
        try:
            client.clear()
            function(client)
            verdict(function.__doc__, True)
        except Exception:  # noqa: BLE001: whatever it is, it is the scenario's verdict
            verdict(function.__doc__, False, traceback.format_exc(limit=-3))
