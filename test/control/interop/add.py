"""AddSession, api.md 4 and 8 to 10, on a device with lifs 1 to 5 (so 5 has no pair), capacity 256, default timeout 2 s."""

from client import *  # noqa: F403

CAPACITY = 256


def accepted(answer, what=""):
    equal((answer.request_status, answer.error_status, errors(answer)), (pb._SESSION_ACCEPTED, 0, []), what)


def listed(client):
    return client.pages(0)[0]


@scenario
def assigned(client):
    """session_id 0: assigned ids run down from 2147483647, leave out what is taken, and are visible through GetAllSessions"""
    def anonymous(n):
        return session(n, session_id=0)
    accepted(client.add(anonymous(1), anonymous(2), session(3), anonymous(4)))
    equal(listed(client), [2147483647, 2147483646, 3, 2147483645])
    accepted(client.add(session(2147483644, source_port=9)))
    accepted(client.add(anonymous(5)))
    equal(listed(client)[-1], 2147483643)
    equal(client.get(2147483646).request_status, pb._ACCEPTED)
    answer = client.add(anonymous(1))
    equal((answer.request_status, errors(answer)), (pb._SESSION_ALREADY_EXISTS, [(0, pb._SESSION_ALREADY_EXISTS)]), "its flow")


@scenario
def deadlines(client):
    """a batch of 64 within a deadline of 100 ms (the C++ client's), time and again"""
    answered = 0
    for turn in range(20):
        first = turn * 64 + 1
        try:
            accepted(client.add(*[session(n) for n in range(first, first + 64)], seconds=0.1))
            answered += 1
        except grpc.RpcError as error:
            equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        client.clear()
    # A machine that is busy with other tests may miss some.
    assert answered >= 15, f"{answered} of 20 within 100 ms"


@scenario
def mask(client):
    """bit i of error_status is the i-th request of the stream; valid entries beside invalid ones are inserted"""
    bad = [0, 5, 31, 32, 62, 63]
    answer = client.add(*[session(n + 1, **({"in_lif": 0} if n in bad else {})) for n in range(64)])
    equal(answer.request_status, pb._SESSION_REJECTED)
    equal(answer.error_status, sum(1 << n for n in bad))
    equal(errors(answer), [(n + 1, pb._SESSION_REJECTED) for n in bad])
    equal(listed(client), [n + 1 for n in range(64) if n not in bad])


@scenario
def longer(client):
    """streams longer than 64 are fine; response_error is what counts then"""
    answer = client.add(*[session(n, **({"protocol_id": 1} if n in (3, 65, 99) else {})) for n in range(1, 101)])
    equal(answer.request_status, pb._SESSION_REJECTED)
    equal(errors(answer), [(3, pb._SESSION_REJECTED), (65, pb._SESSION_REJECTED), (99, pb._SESSION_REJECTED)])
    equal(answer.error_status, 1 << 2, "of the first 64")
    equal(len(listed(client)), 97)


@scenario
def nothing(client):
    """an empty stream is accepted"""
    accepted(client.add())


