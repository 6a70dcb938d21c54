"""Do sessions hold the packets that they were programmed for? Lifs 1 and 2 receive, over and over, the captures of pcaps/vlan:

    lif 1, VLAN 100   10.0.0.1:5000 -> 10.1.0.1:53 UDP, and back on lif 2
    lif 1, untagged   the same flow (one of its packets with VID 0)
    lif 1, VLAN 100   2001:db8::1:1234 -> 2001:db8:1::1:80 TCP; untagged as well

Argument: api.ipv4Order of the device."""

from client import *  # noqa: F403

ORDER = {"s_addr": s_addr, "host": host_order}
ADDRESS = ORDER[ARGS[0]]
WRONG = {"s_addr": host_order, "host": s_addr}[ARGS[0]]
A6, B6 = ipv6("2001:db8::1"), ipv6("2001:db8:1::1")


def flow4(number, address=ADDRESS, **fields):
    return session(number, **{**dict(protocol_id=pb._UDP, source_ip=address("10.0.0.1"), source_port=5000,
                                     destination_ip=address("10.1.0.1"), destination_port=53), **fields})


def flow6(number, source=A6, destination=B6, **fields):
    return session6(number, source_ipv6=source, destination_ipv6=destination, **fields)


def counts(client, number, direction="in"):
    one = client.get(number)
    return one.in_packets if direction == "in" else one.out_packets


def moves(client, *requests, direction="in"):
    """Each of these sessions holds packets."""
    equal(client.add(*requests).request_status, pb._SESSION_ACCEPTED)
    for request in requests:
        until(lambda: counts(client, request.session_id, direction) > 0)


@scenario
def numbers(client):
    """IPv4 addresses travel in the configured order, and mean another address in the other"""
    equal(ORDER["s_addr"]("10.0.0.1"), 0x0100000a)
    equal(ORDER["host"]("10.0.0.1"), 0x0a000001)
    equal(client.add(flow4(2, WRONG)).request_status, pb._SESSION_ACCEPTED)
    moves(client, flow4(1))
    equal(counts(client, 2), 0)
    one = client.delete(1)
    # pcaps/vlan: of 50 and, with VID 0, 58 bytes of frame; no answers untagged.
    packets = one.in_packets
    assert packets >= 1 and 50 * packets <= one.in_bytes <= 62 * packets, (packets, one.in_bytes)
    equal((one.out_packets, one.out_bytes), (0, 0))


@scenario
def vlans(client):
    """in_lif's upper 16 bits are the VLAN id: sessions of two VLANs hold the packets of theirs, both ways"""
    moves(client, flow4(1, in_lif=lif(1, 100), out_lif=0), flow4(2))
    until(lambda: counts(client, 1, "out") > 0)
    equal(counts(client, 2, "out"), 0, "untagged answers do not come")
    equal(client.add(flow4(3, in_lif=lif(1, 300), out_lif=lif(2, 300))).request_status, pb._SESSION_ACCEPTED)
    time.sleep(0.5)
    equal(counts(client, 3), 0, "VLAN 300 has no such flow")


@scenario
def reversed_flow(client):
    """programmed the other way around, from lif 2, the answers are what counts as in"""
    one = flow4(1)
    back = dict(source_ip=one.destination_ip, source_port=53, destination_ip=one.source_ip, destination_port=5000)
    moves(client, flow4(1, in_lif=lif(2, 100), out_lif=lif(1, 100), **back))
    until(lambda: counts(client, 1, "out") > 0)


@scenario
def ipv6_forms(client):
    """IPv6 addresses in each of their forms"""
    def hexes(address):
        return address.hex().encode()

    def colons(address):
        return address.hex(":").upper().encode()
    for form in (bytes, hexes, colons):
        moves(client, flow6(1, form(A6), form(B6), in_lif=lif(1, 100), out_lif=0), flow6(2, form(A6), form(B6)))
        client.clear()


@scenario
def actions(client):
    """DROP and FORWARD count alike, a next hop changes nothing, and the device's own counters tell them apart"""
    def met(name):
        return {fate.name: fate.packets for fate in client.stats().fates}[name]

    hop = dict(action_next_hop=ADDRESS("12.2.3.5"), action_next_hop_v6=ipv6("2001:db8::99"))
    before = met("session-drop")
    moves(client, flow4(1, action=pb.ActionParameters(action_type=pb._FORWARD, **hop)))
    equal(met("session-drop"), before)
    client.clear()
    before = met("forwarded")
    moves(client, flow4(1, action=pb.ActionParameters(action_type=pb._DROP, **hop)))
    assert met("session-drop") > 0
    equal(met("forwarded"), before)


@scenario
def silence(client):
    """a session lives while either direction has packets, and ages when they are another's"""
    equal(client.add(flow4(1, in_lif=lif(1, 100), out_lif=0, cache_timeout=1), flow4(2, source_port=9, cache_timeout=1)).request_status,
          pb._SESSION_ACCEPTED)
    time.sleep(2.2)
    equal(client.pages(0)[0], [1])
    gone = client.closed()
    equal([(one.session_id, one.session_close_code) for one in gone], [(2, pb._TIMEOUT)])
    equal(round(seconds(gone[0].end_time) - seconds(gone[0].start_time), 3), 1)


main(SCENARIOS if ARGS[0] == "s_addr" else [numbers])  # the rest does not depend on it
