"""Merged frames and the segments that scapy makes of the same headers, as JSON: the golden bytes of gso.test.ts."""
import json
import sys

from scapy.all import IP, TCP, UDP, Dot1AD, Dot1Q, Ether, IPv6, Raw, raw, rdpcap, conf
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.layers.inet6 import IPv6ExtHdrDestOpt, PadN
from scapy.layers.vxlan import VXLAN

conf.verb = 0
MAC = dict(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
INNER_MAC = dict(src="02:00:00:00:01:01", dst="02:00:00:00:01:02")
V4 = dict(src="10.1.2.3", dst="10.4.5.6")
V6 = dict(src="2001:db8::1", dst="2001:db8::2")
OPTIONS = [("NOP", None), ("NOP", None), ("Timestamp", (123456, 654321))]


def outer(kind, k):
    """Everything in front of the inner IP header, and the number of MAC and tag bytes."""
    ident = (0xFFFE + k) & 0xFFFF
    eth = Ether(**MAC)
    out4 = IP(src="192.0.2.1", dst="192.0.2.2", id=ident, flags="DF", ttl=63)
    out6 = IPv6(src="2001:db8:f::1", dst="2001:db8:f::2", fl=0x12345)
    inner = Ether(**INNER_MAC)
    vni = VXLAN(vni=0x123456, flags=8)
    option = GeneveOptions(classid=0x102, type=0x80, data=b"\x01\x02\x03\x04\x05\x06\x07\x08")
    return {
        "plain": lambda: eth,
        "tag": lambda: eth / Dot1Q(vlan=100, prio=3),
        "two tags": lambda: eth / Dot1AD(vlan=7) / Dot1Q(vlan=100),
        "vxlan over IPv4": lambda: eth / out4 / UDP(sport=51000, dport=4789, chksum=0) / vni / inner,
        "vxlan over IPv4 with checksum, port 8472, tagged outside and inside": lambda: eth / Dot1Q(vlan=5) / out4
        / UDP(sport=51000, dport=8472) / vni / inner / Dot1Q(vlan=6),
        "vxlan over IPv6": lambda: eth / out6 / UDP(sport=51000, dport=4789) / vni / inner,
        "geneve over IPv4": lambda: eth / out4 / UDP(sport=51000, dport=6081, chksum=0)
        / GENEVE(vni=77, proto=0x6558, optionlen=3, options=[option]) / inner,
        "geneve over IPv6": lambda: eth / out6 / UDP(sport=51000, dport=6081)
        / GENEVE(vni=77, proto=0x6558, optionlen=3, options=[option]) / inner,
        "IP in IP": lambda: eth / out4,
        "IP in IPv6": lambda: eth / out6,
    }[kind]()


def packet(kind, inner, k, offset, payload, first, last):
    ident = (0xFFFE + k) & 0xFFFF
    out = outer(kind, k)
    if inner.startswith("tcp"):
        flags = "A" + ("PF" if last else "") + ("C" if first else "")
        l4 = TCP(sport=5001, dport=80, seq=(0xFFFFF000 + offset) & 0xFFFFFFFF, ack=99, flags=flags, options=OPTIONS)
    else:
        l4 = UDP(sport=5001, dport=443)
    if inner.endswith("4"):
        l3 = IP(**V4, id=ident, flags="DF", tos=2)
    elif inner.endswith("6 with options"):
        l3 = IPv6(**V6, tc=2) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0\0\0")])
    else:
        l3 = IPv6(**V6, tc=2, fl=77)
    return out / l3 / l4 / Raw(payload)


def case(kind, inner, size, total):
    payload = bytes((i * 7 + (i >> 8)) & 0xFF for i in range(total))
    whole = packet(kind, inner, 0, 0, payload, True, True)
    frame = bytearray(raw(whole))
    head = len(frame) - total - (8 if inner.startswith("udp") else 32)
    # As the kernel leaves it: fields that only finishing makes right hold something else.
    check = head + (6 if inner.startswith("udp") else 16)
    frame[check : check + 2] = b"\x12\x34"
    segments = []
    for k, at in enumerate(range(0, total, size)):
        part = payload[at : at + size]
        segments.append(raw(packet(kind, inner, k, at, part, at == 0, at + size >= total)).hex())
    kinds = {"tcp4": 1, "tcp6": 4, "tcp6 with options": 4, "udp4": 5, "udp6": 5}
    return dict(name=f"{inner}, {kind}, {total} bytes by {size}", type=kinds[inner], size=size, transport=head,
                frame=bytes(frame).hex(), segments=segments)


KINDS = ["plain", "tag", "two tags", "vxlan over IPv4", "vxlan over IPv4 with checksum, port 8472, tagged outside and inside",
         "vxlan over IPv6", "geneve over IPv4", "geneve over IPv6"]
cases = [case(kind, inner, 1400, 4000) for kind in KINDS for inner in ("tcp4", "tcp6", "udp4", "udp6")]
cases += [case("plain", inner, size, 4101) for inner in ("tcp4", "udp6") for size in (1, 537, 1001, 1366, 4101)][2:]
cases += [case("IP in IP", "tcp4", 1400, 3000), case("IP in IPv6", "tcp6", 1400, 3000), case("plain", "tcp6 with options", 1400, 3000)]
cases += [case("plain", "tcp4", 1448, 64000)]
captures = {path: raw(rdpcap(path)[0]).hex() for path in sys.argv[1:]}
json.dump(dict(cases=cases, captures=captures), sys.stdout)