@scenario
def rejections(client):
    """every rejection of api.md 8, alone, inserts nothing"""
    hop4, hop6 = {"action_next_hop": s_addr("12.2.3.5")}, {"action_next_hop_v6": ipv6("2001:db8::99")}

    def action(kind, **more):
        return session(1, action=pb.ActionParameters(action_type=kind, **more))

    cases = {
        "in_lif 0": session(1, in_lif=0),
        "in_lif not configured": session(1, in_lif=9),
        "in_lif not configured, VLAN 100": session(1, in_lif=lif(9, 100)),
        "a VLAN without lif": session(1, in_lif=lif(0, 100)),
        "in_lif -1": session(1, in_lif=-1),
        "out_lif not configured": session(1, out_lif=9),
        "out_lif of another VLAN": session(1, in_lif=lif(1, 100), out_lif=lif(2, 200)),
        "out_lif with a VLAN, in_lif untagged": session(1, out_lif=lif(2, 100)),
        "protocol 0": session(1, protocol_id=0),
        "protocol ICMP": session(1, protocol_id=1),
        "protocol ICMPv6": session(1, protocol_id=58),
        "protocol SCTP": session(1, protocol_id=132),
        "source_port 65536": session(1, source_port=65536),
        "destination_port 65536": session(1, destination_port=65536),
        "destination_port 4294967295": session(1, destination_port=4294967295),
        "ip_version 2": session(1, ip_version=2),
        "IPv6 without addresses": session6(1, source_ipv6=b"", destination_ipv6=b""),
        "IPv6, source of 4 bytes": session6(1, source_ipv6=b"\x0a\0\0\1"),
        "IPv6, source of 15 bytes": session6(1, source_ipv6=ipv6("2001:db8::1")[:15]),
        "IPv6, destination of 17 bytes": session6(1, destination_ipv6=ipv6("2001:db8::1") + b"\0"),
        "IPv6, 31 hex characters": session6(1, source_ipv6=b"2" * 31),
        "IPv6, 33 hex characters": session6(1, source_ipv6=b"2" * 33),
        "IPv6, 32 characters that are not hex": session6(1, destination_ipv6=b"z" * 32),
        "action 4": action(4),
        "action 2147483647": action(2147483647),
        "MIRROR without next hop": action(pb._MIRROR),
        "SNOOP without next hop": action(pb._SNOOP),
        "MIRROR, next hop not configured": action(pb._MIRROR, **hop4),
        "SNOOP, next hop not configured": action(pb._SNOOP, **hop4),
        "MIRROR, v6 next hop not configured": action(pb._MIRROR, **hop6),
        "SNOOP, v6 next hop not configured": action(pb._SNOOP, **hop6),
        "id 4294967295": session(4294967295),
    }
    for what, request in cases.items():
        answer = client.add(request)
        equal((answer.request_status, answer.error_status, errors(answer)),
              (pb._SESSION_REJECTED, 1, [(request.session_id, pb._SESSION_REJECTED)]), what)
    equal(listed(client), [])


@scenario
def next_hops_ignored(client):
    """DROP and FORWARD carry no next hop: one given is ignored, whatever it is; no action at all is DROP"""
    for number, (kind, more) in enumerate([
            (pb._FORWARD, {"action_next_hop": s_addr("12.2.3.5")}),
            (pb._DROP, {"action_next_hop_v6": ipv6("2001:db8::99")}),
            (pb._FORWARD, {"action_next_hop": 1, "action_next_hop_v6": b"\1\2\3"})], 1):
        accepted(client.add(session(number, action=pb.ActionParameters(action_type=kind, **more))))
    accepted(client.add(session(4, action=None)))


@scenario
def duplicates(client):
    """a session exists by its id, and by either of its two flow keys"""
    first = session(1, source_ip=s_addr("10.0.0.1"), source_port=1000, destination_ip=s_addr("10.1.0.1"), destination_port=80)
    there = dict(source_ip=first.source_ip, source_port=1000, destination_ip=first.destination_ip, destination_port=80)
    back = dict(source_ip=first.destination_ip, source_port=80, destination_ip=first.source_ip, destination_port=1000)
    accepted(client.add(first))
    for what, request in {
        "the same request": first,
        "the id, another flow": session(1, source_port=7),
        "the flow, another id": session(2, **there),
        "the flow, out by another lif": session(2, **there, out_lif=4),
        "the flow of the answers, from their lif": session(2, **back, in_lif=2, out_lif=1),
        "its answers would arrive as the first's requests": session(2, **back, in_lif=3, out_lif=1),
        "its answers would arrive as the first's answers": session(2, **there, in_lif=3, out_lif=2),
        "the flow, another action": session(2, **there, action=pb.ActionParameters(action_type=pb._DROP)),
    }.items():
        answer = client.add(request)
        equal((answer.request_status, answer.error_status, errors(answer)),
              (pb._SESSION_ALREADY_EXISTS, 1, [(request.session_id, pb._SESSION_ALREADY_EXISTS)]), what)
    equal(listed(client), [1])
    for number, (what, fields) in enumerate({
        "another VLAN": dict(there, in_lif=lif(1, 100), out_lif=0),
        "another pair of lifs": dict(there, in_lif=3, out_lif=4),
        "another protocol": dict(there, protocol_id=pb._UDP),
        "ports the other way": dict(there, source_port=80, destination_port=1000),
        "the answers, but from the wrong lif": dict(back, in_lif=1, out_lif=2),
        "another port": dict(there, source_port=1001),
    }.items(), 10):
        accepted(client.add(session(number, **fields)), what)
    client.delete(1)
    accepted(client.add(session(2, **there)), "the flow is free again")


