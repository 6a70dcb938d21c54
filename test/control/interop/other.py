"""The other choices of configuration: ipv4Order: host, missingSession: status, duplicateFlow: shadow, closedBacklog: 10. Lif 1
receives 10.0.0.1:5000 -> 10.1.0.1:53 over UDP all the time (pcaps/vlan)."""

from client import *  # noqa: F403


def flow(number, **fields):
    return session(number, **{**dict(protocol_id=pb._UDP, source_ip=host_order("10.0.0.1"), source_port=5000,
                                     destination_ip=host_order("10.1.0.1"), destination_port=53), **fields})


def packets(client, number):
    return client.get(number).in_packets


@scenario
def missing(client):
    """an unknown session: a gRPC NOT_FOUND"""
    for number in (0, 999, 2 ** 64 - 1):
        fails(lambda: client.get(number), grpc.StatusCode.NOT_FOUND)
        details = fails(lambda: client.delete(number), grpc.StatusCode.NOT_FOUND)
        assert str(number) in details, details
    client.add(session(5))
    equal(client.delete(5).request_status, pb._ACCEPTED)
    fails(lambda: client.delete(5), grpc.StatusCode.NOT_FOUND)


@scenario
def shadows(client):
    """a second session of a flow waits: the older keeps the key until it goes, then the next takes over, in order"""
    equal(client.add(*[flow(n) for n in (1, 2, 3, 4)]).request_status, pb._SESSION_ACCEPTED)
    equal(client.add(flow(3)).request_status, pb._SESSION_ALREADY_EXISTS, "an id is taken all the same")
    for number, next_one in ((1, 2), (2, 4)):
        until(lambda: packets(client, number) > 0)
        equal([packets(client, n) for n in (1, 2, 3, 4) if n > number], [0] * (4 - number), "the others wait")
        if number == 2:
            client.delete(3)  # from the middle of the queue
        before = client.delete(number)
        assert before.in_packets > 0
        until(lambda: packets(client, next_one) > 0)
    equal(client.pages(0)[0], [4])


@scenario
def shadows_of_one_key(client):
    """the two keys of a session are inherited each on its own"""
    one = flow(1, out_lif=3)
    equal(client.add(one, flow(2, out_lif=4), flow(3, out_lif=3)).request_status, pb._SESSION_ACCEPTED)
    until(lambda: packets(client, 1) > 0)
    client.delete(1)
    until(lambda: packets(client, 2) > 0)
    equal(packets(client, 3), 0)
    client.delete(2)
    until(lambda: packets(client, 3) > 0)


@scenario
def backlog(client):
    """the backlog is bounded: past it the oldest is dropped and counted"""
    dropped = client.stats().sessions.closed_dropped
    for n in range(1, 26):
        client.add(session(n))
        client.delete(n)
    stats = client.stats().sessions
    equal((stats.closed_waiting, stats.closed_dropped - dropped), (10, 15))
    equal(ids(client.closed()), list(range(16, 26)))
    equal(client.stats().sessions.closed_waiting, 0)


@scenario
def held(client):
    """what a follower holds counts against the bound, and is not what is dropped"""
    call = client.follow()
    for n in range(1, 9):
        client.add(session(n))
        client.delete(n)
    equal([next(call).session_id for _ in range(8)], list(range(1, 9)))
    call.cancel()
    until(lambda: client.stats().sessions.closed_waiting == 8)
    equal(ids(client.closed()), list(range(1, 9)))


main()
