"""MIRROR and SNOOP with configured next hops 12.2.3.4 and 2001:db8::9, both by the port `collector`. Lifs 1 and 2 receive, over
and over, the captures of pcaps/vlan (order.py says what is in them); lif 1 has a host port.

Argument: api.ipv4Order of the device."""

from client import *  # noqa: F403

ADDRESS = {"s_addr": s_addr, "host": host_order}[ARGS[0]]
HOP, HOP6 = ADDRESS("12.2.3.4"), ipv6("2001:db8::9")


def flow(number, kind, hop=0, hop6=b"", **fields):
    """VLAN 100, both ways."""
    return session(number, **{**dict(
        in_lif=lif(1, 100), out_lif=0, protocol_id=pb._UDP, source_ip=ADDRESS("10.0.0.1"), source_port=5000,
        destination_ip=ADDRESS("10.1.0.1"), destination_port=53,
        action=pb.ActionParameters(action_type=kind, action_next_hop=hop, action_next_hop_v6=hop6)), **fields})


def sent(client):
    """Packets that each port sent."""
    return {port.name: port.tx_packets for port in client.stats().ports}


def status(client, request):
    answer = client.add(request)
    client.clear()
    return answer.request_status


@scenario
def next_hops(client):
    """the next hop must be configured; action_next_hop_v6 is used when not empty, whatever the session's IP version"""
    other, other6 = ADDRESS("12.2.3.5"), ipv6("2001:db8::99")
    v6 = dict(ip_version=pb._IPV6, source_ipv6=ipv6("2001:db8::1"), destination_ipv6=ipv6("2001:db8::2"))
    for kind in (pb._MIRROR, pb._SNOOP):
        for wanted, hops in (
                (pb._SESSION_ACCEPTED, dict(hop=HOP)),
                (pb._SESSION_ACCEPTED, dict(hop6=HOP6)),
                (pb._SESSION_ACCEPTED, dict(hop6=HOP6.hex().encode())),
                (pb._SESSION_ACCEPTED, dict(hop6=HOP6.hex(":").encode())),
                (pb._SESSION_ACCEPTED, dict(hop=other, hop6=HOP6)),
                (pb._SESSION_REJECTED, dict()),
                (pb._SESSION_REJECTED, dict(hop=other)),
                (pb._SESSION_REJECTED, dict(hop6=other6)),
                (pb._SESSION_REJECTED, dict(hop=HOP, hop6=other6)),
                (pb._SESSION_REJECTED, dict(hop=HOP, hop6=HOP6[:15]))):
            equal(status(client, flow(1, kind, **hops)), wanted, f"{kind}, {hops}")
            equal(status(client, flow(1, kind, **hops, **v6)), wanted, f"IPv6, {kind}, {hops}")
    wrong = {"s_addr": host_order, "host": s_addr}[ARGS[0]]("12.2.3.4")
    equal(status(client, flow(1, pb._MIRROR, hop=wrong)), pb._SESSION_REJECTED, "in the other byte order")


def copies(client, kind, **hop):
    """What a session of this kind counted both ways, and what each port sent meanwhile."""
    before = sent(client)
    client.add(flow(1, kind, **hop))
    until(lambda: client.get(1).in_packets > 0 and client.get(1).out_packets > 0)
    last = client.delete(1)
    # What misses goes on meanwhile: only the collector's port is the session's alone.
    return last, {name: count - before[name] for name, count in sent(client).items()}


@scenario
def mirror(client):
    """MIRROR: each packet, of both directions, is forwarded, and a copy goes to the collector"""
    for hop in (dict(hop=HOP), dict(hop6=HOP6)):
        last, ports = copies(client, pb._MIRROR, **hop)
        equal(ports["collector"], last.in_packets + last.out_packets)
        assert ports["2"] >= last.in_packets and ports["1"] >= last.out_packets, ports


@scenario
def snoop(client):
    """SNOOP: each packet goes to the host port, and a copy to the collector"""
    last, ports = copies(client, pb._SNOOP, hop=HOP)
    equal(ports["collector"], last.in_packets + last.out_packets)
    assert ports["host1"] >= last.in_packets and ports["host2"] >= last.out_packets, ports
    equal((ports["1"], ports["2"]), (0, 0), "nothing passes by the uplinks")


@scenario
def others(client):
    """FORWARD and DROP with a configured next hop send no copies"""
    for kind in (pb._FORWARD, pb._DROP):
        _, ports = copies(client, kind, hop=HOP, hop6=HOP6)
        equal(ports["collector"], 0)


main(SCENARIOS if ARGS[0] == "s_addr" else [next_hops])  # the rest does not depend on it