@scenario
def duplicates_in_a_stream(client):
    """a stream that holds the same session or flow twice; _SESSION_ALREADY_EXISTS only when that is the only kind of failure"""
    answer = client.add(session(1), session(1), session(2), session(3, source_ip=session(2).source_ip))
    equal((answer.request_status, answer.error_status), (pb._SESSION_ALREADY_EXISTS, 0b1010))
    equal(errors(answer), [(1, pb._SESSION_ALREADY_EXISTS), (3, pb._SESSION_ALREADY_EXISTS)])
    answer = client.add(session(1), session(4, in_lif=0), session(5))
    equal((answer.request_status, answer.error_status), (pb._SESSION_REJECTED, 0b011))
    equal(errors(answer), [(1, pb._SESSION_ALREADY_EXISTS), (4, pb._SESSION_REJECTED)])
    equal(listed(client), [1, 2, 5])


@scenario
def out_lifs(client):
    """out_lif: 0 is the pair, the same lif is back out of it, any other configured lif; VLAN bits 0 or those of in_lif"""
    for number, (in_lif, out_lif) in enumerate([
            (1, 0), (1, 1), (1, 4), (5, 5), (5, 1), (3, 0), (lif(1, 100), 0), (lif(1, 100), 2), (lif(1, 100), lif(2, 100)),
            (lif(2, 4094), lif(0, 4094)), (lif(3, 1), lif(3, 1))], 1):
        accepted(client.add(session(number, in_lif=in_lif, out_lif=out_lif)), f"{in_lif:#x} to {out_lif:#x}")
        # The answers' key is claimed on the lif that out_lif says, with in_lif's VLAN.
        one = session(number)
        egress = out_lif & 0xffff or {1: 2, 2: 1, 3: 4}[in_lif & 0xffff]
        answers = dict(source_ip=one.destination_ip, source_port=one.destination_port, destination_ip=one.source_ip,
                       destination_port=one.source_port, out_lif=4 if in_lif & 0xffff == 5 else 5)
        taken = client.add(session(100, in_lif=lif(egress, in_lif >> 16), **answers))
        equal(taken.request_status, pb._SESSION_ALREADY_EXISTS, f"answers to {in_lif:#x} arrive on {egress}")
        other = 3 if egress != 3 else 2
        accepted(client.add(session(100, in_lif=lif(other, in_lif >> 16), **answers)), "and on no other")
        client.delete(100)
    answer = client.add(session(50, in_lif=5, out_lif=0))
    equal(answer.request_status, pb._SESSION_REJECTED, "the pair of 5 is not configured")


@scenario
def ipv6_forms(client):
    """IPv6 addresses: 16 bytes, or hex characters with or without colons, in either case"""
    raw = ipv6("2001:db8::a:1")
    digits = raw.hex()
    pairs = ":".join(digits[i:i + 2] for i in range(0, 32, 2))
    groups = ":".join(digits[i:i + 4] for i in range(0, 32, 4))
    accepted(client.add(session6(1, source_ipv6=raw)))
    for form in (digits, digits.upper(), pairs, pairs.upper(), groups):
        answer = client.add(session6(2, source_ipv6=form.encode()))
        equal(answer.request_status, pb._SESSION_ALREADY_EXISTS, f"{form} is the same address")
        other = form[:-1] + "2"
        accepted(client.add(session6(2, source_ipv6=other.encode(), destination_ipv6=ipv6("2001:db8::2").hex().encode())), other)
        equal(client.add(session6(3, source="2001:db8::a:2")).request_status, pb._SESSION_ALREADY_EXISTS, "and means the same")
        client.delete(2)
    accepted(client.add(session6(4, source_ipv6=ipv6("::ffff:10.0.0.1"), source_ip=77, protocol_id=pb._UDP)), "IPv4 fields beside")


@scenario
def full(client):
    """a table that cannot take a whole batch takes none of it; a longer stream goes in as far as there is room"""
    for first in range(1, 193, 64):
        accepted(client.add(*[session(n) for n in range(first, first + 64)]))
    accepted(client.add(*[session(n) for n in range(193, 201)]))
    answer = client.add(*[session(n) for n in range(201, 265)])
    equal((answer.request_status, answer.error_status), (pb._SESSION_TABLE_FULL, 2 ** 64 - 1))
    equal(errors(answer), [(n, pb._SESSION_TABLE_FULL) for n in range(201, 265)])
    equal(len(listed(client)), 200, "none went in")
    answer = client.add(*[session(n) for n in range(201, 258)])
    equal((answer.request_status, len(listed(client))), (pb._SESSION_TABLE_FULL, 200), "57 where 56 fit")
    # What exists or is invalid needs no room.
    answer = client.add(*[session(n) for n in range(195, 257)], session(300, in_lif=0))
    equal(answer.request_status, pb._SESSION_REJECTED)
    equal(errors(answer), [(n, pb._SESSION_ALREADY_EXISTS) for n in range(195, 201)] + [(300, pb._SESSION_REJECTED)])
    equal(len(listed(client)), CAPACITY)
    answer = client.add(session(301))
    equal((answer.request_status, answer.error_status), (pb._SESSION_TABLE_FULL, 1))
    equal(client.add(session(200)).request_status, pb._SESSION_ALREADY_EXISTS, "in a full table too")
    for n in range(1, 57):
        client.delete(n)
    answer = client.add(*[session(n) for n in range(301, 401)])
    equal(answer.request_status, pb._SESSION_TABLE_FULL)
    equal(errors(answer), [(n, pb._SESSION_TABLE_FULL) for n in range(357, 401)])
    equal(len(listed(client)), CAPACITY)


@scenario
def life(client):
    """GetSession and DeleteSession: times, state, close code; a deleted session is reported once, with the same values"""
    before = time.time()
    answer = client.add(session(7))
    after = time.time()
    # Milliseconds: the clocks of both processes are the same.
    assert before - 0.002 <= seconds(answer.start_time) <= after + 0.002, (before, seconds(answer.start_time), after)
    one = client.get(7)
    equal((one.session_id, one.request_status, one.session_state, one.session_close_code),
          (7, pb._ACCEPTED, pb._ESTABLISHED, pb._NOT_CLOSED))
    equal((one.in_packets, one.out_packets, one.in_bytes, one.out_bytes, one.HasField("end_time")), (0, 0, 0, 0, False))
    assert before - 0.002 <= seconds(one.start_time) <= after + 0.002
    time.sleep(0.05)
    before = time.time()
    last = client.delete(7)
    after = time.time()
    equal((last.session_id, last.request_status, last.session_close_code), (7, pb._ACCEPTED, pb._NOT_CLOSED))
    assert before - 0.002 <= seconds(last.end_time) <= after + 0.002
    equal(last.start_time, one.start_time)
    equal(client.closed(), [last])
    equal(client.closed(), [])


@scenario
def missing(client):
    """an unknown session: an OK answer with _REJECTED_SESSION_NONEXISTENT"""
    for number in (0, 999, 2 ** 64 - 1):
        for answer in (client.get(number), client.delete(number)):
            equal((answer.session_id, answer.request_status), (number, pb._REJECTED_SESSION_NONEXISTENT))
            assert not answer.HasField("start_time") and not answer.HasField("end_time")
    client.add(session(5))
    client.delete(5)
    equal(client.delete(5).request_status, pb._REJECTED_SESSION_NONEXISTENT, "deleted twice")


@scenario
def large_ids(client):
    """ids are 64 bits"""
    numbers = [1, 2 ** 31, 2 ** 32 - 2, 2 ** 32, 2 ** 53 + 1, 2 ** 63, 2 ** 64 - 1]
    accepted(client.add(*[session(n, source_port=i) for i, n in enumerate(numbers)]))
    equal(client.pages(2)[0], numbers)
    for n in numbers:
        equal(client.get(n).session_id, n)
        equal(client.delete(n).request_status, pb._ACCEPTED)


@scenario
def timeouts(client):
    """cache_timeout is seconds of silence, 0 the configured default (2): reported within 1 s of being due"""
    follow = client.follow()
    client.add(session(1, cache_timeout=0), session(2, cache_timeout=1), session(3, cache_timeout=3600),
               session(4, cache_timeout=4294967295))
    for number, wanted in ((2, 1), (1, 2)):
        gone, at = next(follow), time.time()
        equal((gone.session_id, gone.session_close_code, gone.session_state), (number, pb._TIMEOUT, pb._ESTABLISHED))
        equal(round(seconds(gone.end_time) - seconds(gone.start_time), 3), wanted, "seconds of life")
        late = at - seconds(gone.end_time)
        assert -0.002 <= late < 1, f"reported {late} s after it was due"
    follow.cancel()
    equal(listed(client), [3, 4])


main()
