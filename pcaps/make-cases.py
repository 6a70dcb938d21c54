#!/usr/bin/python3
"""Makes the cases in this directory: captures, a program, and what a device has to make of them.

    pcaps/make-cases.py [DIRECTORY]         (needs python3-scapy and python3-cryptography)

A case is a directory: in-PORT.pcap for each port that receives, program.yaml, perhaps device.yaml (sluice replay -c), and in
expected/ the captures of the ports that send and report.json. scapy builds every frame, inputs and outputs alike; for each
packet the script says by hand where the specification sends it, why, and on which session it counts. Nothing here comes from
Sluice's own output. To see a case:

    sluice replay --in 1=pcaps/forward-ipv4/in-1.pcap --in 2=pcaps/forward-ipv4/in-2.pcap \\
        --program pcaps/forward-ipv4/program.yaml --out /tmp/out
"""

import json
import logging
import math
import os
import shutil
import sys
from fractions import Fraction

from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import (  # noqa: E402
    ARP, ICMP, IP, TCP, UDP, VXLAN, Dot1Q, Ether, ICMPv6EchoRequest, IPOption_Router_Alert, IPv6, IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, RawPcapWriter)
from scapy.contrib.geneve import GENEVE, GeneveOptions  # noqa: E402

T0 = 1767225600  # 2026-01-01 00:00:00 UTC: time stamps below are seconds after it
KINDS = {  # of the reasons that occur here
    "forwarded": "out", "from-host": "out", "copied": "out", "tunneled": "out", "no-session": "miss", "snooped": "miss", "tcp-control": "miss", "not-ip": "miss", "not-tcp-udp": "miss",
    "fragment": "miss", "ip-options": "miss", "extension-header": "miss", "double-tagged": "miss", "malformed": "miss", "no-rule-esp": "miss", "no-rule-geneve": "miss",
    "session-drop": "drop", "collector-rx": "drop", "oversize": "drop", "geneve-critical": "drop",
    "esp-replayed": "drop", "esp-authentication": "drop", "esp-dummy": "consumed", "esp-keepalive": "consumed"}
REASONS = list(KINDS)  # in the order of the report
CONSUMED = "consumed"
TUNNEL_COUNTERS = ["in_packets", "out_packets", "in_bytes", "out_bytes", "in_packets_drops", "out_packets_drops",
                   "in_bytes_drops", "out_bytes_drops"]
DEFAULT_PORTS = [("1", "uplink"), ("host1", "host"), ("2", "uplink"), ("host2", "host")]

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
A4, B4 = "10.0.0.1", "10.1.0.1"
A6, B6 = "2001:db8::1", "2001:db8:1::1"


def exact(seconds):
    """Time of day: seconds are written as text, so that nanoseconds stay exact."""
    return T0 + Fraction(str(seconds))


def plain(time):
    return int(time) if time.denominator == 1 else float(time)


class Case:
    def __init__(self, name, story, sessions, ports=DEFAULT_PORTS, device=None, tunnels=()):
        """tunnels: (id, the rest of its entry in the program)."""
        self.name, self.story, self.ports, self.device = name, story, ports, device
        self.tunnels = {id: (rest, [0] * 8) for id, rest in tunnels}
        self.entropy, self.sealed = [], []
        self.sessions = {s["id"]: dict(s, counts=[0, 0, 0, 0]) for s in sessions}
        self.packets, self.copies = [], []

    def packet(self, time, port, frame, to, why, session=None, cut=None, through=()):
        """A packet: when and where it comes, where it leaves (None: nowhere), why; session: (id, "in" or "out") that counts it;
        cut: bytes that the capture kept of it; through: (id, frame as it comes out; None: dropped; CONSUMED: ended by design) of each tunnel that it goes through."""
        sent = bytes(frame)
        for id, after in through:
            counts, before = self.tunnels[id][1], len(sent)
            counts[0] += 1
            counts[2] += before
            if after == CONSUMED:
                continue
            if after is None:
                counts[4] += 1
                counts[6] += before
            else:
                sent = bytes(after)
                counts[1] += 1
                counts[3] += len(sent)
        self.packets.append((exact(time), port, bytes(frame), to, why, session, cut, sent))

    def free(self, offset, length):
        """The device chooses these bytes of the last packet, as it is sent: entropy, of which the specification says the range."""
        self.entropy.append((len(self.packets) - 1, offset, length))

    def encrypted(self, sa, offset, free=()):
        """The last packet leaves with an ESP header at this offset of its frame. The device chooses the IV, from which what follows
        depends; and free, (offset, length) in what is encrypted. Here, IVs are the sequence numbers."""
        self.sealed.append((len(self.packets) - 1, sa, offset, free))

    def copy(self, to, mac):
        """The last packet goes to a collector too: as it was received, with that destination MAC."""
        time, port, frame, *_ = self.packets[-1]
        copy = bytes.fromhex(mac.replace(":", "")) + frame[6:]
        self.copies.append((time, port, copy, to, "copied", None, None, copy))

    def write(self, root):
        directory = os.path.join(root, self.name)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(os.path.join(directory, "expected"))
        arrived = {}
        for packet in sorted(self.packets, key=lambda p: p[0]):
            arrived.setdefault(packet[1], []).append(packet)
        for port, packets in arrived.items():
            capture(os.path.join(directory, f"in-{port}.pcap"), [(p[0], p[2], p[6]) for p in packets])
        # Merged by time; of equal times the input that sorts first.
        merged = [p for port in sorted(arrived) for p in arrived[port]]
        merged.sort(key=lambda p: p[0])
        for port, _ in self.ports:
            sent = [p for p in merged + self.copies if p[3] == port]
            if sent:
                capture(os.path.join(directory, "expected", f"{port}.pcap"), [(p[0], p[7], p[6]) for p in sent])
        if self.entropy:
            free = {}
            for packet, offset, length in self.entropy:
                port = self.packets[packet][3]
                record = [p for p in merged if p[3] == port].index(self.packets[packet])
                free.setdefault(port, []).append({"record": record, "offset": offset, "length": length})
            with open(os.path.join(directory, "expected", "entropy.json"), "w") as file:
                file.write(json.dumps(free) + "\n")
        if self.sealed:
            sealed = {}
            for packet, sa, offset, free in self.sealed:
                port = self.packets[packet][3]
                record = [p for p in merged if p[3] == port].index(self.packets[packet])
                sealed.setdefault(port, []).append({"record": record, "offset": offset, "cipher": sa.cipher, "icv": sa.icv,
                                                    "key": sa.key.hex(), "salt": sa.salt.hex(), "free": list(free)})
            with open(os.path.join(directory, "expected", "esp.json"), "w") as file:
                file.write(json.dumps(sealed) + "\n")
        with open(os.path.join(directory, "expected", "report.json"), "w") as file:
            file.write(json.dumps(self.report(merged), indent=2) + "\n")
        with open(os.path.join(directory, "program.yaml"), "w") as file:
            file.write(f"# {self.story}\n")
            if self.tunnels:
                file.write("tunnels:\n" + "".join(f"  - {{ tunnel_id: {id}, {rest} }}\n" for id, (rest, _) in self.tunnels.items()))
            file.write("sessions:\n" + "".join(map(entry, self.sessions.values())))
        if self.device:
            with open(os.path.join(directory, "device.yaml"), "w") as file:
                file.write(self.device)

    def report(self, packets):
        roles = dict(self.ports)
        for _, _, _, _, _, session, _, frame in packets:
            if session:
                counts = self.sessions[session[0]]["counts"]
                way = 0 if session[1] == "in" else 1
                counts[way] += 1
                counts[way + 2] += len(frame)
        everything = packets + self.copies
        kinds = [KINDS[p[4]] for p in packets]
        sent = [roles[p[3]] for p in everything if p[3]]
        alive = [s for s in self.sessions.values() if "end" not in s]
        closed = sorted((s for s in self.sessions.values() if "end" in s), key=lambda s: exact(s["end"]))
        # Sessions begin on the last whole tenth of a second before the first packet.
        start = Fraction(math.ceil(packets[0][0] * 10) - 1, 10)
        return {
            "totals": {
                "in": len(packets), "created": len(self.copies), "out": len(sent) - sent.count("host"), "to_host": sent.count("host"),
                "dropped": kinds.count("drop"), "consumed": kinds.count("consumed"), "offloaded": sum(p[4] == "forwarded" for p in packets)},
            "ports": [{
                "name": name, "role": role,
                "rx_packets": sum(p[1] == name for p in packets), "rx_bytes": sum(len(p[2]) for p in packets if p[1] == name),
                "created_packets": sum(p[1] == name for p in self.copies),
                "tx_packets": sum(p[3] == name for p in everything), "tx_bytes": sum(len(p[7]) for p in everything if p[3] == name),
            } for name, role in self.ports],
            "reasons": [{"name": r, "kind": KINDS[r], "packets": sum(p[4] == r for p in everything)}
                        for r in REASONS if any(p[4] == r for p in everything)],
            "sessions": [outcome(s, start) for s in alive],
            "closed_sessions": [outcome(s, start) for s in closed],
            "tunnels": [{"tunnel_id": id, **dict(zip(TUNNEL_COUNTERS, counts))} for id, (_, counts) in self.tunnels.items()],
        }


def outcome(session, start):
    in_packets, out_packets, in_bytes, out_bytes = session["counts"]
    return {
        "session_id": session["id"], "in_packets": in_packets, "out_packets": out_packets, "in_bytes": in_bytes,
        "out_bytes": out_bytes, "session_state": session.get("state", "_ESTABLISHED"),
        "session_close_code": session.get("code", "_TIMEOUT" if "end" in session else "_NOT_CLOSED"),
        "start_time": plain(start), **({"end_time": plain(exact(session["end"]))} if "end" in session else {})}


def entry(s):
    return (f"  - {{ session_id: {s['id']}, in_lif: {s.get('in_lif', 1)}, out_lif: {s.get('out_lif', 2)}, source_ip: \"{s['a'][0]}\", "
            f"source_port: {s['a'][1]},\n      destination_ip: \"{s['b'][0]}\", destination_port: {s['b'][1]}, protocol_id: {s['proto']}, "
            f"action: {{ action_type: {s.get('action', 'FORWARD')}{s.get('next_hop', '')} }}, cache_timeout: {s.get('timeout', 30)} }}\n")


def capture(path, packets):
    writer = RawPcapWriter(path, linktype=1, nano=True, endianness="<")
    writer.write_header(None)
    for time, frame, cut in packets:
        writer.write_packet(frame[:cut], sec=int(time), usec=int((time - int(time)) * 10**9), wirelen=len(frame))
    writer.close()


def session(id, proto, a, b, **more):
    return {"id": id, "proto": proto, "a": a, "b": b, **more}


def ether(reverse=False):
    return Ether(src=B, dst=A) if reverse else Ether(src=A, dst=B)


def ip4(reverse=False, **more):
    return IP(src=B4, dst=A4, **more) if reverse else IP(src=A4, dst=B4, **more)


def ip6(reverse=False, **more):
    return IPv6(src=B6, dst=A6, **more) if reverse else IPv6(src=A6, dst=B6, **more)


def tcp(reverse=False, flags="A", seq=1000, ack=2000, a=1234, b=80):
    return TCP(sport=b, dport=a, flags=flags, seq=seq, ack=ack) if reverse else TCP(sport=a, dport=b, flags=flags, seq=seq, ack=ack)


def udp(reverse=False, a=5000, b=53, **more):
    return UDP(sport=b, dport=a, **more) if reverse else UDP(sport=a, dport=b, **more)


def forward_ipv4():
    c = Case("forward-ipv4", "Two IPv4 sessions, UDP and TCP: both directions go straight through, what no session knows goes to the host.", [
        session(1, "UDP", (A4, 5000), (B4, 53)),
        session(2, "TCP", (A4, 1234), (B4, 80))])
    c.packet("0.05", "1", ether() / ip4() / udp() / b"question", "2", "forwarded", (1, "in"))
    c.packet("0.050000001", "2", ether(True) / ip4(True) / udp(True) / (b"answer" * 30), "1", "forwarded", (1, "out"))
    c.packet("0.1", "1", ether() / ip4() / tcp() / b"GET /", "2", "forwarded", (2, "in"))
    c.packet("0.2", "2", ether(True) / ip4(True) / tcp(True, "PA") / (b"x" * 1400), "1", "forwarded", (2, "out"))
    c.packet("0.2", "2", ether(True) / ip4(True) / tcp(True, "PA", seq=3400) / (b"y" * 600), "1", "forwarded", (2, "out"))
    # A checksum that is wrong is not the device's business; nor are a TTL of 1 and padding behind the datagram.
    c.packet("0.3", "1", ether() / ip4(ttl=1) / udp(chksum=0x1234) / b"?", "2", "forwarded", (1, "in"))
    c.packet("0.31", "1", bytes(ether() / ip4() / udp() / b"!").ljust(60, b"\0"), "2", "forwarded", (1, "in"))
    c.packet("0.4", "1", ether() / ip4() / udp(b=54) / b"other port", "host1", "no-session")
    c.packet("0.4", "2", ether() / ip4() / udp() / b"other side", "host2", "no-session")
    c.packet("0.5", "1", ether() / ip4() / tcp(a=5000, b=53) / b"other protocol", "host1", "no-session")
    return c


def forward_ipv6():
    c = Case("forward-ipv6", "IPv6: sessions hold TCP and UDP right behind the IPv6 header; any extension header goes to the host.", [
        session(1, "UDP", (A6, 5000), (B6, 53)),
        session(2, "TCP", (A6, 1234), (B6, 80))])
    c.packet("0.05", "1", ether() / ip6() / udp() / b"question", "2", "forwarded", (1, "in"))
    c.packet("0.06", "2", ether(True) / ip6(True) / udp(True) / b"answer", "1", "forwarded", (1, "out"))
    c.packet("0.07", "1", ether() / ip6(fl=77, tc=8) / tcp() / b"data", "2", "forwarded", (2, "in"))
    c.packet("0.08", "2", ether(True) / ip6(True) / tcp(True), "1", "forwarded", (2, "out"))
    c.packet("0.1", "1", ether() / ip6() / IPv6ExtHdrHopByHop() / udp() / b"x", "host1", "extension-header")
    c.packet("0.2", "1", ether() / ip6() / IPv6ExtHdrDestOpt() / tcp() / b"x", "host1", "extension-header")
    c.packet("0.3", "1", ether() / ip6() / IPv6ExtHdrFragment(m=1, nh=17, id=9) / udp() / (b"f" * 40), "host1", "fragment")
    c.packet("0.4", "2", ether(True) / ip6(True) / ICMPv6EchoRequest(), "host2", "not-tcp-udp")
    return c


def vlan():
    c = Case("vlan", "A VLAN id is part of a session's in_lif: 6553601 = VLAN 100 on 1. VID 0 is untagged; two tags are never a session's.", [
        session(1, "UDP", (A4, 5000), (B4, 53), in_lif=100 << 16 | 1, out_lif=0),
        session(2, "UDP", (A4, 5000), (B4, 53), in_lif=1, out_lif=2),
        session(3, "TCP", (A6, 1234), (B6, 80), in_lif=100 << 16 | 1, out_lif=100 << 16 | 2)])
    c.packet("0.05", "1", ether() / Dot1Q(vlan=100) / ip4() / udp() / b"tag 100", "2", "forwarded", (1, "in"))
    c.packet("0.06", "2", ether(True) / Dot1Q(vlan=100, prio=5) / ip4(True) / udp(True) / b"back", "1", "forwarded", (1, "out"))
    c.packet("0.07", "1", ether() / ip4() / udp() / b"untagged", "2", "forwarded", (2, "in"))
    c.packet("0.08", "1", ether() / Dot1Q(vlan=0, prio=7) / ip4() / udp() / b"priority tag", "2", "forwarded", (2, "in"))
    c.packet("0.09", "1", ether() / Dot1Q(vlan=100) / ip6() / tcp() / b"v6", "2", "forwarded", (3, "in"))
    c.packet("0.1", "1", ether() / ip6() / tcp() / b"v6 untagged", "host1", "no-session")
    c.packet("0.2", "1", ether() / Dot1Q(vlan=200) / ip4() / udp() / b"other tag", "host1", "no-session")
    c.packet("0.3", "1", Ether(src=A, dst=B, type=0x88a8) / Dot1Q(vlan=100, type=0x8100) / Dot1Q(vlan=100) / ip4() / udp(), "host1",
             "double-tagged")
    c.packet("0.4", "2", ether(True) / Dot1Q(vlan=100) / ARP(psrc=B4, pdst=A4), "host2", "not-ip")
    return c


def drop():
    c = Case("drop", "A session with action DROP: its packets end here, both ways, and are counted; TCP control packets still reach the host.", [
        session(1, "UDP", (A4, 5000), (B4, 53), action="DROP"),
        session(2, "TCP", (A6, 1234), (B6, 80), action="DROP", state="_CLOSED", code="_RST")])
    c.packet("0.05", "1", ether() / ip4() / udp() / b"q", None, "session-drop", (1, "in"))
    c.packet("0.06", "2", ether(True) / ip4(True) / udp(True) / (b"a" * 9), None, "session-drop", (1, "out"))
    c.packet("0.1", "1", ether() / ip6() / tcp(flags="S"), "host1", "tcp-control")
    c.packet("0.2", "1", ether() / ip6() / tcp() / b"data", None, "session-drop", (2, "in"))
    c.packet("0.3", "2", ether(True) / ip6(True) / tcp(True, "RA"), "host2", "tcp-control")
    c.packet("0.4", "1", ether() / ip4() / udp(a=5001) / b"another flow", "host1", "no-session")
    return c


def tcp_states():
    """Close codes are those that TCP showed, though both sessions live until their timeout."""
    c = Case("tcp-states", "A whole connection, a reset one and a half-closed one: SYN, FIN and RST go to the host, are not counted, and move the state.", [
        session(1, "TCP", (A4, 1234), (B4, 80), timeout=5, state="_CLOSED", code="_FINACK", end="5.8"),
        session(2, "TCP", (A4, 1235), (B4, 80), timeout=5, state="_CLOSED", code="_RST", end="6"),
        session(3, "TCP", (A4, 1236), (B4, 80), timeout=60, state="_CLOSING_1"),
        session(4, "TCP", (A4, 1237), (B4, 80), timeout=60, state="_CLOSING_2"),
        session(5, "TCP", (A4, 1238), (B4, 80), timeout=60, state="_ESTABLISHED")])

    def seg(time, reverse, flags, seq, ack, payload=b"", number=1):
        frame = ether(reverse) / ip4(reverse) / tcp(reverse, flags, seq, ack, a=1233 + number) / payload
        if set(flags) & set("SFR"):
            c.packet(time, "2" if reverse else "1", frame, "host2" if reverse else "host1", "tcp-control")
        else:
            c.packet(time, "2" if reverse else "1", frame, "1" if reverse else "2", "forwarded", (number, "out" if reverse else "in"))

    seg("0.05", False, "S", 999, 0)
    seg("0.1", True, "SA", 4999, 1000)
    seg("0.2", False, "A", 1000, 5000)
    seg("0.3", False, "PA", 1000, 5000, b"request")
    seg("0.4", True, "PA", 5000, 1007, b"response")
    seg("0.5", False, "FA", 1007, 5008)
    seg("0.6", True, "A", 5008, 1008)
    seg("0.7", True, "FPA", 5008, 1008, b"bye")  # a FIN behind three bytes of data
    seg("0.75", False, "A", 1008, 5011)  # acknowledges the data, not the FIN
    seg("0.8", False, "A", 1008, 5012)  # the last packet that counts: aged at 5.8
    seg("1", False, "A", 1000, 5000, b"data", 2)
    seg("1.1", True, "R", 5000, 0, b"", 2)
    seg("1.2", False, "FA", 1000, 5000, b"", 3)
    seg("1.3", True, "A", 5000, 1000, b"more", 3)  # does not acknowledge the FIN
    seg("1.4", False, "FA", 1000, 5000, b"", 4)
    seg("1.5", True, "FA", 5000, 1001, b"", 4)  # acknowledges the first FIN; its own is not acknowledged yet
    seg("1.6", False, "FA", 1000, 5000, b"", 5)
    seg("1.7", False, "S", 70000, 0, b"", 5)  # the next connection on the same ports
    seg("1.8", False, "A", 70001, 8000, b"again", 5)
    # Both aged sessions are gone: the same flow is the host's again.
    c.packet("6.5", "1", ether() / ip4() / tcp(a=1234) / b"late", "host1", "no-session")
    c.packet("6.6", "2", ether(True) / ip4(True) / tcp(True, a=1235) / b"late", "host2", "no-session")
    return c


def tcp_close():
    c = Case("tcp-close-device", "With sessions.tcpClose: device a connection that TCP closed leaves the table at once, not at its timeout.", [
        session(1, "TCP", (A4, 1234), (B4, 80), timeout=3600, state="_CLOSED", code="_RST"),
        session(2, "UDP", (A4, 5000), (B4, 53), timeout=3600)],
        device=device("sessions: { capacity: 1024, tcpClose: device }\n", [1, 2]))
    c.packet("0.05", "1", ether() / ip4() / tcp() / b"data", "2", "forwarded", (1, "in"))
    c.packet("0.15", "1", ether() / ip4() / tcp(flags="R"), "host1", "tcp-control")
    c.packet("0.35", "1", ether() / ip4() / tcp() / b"late", "host1", "no-session")
    c.packet("0.45", "2", ether(True) / ip4(True) / udp(True) / b"alive", "1", "forwarded", (2, "out"))
    # The device looks for closed connections at the end of each tenth of a second.
    c.sessions[1]["end"] = "0.2"
    return c


class Connection:
    """One TCP connection of a case, client port 1000 + number. The caller says by hand which segment closes it and how it stands
    at the end; what follows from that by mode is said here. With sessions.tcpClose: application it ages after its timeout of
    silence (control packets do not count), its close code as TCP showed it. With device it leaves at the end of that tenth of a
    second, and later segments are the host's."""

    def __init__(self, case, number, act, v6=False, vlan=0, timeout=3):
        self.case, self.number, self.act, self.v6, self.vlan, self.timeout = case, number, act, v6, vlan, timeout
        self.last = self.left = None

    def seg(self, time, side, flags, seq, ack, payload=b"", closes=False):
        """side: "in" from the client, "out" from the server; seq and ack modulo 2^32."""
        back = side == "out"
        port, peer = ("2", "1") if back else ("1", "2")
        tag = Dot1Q(vlan=self.vlan) if self.vlan else b""
        network = (ip6 if self.v6 else ip4)(back)
        transport = tcp(back, flags, seq % 2**32, ack % 2**32, a=1000 + self.number)
        frame = ether(back) / tag / network / transport / payload if tag else ether(back) / network / transport / payload
        if self.left is not None and exact(time) > self.left:
            self.case.packet(time, port, frame, "host" + port, "no-session")
        elif set(flags) & set("SFR"):
            self.case.packet(time, port, frame, "host" + port, "tcp-control")
        else:
            self.case.packet(time, port, frame, peer, "forwarded", (self.number, side))
            self.last = exact(time)
        if closes and self.act:
            self.left = Fraction(math.ceil(exact(time) * 10), 10)

    def stands(self, state, code="_NOT_CLOSED"):
        """At the end. One that is not closed stays until the capture ends."""
        s = self.case.sessions[self.number]
        s.update(state=state, code=code)
        if self.left is not None:
            s["end"] = str(self.left - T0)
        elif code != "_NOT_CLOSED":
            s["end"] = str(self.last + self.timeout - T0)


def tcp_case(name, story, flows, act):
    """flows: by number, what its session has beyond the usual: v6, vlan, stays (3600 s instead of 3)."""
    sessions = []
    for number, more in flows.items():
        a, b = (A6, B6) if more.get("v6") else (A4, B4)
        sessions.append(session(number, "TCP", (a, 1000 + number), (b, 80), in_lif=more.get("vlan", 0) << 16 | 1, out_lif=0,
                                timeout=3600 if more.get("stays") else 3))
    mode = " It leaves at once (tcpClose: device)." if act else " It leaves when it ages (tcpClose: application)."
    c = Case(name + ("-device" if act else ""), story + mode, sessions,
             device=device("sessions: { capacity: 1024, tcpClose: device }\n", [1, 2]) if act else None)
    return c, {n: Connection(c, n, act, more.get("v6", False), more.get("vlan", 0)) for n, more in flows.items()}


def tcp_fin(act):
    """RFC 9293 section 3.6: FINs that are repeated, overtake data, cross, or whose acknowledgment is lost."""
    c, flow = tcp_case("tcp-fin", "FINs that are retransmitted, reordered and simultaneous, and acknowledgments that are lost.", {
        1: {}, 2: {}, 3: {}, 4: {}, 5: {"stays": True}, 6: {"stays": True}}, act)
    # 1: every FIN twice, and once more after the last acknowledgment, which was lost behind the device.
    seg = flow[1].seg
    seg("0.05", "in", "A", 1000, 5000)
    seg("0.06", "in", "FA", 1000, 5000)  # ends at 1001
    seg("0.07", "in", "FA", 1000, 5000)
    seg("0.08", "out", "A", 5000, 1000)  # an old acknowledgment
    seg("0.09", "out", "A", 5000, 1001)
    seg("0.11", "out", "FA", 5000, 1001)  # ends at 5001
    seg("0.12", "out", "FA", 5000, 1001)
    seg("0.13", "in", "FA", 1000, 5000)  # an old FIN acknowledges nothing new
    seg("0.14", "in", "A", 1001, 5001, closes=True)
    seg("0.31", "out", "FA", 5000, 1001)
    seg("0.32", "in", "A", 1001, 5001)
    flow[1].stands("_CLOSED", "_FINACK")
    # 2: the FIN overtakes the last hundred bytes.
    seg = flow[2].seg
    seg("0.15", "in", "FA", 1100, 5000)  # ends at 1101
    seg("0.16", "in", "PA", 1000, 5000, b"d" * 100)
    seg("0.17", "out", "A", 5000, 1000)  # had the FIN, misses the data
    seg("0.18", "out", "A", 5000, 1100)  # all but the FIN
    seg("0.21", "out", "FA", 5000, 1101)
    seg("0.22", "in", "A", 1101, 5000)  # not the server's FIN
    seg("0.23", "in", "A", 1101, 5001, closes=True)
    flow[2].stands("_CLOSED", "_FINACK")
    # 3: simultaneous, figure 13.
    seg = flow[3].seg
    seg("0.41", "in", "FA", 1000, 5000)
    seg("0.42", "out", "FA", 5000, 1000)
    seg("0.43", "in", "A", 1001, 5001)
    seg("0.44", "in", "A", 1001, 5001)  # the same side's once more
    seg("0.45", "out", "A", 5001, 1001, closes=True)
    flow[3].stands("_CLOSED", "_FINACK")
    # 4: the last acknowledgment is lost before the device; the server repeats its FIN, the client acknowledges that.
    seg = flow[4].seg
    seg("0.51", "out", "FPA", 5000, 1000, b"bye")  # the server first; ends at 5004
    seg("0.52", "in", "FA", 1000, 5004)  # ends at 1001
    seg("0.71", "in", "FA", 1000, 5004)
    seg("0.72", "out", "A", 5004, 1001, closes=True)
    seg("0.73", "out", "A", 5004, 1001)
    flow[4].stands("_CLOSED", "_FINACK")
    # 5: half closed, data flows the other way.
    seg = flow[5].seg
    seg("0.81", "in", "FA", 1000, 5000)
    seg("0.82", "out", "A", 5000, 1001)
    seg("0.83", "out", "PA", 5000, 1001, b"x" * 300)
    seg("0.84", "in", "A", 1001, 5300)
    seg("1.9", "out", "PA", 5300, 1001, b"x" * 300)
    seg("1.91", "in", "A", 1001, 5600)
    flow[5].stands("_CLOSING_1")
    # 6: both FINs, the second not acknowledged.
    seg = flow[6].seg
    seg("0.91", "in", "FA", 1000, 5000)
    seg("0.92", "out", "FA", 5010, 1001)
    seg("0.93", "in", "A", 1001, 5000)
    flow[6].stands("_CLOSING_2")
    flow[5].seg("9", "out", "A", 5600, 1001)  # when the others have aged
    return c


def tcp_rst(act):
    """Any RST closes; what was closed by FINs stays so."""
    c, flow = tcp_case("tcp-rst", "RST in the middle, with data, as an answer to SYN, after FINs, and after both sides closed.", {
        1: {}, 2: {}, 3: {}, 4: {}, 5: {}, 6: {}, 7: {"stays": True}}, act)
    seg = flow[1].seg  # in the middle; late data
    seg("0.05", "in", "PA", 1000, 5000, b"data")
    seg("0.06", "out", "R", 5000, 0, closes=True)
    seg("0.31", "in", "PA", 1004, 5000, b"late")
    flow[1].stands("_CLOSED", "_RST")
    seg = flow[2].seg  # with data (RFC 9293 section 3.5.3): not counted either
    seg("0.11", "out", "A", 5000, 1000)
    seg("0.12", "in", "RA", 1000, 5000, b"why it was reset", closes=True)
    flow[2].stands("_CLOSED", "_RST")
    seg = flow[3].seg  # after the close: it was the FINs that closed it
    seg("0.13", "in", "FA", 1000, 5000)
    seg("0.14", "out", "FA", 5000, 1001)
    seg("0.15", "in", "A", 1001, 5001, closes=True)
    seg("0.16", "in", "R", 1001, 0)
    seg("0.33", "in", "R", 1001, 0)
    flow[3].stands("_CLOSED", "_FINACK")
    seg = flow[4].seg  # half closed, then the server gives up; the client's late FIN changes nothing
    seg("0.41", "in", "A", 1000, 5000)
    seg("0.42", "in", "FA", 1000, 5000)
    seg("0.43", "out", "RA", 5000, 1001, closes=True)
    seg("0.44", "in", "FA", 1000, 5000)
    flow[4].stands("_CLOSED", "_RST")
    seg = flow[5].seg  # both FINs, one of them acknowledged
    seg("0.51", "out", "A", 5000, 1000)
    seg("0.52", "out", "FA", 5000, 1000)
    seg("0.53", "in", "FA", 1000, 5001)
    seg("0.54", "in", "R", 1001, 0, closes=True)
    seg("0.55", "out", "A", 5001, 1001)  # completes what is over
    flow[5].stands("_CLOSED", "_RST")
    seg = flow[6].seg  # refused: nothing that counts passes
    seg("0.61", "in", "S", 999, 0)
    seg("0.62", "out", "RA", 0, 1000, closes=True)
    if act:
        flow[6].stands("_CLOSED", "_RST")
    else:
        c.sessions[6].update(state="_CLOSED", code="_RST", end="3")  # silent since the start
    seg = flow[7].seg
    seg("0.71", "in", "PA", 1000, 5000, b"alive")
    seg("9", "out", "A", 5000, 1005)
    flow[7].stands("_ESTABLISHED")
    return c


def tcp_reuse(act):
    """A bare SYN begins the next connection on the same ports."""
    c, flow = tcp_case("tcp-reuse", "The same ports again: a bare SYN while both FINs wait, right after the close, and later.", {
        1: {"stays": True}, 2: {"stays": True}, 3: {"stays": True}, 4: {}, 5: {"stays": True}}, act)
    seg = flow[1].seg  # in _CLOSING_2
    seg("0.05", "in", "FA", 1000, 5000)
    seg("0.06", "out", "FA", 5000, 1001)
    seg("0.07", "in", "S", 90000, 0)
    seg("0.08", "out", "SA", 70000, 90001)
    seg("0.09", "in", "A", 90001, 70001)
    seg("0.11", "in", "PA", 90001, 70001, b"again")
    flow[1].stands("_ESTABLISHED")
    seg = flow[2].seg  # closed, and open again before the device has looked
    seg("0.12", "in", "FA", 1000, 5000)
    seg("0.13", "out", "FA", 5000, 1001)
    seg("0.14", "in", "A", 1001, 5001)  # _CLOSED for a hundredth of a second
    seg("0.15", "in", "S", 90000, 0)
    seg("0.16", "out", "SA", 70000, 90001)
    seg("0.35", "in", "PA", 90001, 70001, b"again")
    seg("0.36", "in", "FA", 90006, 70001)
    flow[2].stands("_CLOSING_1")
    seg = flow[3].seg  # closed, and open again later: with device the session is gone by then
    seg("0.41", "in", "FA", 1000, 5000)
    seg("0.42", "out", "FA", 5000, 1001)
    seg("0.43", "in", "A", 1001, 5001, closes=True)
    seg("0.61", "in", "S", 90000, 0)
    seg("0.62", "out", "SA", 70000, 90001)
    seg("0.63", "in", "A", 90001, 70001)
    if act:
        flow[3].stands("_CLOSED", "_FINACK")
    else:
        flow[3].stands("_ESTABLISHED")
    seg = flow[4].seg  # reset, open again at once, and closed by FINs
    seg("0.71", "in", "R", 1000, 0)
    seg("0.72", "in", "S", 90000, 0)
    seg("0.73", "out", "SA", 70000, 90001)
    seg("0.74", "in", "FA", 90001, 70001)
    seg("0.75", "out", "FA", 70001, 90002)
    seg("0.76", "in", "A", 90002, 70001)  # acknowledges the SYN only
    seg("0.77", "in", "A", 90002, 70002, closes=True)
    flow[4].stands("_CLOSED", "_FINACK")
    seg = flow[5].seg  # a SYN with ACK is no bare SYN
    seg("0.81", "in", "FA", 1000, 5000)
    seg("0.82", "out", "SA", 5000, 1001)
    seg("0.83", "in", "SA", 1000, 5000)
    flow[5].stands("_CLOSING_1")
    flow[5].seg("9", "out", "A", 5001, 1000)
    return c


def tcp_wrap(act):
    """Sequence numbers wrap; IPv6; VLAN tags."""
    c, flow = tcp_case("tcp-wrap", "Sequence numbers that wrap at a FIN, over IPv4 and IPv6, with and without a VLAN tag.", {
        1: {}, 2: {"v6": True}, 3: {"vlan": 100}, 4: {"v6": True, "vlan": 7}, 5: {"stays": True}}, act)
    top = 2**32
    seg = flow[1].seg  # the FIN is number 2^32 - 1 and is acknowledged by 0; the other way around 2^31
    seg("0.05", "in", "FA", top - 1, 2**31 - 1)
    seg("0.06", "out", "FA", 2**31 - 1, top - 1)  # ends at 2^31
    seg("0.07", "in", "A", top, 2**31)
    seg("0.08", "out", "A", 2**31, top - 1)  # one short
    seg("0.09", "out", "A", 2**31, top, closes=True)
    flow[1].stands("_CLOSED", "_FINACK")
    seg = flow[2].seg  # data across the wrap, FIN behind it: ends at 4
    seg("0.11", "in", "FPA", top - 2, 5000, b"12345")
    seg("0.12", "out", "A", 5000, top - 2)
    seg("0.13", "out", "FA", 5000, 3)  # the data, not the FIN
    seg("0.14", "in", "A", 4, 5001)
    seg("0.15", "out", "A", 5001, 3)
    seg("0.16", "out", "A", 5001, 4, closes=True)
    seg("0.31", "in", "A", 4, 5001)
    flow[2].stands("_CLOSED", "_FINACK")
    seg = flow[3].seg  # the acknowledgment is of more than the FIN: a device may have missed what lies between
    seg("0.41", "out", "FA", top - 10, 1000)  # ends at 2^32 - 9
    seg("0.42", "in", "FA", 1000, top - 10)
    seg("0.43", "out", "A", top - 9, 1001)
    seg("0.44", "in", "A", 1001, 5, closes=True)
    flow[3].stands("_CLOSED", "_FINACK")
    seg = flow[4].seg
    seg("0.51", "in", "PA", 1000, 5000, b"tagged")
    seg("0.52", "out", "R", 5000, 0, closes=True)
    flow[4].stands("_CLOSED", "_RST")
    # The same ports without the tag, or with another, are other flows.
    other = ether() / ip4() / tcp(flags="R", a=1005)
    c.packet("0.61", "1", ether() / Dot1Q(vlan=100) / ip4() / tcp(flags="R", a=1005), "host1", "no-session")
    c.packet("0.62", "2", other, "host2", "no-session")
    flow[5].seg("9", "in", "A", 1000, 5000)
    flow[5].stands("_ESTABLISHED")
    return c


def misses():
    c = Case("misses", "What is never a session's, even with a session of its addresses: ARP, ICMP, fragments, IP options, headers that disagree.", [
        session(1, "UDP", (A4, 5000), (B4, 53)),
        session(2, "TCP", (A4, 1234), (B4, 80))])
    c.packet("0.05", "1", Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(psrc=A4, pdst=B4), "host1", "not-ip")
    c.packet("0.06", "2", ether(True) / ARP(op=2, psrc=B4, pdst=A4), "host2", "not-ip")
    c.packet("0.1", "1", ether() / ip4() / ICMP() / b"ping", "host1", "not-tcp-udp")
    c.packet("0.2", "1", ether() / ip4(flags="MF", id=7) / udp(len=108) / (b"f" * 56), "host1", "fragment")
    c.packet("0.21", "1", ether() / ip4(frag=8, id=7, proto=17) / (b"f" * 44), "host1", "fragment")
    c.packet("0.3", "1", ether() / ip4(options=[IPOption_Router_Alert()]) / udp() / b"o", "host1", "ip-options")
    c.packet("0.4", "1", ether() / ip4(len=400) / udp() / b"shorter than it says", "host1", "malformed")
    c.packet("0.41", "1", ether() / ip4() / udp(len=400) / b"shorter than it says", "host1", "malformed")
    c.packet("0.42", "2", ether(True) / ip4(True) / TCP(sport=80, dport=1234, dataofs=4), "host2", "malformed")
    c.packet("0.43", "1", bytes(ether() / ip4() / tcp())[:40], "host1", "malformed")
    c.packet("0.44", "1", Ether(src=A, dst=B, type=0x0800), "host1", "malformed")
    c.packet("0.45", "2", Ether(src=B, dst=A, type=0x88cc) / b"LLDP", "host2", "not-ip")
    c.packet("0.5", "1", ether() / ip4() / udp() / b"a hit between them", "2", "forwarded", (1, "in"))
    c.packet("0.6", "2", ether(True) / ip4(True, proto=132) / (b"s" * 24), "host2", "not-tcp-udp")
    return c


def device(rest, lifs, hosts=True, more=""):
    host = ", host: { driver: memory }" if hosts else ""
    return "ports:\n" + "".join(f"  - {{ lif: {n}, driver: memory{host} }}\n" for n in lifs) + more + rest


def out_lif():
    ports = [("1", "uplink"), ("host1", "host"), ("2", "uplink"), ("3", "uplink"), ("4", "uplink"), ("probe", "named")]
    c = Case("out-lif", "Two pairs of uplinks, only 1 with a host port: out_lif 0 is the pair, out_lif = in_lif goes back, any other lif is allowed.", [
        session(1, "UDP", (A4, 1), (B4, 53), in_lif=1, out_lif=0),
        session(2, "UDP", (A4, 2), (B4, 53), in_lif=1, out_lif=1),
        session(3, "UDP", (A4, 3), (B4, 53), in_lif=1, out_lif=4),
        session(4, "UDP", (A4, 4), (B4, 53), in_lif=3, out_lif=0)],
        ports=ports,
        device="ports:\n  - { lif: 1, driver: memory, host: { driver: memory } }\n  - { lif: 2, driver: memory }\n"
               "  - { lif: 3, driver: memory }\n  - { lif: 4, driver: memory }\n  - { name: probe, driver: memory }\n"
               "sessions: { capacity: 1024 }\n")

    def there(a):
        return ether() / ip4() / udp(a=a) / b"there"

    def back(a):
        return ether(True) / ip4(True) / udp(True, a=a) / b"and back"

    c.packet("0.05", "1", there(1), "2", "forwarded", (1, "in"))
    c.packet("0.06", "2", back(1), "1", "forwarded", (1, "out"))
    c.packet("0.1", "1", there(2), "1", "forwarded", (2, "in"))
    c.packet("0.11", "1", back(2), "1", "forwarded", (2, "out"))
    c.packet("0.12", "2", back(2), "1", "no-session")  # no host port on 2: the miss goes to its peer
    c.packet("0.2", "1", there(3), "4", "forwarded", (3, "in"))
    c.packet("0.21", "4", back(3), "1", "forwarded", (3, "out"))
    c.packet("0.22", "2", back(3), "1", "no-session")
    c.packet("0.3", "3", there(4), "4", "forwarded", (4, "in"))
    c.packet("0.31", "4", back(4), "3", "forwarded", (4, "out"))
    c.packet("0.32", "3", there(9), "4", "no-session")
    c.packet("0.33", "1", there(9), "host1", "no-session")
    c.packet("0.4", "probe", there(1), None, "collector-rx")  # a named port only sends
    c.packet("0.5", "host1", there(2), "1", "from-host")
    return c


def aging():
    c = Case("aging", "Sessions age on the capture's clock: each goes after its own seconds of silence in both directions, also across a gap of hours.", [
        session(1, "UDP", (A4, 1), (B4, 53), timeout=2, end="2.05"),
        session(2, "UDP", (A4, 2), (B4, 53), timeout=2, end="6.123456789"),
        session(3, "TCP", (A4, 3), (B4, 53), timeout=2, end="2.25"),
        session(4, "UDP", (A4, 4), (B4, 53), timeout=2, end="2"),
        session(5, "UDP", (A4, 5), (B4, 53), timeout=20000),
        session(6, "UDP", (A4, 6), (B4, 53), timeout=7200, end="7203")])

    def fwd(time, number, reverse=False):
        frame = ether(reverse) / ip4(reverse) / udp(reverse, a=number) / b"data"
        c.packet(time, "2" if reverse else "1", frame, "1" if reverse else "2", "forwarded", (number, "out" if reverse else "in"))

    def gone(time, number, reverse=False):
        frame = ether(reverse) / ip4(reverse) / udp(reverse, a=number) / b"data"
        c.packet(time, "2" if reverse else "1", frame, "host2" if reverse else "host1", "no-session")

    fwd("0.05", 1)
    fwd("0.15", 2)
    c.packet("0.25", "1", ether() / ip4() / tcp(a=3, b=53) / b"d", "2", "forwarded", (3, "in"))
    fwd("0.35", 5)
    c.packet("1.5", "1", ether() / ip4() / tcp(flags="FA", a=3, b=53), "host1", "tcp-control")  # does not refresh 3
    c.sessions[3]["state"] = "_CLOSING_1"
    fwd("2.0", 2, True)  # the other direction refreshes as well
    gone("2.35", 1)
    gone("2.36", 1, True)
    c.packet("2.37", "1", ether() / ip4() / tcp(a=3, b=53) / b"d", "host1", "no-session")
    gone("2.38", 4)  # never had a packet: silent since the start
    fwd("3.0", 6)
    fwd("3.9", 2)
    fwd("4.123456789", 2, True)
    gone("6.35", 2)
    fwd("7202.9", 5, True)
    gone("7203.15", 6)  # silent for 7200 s since 3.0: gone, while 5 stays
    fwd("14400", 5)
    return c


def host_ports():
    c = Case("host-ports", "What comes from a host port leaves by its uplink, whatever sessions say; packets of equal time come in the order of the inputs.", [
        session(1, "UDP", (A4, 5000), (B4, 53), action="DROP"),
        session(2, "TCP", (A4, 1234), (B4, 80))])
    dropped = ether(True) / ip4(True) / udp(True)
    c.packet("0.05", "1", ether() / ip4() / udp() / b"dropped", None, "session-drop", (1, "in"))
    for n in range(3):
        c.packet("0.11", "2", ether(True) / ip4(True) / tcp(True) / bytes([n]), "1", "forwarded", (2, "out"))
        c.packet("0.11", "host1", dropped / bytes([n]), "1", "from-host")
    c.packet("0.18", "host1", dropped / b"let through", "1", "from-host")
    c.packet("0.18", "2", ether(True) / ip4(True) / tcp(True) / b"before it", "1", "forwarded", (2, "out"))
    c.packet("0.18", "host2", ether() / ip4() / udp() / b"let through", "2", "from-host")
    c.packet("0.18", "1", ether() / ip4() / tcp() / b"x", "2", "forwarded", (2, "in"))
    c.packet("0.3", "host1", ether(True) / ip4(True) / tcp(True, "R"), "1", "from-host")  # moves no state
    c.packet("0.3", "host2", Ether(src=A, dst=B, type=0x9999) / b"anything", "2", "from-host")
    return c


def mirror_snoop():
    """The collectors: 12.2.3.4 behind a named port, 2001:db8::9 on uplink 3. Session 5 gives both kinds of next hop: v6 wins."""
    ports = DEFAULT_PORTS + [("3", "uplink"), ("collector", "named")]
    v4, v6 = ", action_next_hop: 12.2.3.4", ', action_next_hop_v6: "2001:db8::9"'
    near, far = ("collector", "02:00:00:00:00:09"), ("3", "fe:dc:ba:98:76:54")
    c = Case("mirror-snoop", "MIRROR forwards and SNOOP leaves to the host; the collector gets a copy, as received but for the destination MAC.", [
        session(1, "UDP", (A4, 5000), (B4, 53), action="MIRROR", next_hop=v4),
        session(2, "TCP", (A6, 1234), (B6, 80), action="MIRROR", next_hop=v6, state="_CLOSING_1"),
        session(3, "UDP", (A6, 5000), (B6, 53), action="SNOOP", next_hop=v4),
        session(4, "TCP", (A4, 1234), (B4, 80), in_lif=100 << 16 | 1, action="SNOOP", next_hop=v6, state="_CLOSED", code="_RST"),
        session(5, "UDP", (A4, 5000), (B4, 53), in_lif=100 << 16 | 1, action="MIRROR", next_hop=v4 + v6),
        session(6, "UDP", (A4, 7000), (B4, 53), next_hop=v4),
        session(7, "UDP", (A4, 8000), (B4, 53), action="MIRROR", next_hop=v4, timeout=1, end="1")],
        ports=ports,
        device="ports:\n  - { lif: 1, driver: memory, host: { driver: memory } }\n  - { lif: 2, driver: memory, host: { driver: memory } }\n"
               "  - { lif: 3, driver: memory }\n  - { name: collector, driver: memory }\n"
               "nextHops:\n  - { ip: 12.2.3.4, port: collector, mac: \"02:00:00:00:00:09\" }\n"
               "  - { ip: \"2001:db8::9\", port: 3, mac: \"fe-dc-ba-98-76-54\" }\n"
               "sessions: { capacity: 1024 }\n")
    tag = Dot1Q(vlan=100, prio=3)
    c.packet("0.05", "1", ether() / ip4() / udp() / b"question", "2", "forwarded", (1, "in"))
    c.copy(*near)
    c.packet("0.06", "2", bytes(ether(True) / ip4(True) / udp(True) / b"padded").ljust(60, b"\0"), "1", "forwarded", (1, "out"))
    c.copy(*near)
    c.packet("0.1", "1", ether() / ip6() / tcp(flags="S"), "host1", "tcp-control")  # control packets are not copied
    c.packet("0.11", "1", ether() / ip6() / tcp() / (b"x" * 500), "2", "forwarded", (2, "in"))
    c.copy(*far)
    c.packet("0.12", "2", ether(True) / ip6(True) / tcp(True), "1", "forwarded", (2, "out"))
    c.copy(*far)
    c.packet("0.13", "1", ether() / ip6() / tcp(flags="FA"), "host1", "tcp-control")
    c.packet("0.2", "1", ether() / ip6() / udp() / b"question", "host1", "snooped", (3, "in"))
    c.copy(*near)
    c.packet("0.21", "host2", ether() / ip6() / udp() / b"question", "2", "from-host")  # the application lets it through
    c.packet("0.22", "2", ether(True) / ip6(True) / udp(True) / b"answer", "host2", "snooped", (3, "out"))
    c.copy(*near)
    c.packet("0.3", "1", ether() / tag / ip4() / tcp() / b"tagged", "host1", "snooped", (4, "in"))
    c.copy(*far)
    c.packet("0.31", "2", ether(True) / tag / ip4(True) / tcp(True) / b"tagged", "host2", "snooped", (4, "out"))
    c.copy(*far)
    c.packet("0.32", "2", ether(True) / tag / ip4(True) / tcp(True, "R"), "host2", "tcp-control")
    c.packet("0.33", "1", ether() / ip4() / tcp() / b"untagged", "host1", "no-session")
    c.packet("0.4", "1", ether() / tag / ip4() / udp() / b"v6 next hop of an IPv4 session", "2", "forwarded", (5, "in"))
    c.copy(*far)
    c.packet("0.5", "1", ether() / ip4() / udp(a=7000) / b"FORWARD has no next hop", "2", "forwarded", (6, "in"))
    c.packet("0.6", "collector", ether() / ip4() / udp(), None, "collector-rx")
    c.packet("1.2", "1", ether() / ip4() / udp(a=8000) / b"too late", "host1", "no-session")
    return c


def snap_length():
    c = Case("snap-length", "A capture that kept 60 bytes of each frame: records keep their original length, which is what counts.", [
        session(1, "UDP", (A4, 5000), (B4, 53)),
        session(2, "TCP", (A4, 1234), (B4, 80))])
    c.packet("0.05", "1", ether() / ip4() / udp() / (b"x" * 900), "2", "forwarded", (1, "in"), cut=60)
    c.packet("0.1", "2", ether(True) / ip4(True) / tcp(True) / (b"x" * 1400), "1", "forwarded", (2, "out"), cut=60)
    c.packet("0.2", "1", ether() / ip4() / tcp(flags="FA") / (b"x" * 100), "host1", "tcp-control", cut=60)
    c.sessions[2]["state"] = "_CLOSING_1"
    c.packet("0.3", "1", ether() / ip4() / tcp() / (b"x" * 100), "host1", "malformed", cut=50)  # not even the headers
    c.packet("0.4", "1", ether() / ip4() / ICMP() / (b"x" * 8000), "host1", "not-tcp-udp", cut=60)
    c.packet("0.5", "1", ether() / ip4() / udp() / (b"x" * 9300), None, "oversize", cut=60)
    c.packet("0.6", "1", ether() / ip4() / udp() / (b"x" * 9174), "2", "forwarded", (1, "in"), cut=60)  # 9,216: just fits
    return c


def tunnels():
    """Source ports and flow labels are the device's choice; 50000 and 0 stand for them."""
    near, far, near6, far6 = "192.0.2.1", "192.0.2.2", "2001:db8:f::1", "2001:db8:f::2"
    c = Case("tunnels", "Geneve with an option and VXLAN, out and back; a chain by tunnel id; a session of the inner flow is hit after decapsulation.", [
        session(1, "UDP", (A4, 5000), (B4, 53))],
        tunnels=[
            (10, """match_criteria: { ingress_interface: 1, ipv4_match: { destination_ip: 10.1.0.0, destination_ip_prefix: 16 } }, next_action: FORWARD,
      geneve: { geneve_encap: { outer_ipv4_pair: { source_ip: 192.0.2.1, destination_ip: 192.0.2.2 }, vni: 0x1234,
        inner_mac_pair: { destination_mac: "02:00:00:00:0b:02", source_mac: "02:00:00:00:0b:01" },
        geneve_option: [ { option_class: 0x0102, type: 0x81, data: "cafebabe" } ] } }"""),
            (20, """match_criteria: { ingress_interface: 2, ipv4_match: { destination_ip: 192.0.2.1 }, geneve_match: { vni: 0x1234 } },
      geneve: { geneve_decap: {} }"""),
            (30, """match_criteria: { ingress_interface: "1.*", ipv6_match: { destination_ip: "2001:db8:1::", destination_ip_prefix: 48 } },
      next_action: RECIRCULATE, options: { udp_checksum: ZERO, ttl: 32 },
      vxlan_encap: { outer_ipv6_pair: { source_ip: "2001:db8:f::1", destination_ip: "2001:db8:f::2" }, vni: 77 }"""),
            (31, """match_criteria: { ingress_interface: "1.*", tunnel_id: 30 }, next_action: FORWARD,
      geneve: { geneve_encap: { outer_ipv4_pair: { source_ip: 192.0.2.1, destination_ip: 192.0.2.2 }, vni: 5 } }"""),
            (40, """match_criteria: { ingress_interface: host2, ipv4_match: { destination_ip: 192.0.2.1 }, vxlan_match: { vni: 77 } },
      next_action: FORWARD, geneve: { geneve_decap: {} }"""),
            (41, """match_criteria: { ingress_interface: 2, ipv4_match: { destination_ip: 192.0.2.1 } }, vxlan_decap: {},
      options: { udp_port: 8472, inner_vlan: KEEP }""")])

    def outer4(port, reverse=False, **more):
        ip = IP(src=far, dst=near, **more) if reverse else IP(src=near, dst=far, id=0, flags="DF", ttl=64, **more)
        return ether(reverse) / ip / UDP(sport=50000, dport=port, chksum=0)

    ethernet, ip, udp_header, headers = 14, 20, 8, 14 + 20 + 8
    option = GeneveOptions(classid=0x0102, type=0x81, length=1, data=b"\xca\xfe\xba\xbe")
    mild = GeneveOptions(classid=0x0102, type=0x01, length=1, data=b"\xca\xfe\xba\xbe")
    inner = Ether(src="02:00:00:00:0b:01", dst="02:00:00:00:0b:02")

    data = ip4(flags="DF", tos=0xb8) / udp() / b"question"
    c.packet("0.05", "1", ether() / data, "2", "tunneled",
             through=[(10, outer4(6081, tos=0xb8) / GENEVE(proto=0x6558, vni=0x1234, critical=1, optionlen=2, options=[option]) / inner / data)])
    c.free(ethernet + ip, 2)
    # The answer, in Geneve with an option that may be ignored: out of the tunnel it is the session's.
    answer = ether(True) / ip4(True) / udp(True) / b"answer"
    c.packet("0.1", "2", outer4(6081, True) / GENEVE(proto=0x6558, vni=0x1234, optionlen=2, options=[mild]) / answer, "1", "forwarded", (1, "out"),
             through=[(20, answer)])
    c.packet("0.11", "2", outer4(6081, True) / GENEVE(proto=0x6558, vni=0x1234, critical=1, optionlen=2, options=[option]) / answer, None,
             "geneve-critical", through=[(20, None)])
    c.packet("0.12", "2", outer4(6081, True) / GENEVE(proto=0x6558, vni=0x1235) / answer, "host2", "no-rule-geneve")
    # VXLAN over IPv6, with the UDP checksum left out, and that in Geneve. The tag moves to the outermost header.
    data = ip6(tc=0x28) / tcp() / b"data"
    tag = Dot1Q(vlan=100, prio=3)
    vxlan = IPv6(src=near6, dst=far6, tc=0x28, hlim=32) / UDP(sport=50000, dport=4789, chksum=0) / VXLAN(vni=77, flags=8) / ether() / data
    geneve = ether() / tag / IP(src=near, dst=far, id=0, flags="DF", tos=0x28) / UDP(sport=50000, dport=6081, chksum=0) / GENEVE(proto=0x6558, vni=5)
    c.packet("0.2", "1", ether() / tag / data, "2", "tunneled", through=[(30, ether() / tag / vxlan), (31, geneve / ether() / vxlan)])
    c.free(ethernet + 4 + ip, 2)
    c.free(headers + 4 + 8 + ethernet + 1, 3)
    c.free(headers + 4 + 8 + ethernet + 40, 2)
    # VXLAN by a match alone, from the application, straight out; and by a tunnel of our own, on another port, with a tag inside.
    arp = ether(True) / ARP(psrc=B4, pdst=A4)
    c.packet("0.3", "host2", outer4(4789, True) / VXLAN(vni=77, flags=8) / arp, "2", "tunneled", through=[(40, arp)])
    tagged = ether(True) / Dot1Q(vlan=100) / ip4(True) / udp(True) / b"tagged"
    c.packet("0.4", "2", outer4(8472, True) / VXLAN(vni=5, flags=8) / tagged, "host2", "no-session", through=[(41, tagged)])
    c.packet("0.5", "1", ether() / ip4() / tcp() / b"10 takes all of them", "2", "tunneled",
             through=[(10, ether() / IP(src=near, dst=far, id=1, ttl=64) / UDP(sport=50000, dport=6081, chksum=0) /
                       GENEVE(proto=0x6558, vni=0x1234, critical=1, optionlen=2, options=[option]) / inner / ip4() / tcp() / b"10 takes all of them")])
    c.free(ethernet + 4, 2)  # its identification, and so its header checksum
    c.free(ethernet + 10, 2)
    c.free(ethernet + ip, 2)
    return c


class Sa:
    """A security association: GCM (RFC 4106) with a salt of 4 bytes, CCM (RFC 4309) with one of 3."""

    def __init__(self, spi, key, salt, icv):
        self.spi, self.key, self.salt, self.icv = spi, bytes.fromhex(key), bytes.fromhex(salt), icv
        self.ccm = len(self.salt) == 3
        self.cipher = f"aes-{len(self.key) * 8}-{'ccm' if self.ccm else 'gcm'}"
        self.suite = f"AES{len(self.key) * 8}{'CCM' if self.ccm else 'GCM'}{icv * 8}"
        self.keymat = key + salt

    def esp(self, sequence, data, next_header):
        """RFC 4303 section 2: header, IV, data, padding to a multiple of 4, pad length, next header, ICV."""
        data = bytes(data)
        pad = bytes(range(1, 1 + -(len(data) + 2) % 4))
        header, iv = self.spi.to_bytes(4, "big") + sequence.to_bytes(4, "big"), sequence.to_bytes(8, "big")
        clear = data + pad + bytes([len(pad), next_header])
        if self.ccm:
            return header + iv + AESCCM(self.key, self.icv).encrypt(self.salt + iv, clear, header)
        sealed = AESGCM(self.key).encrypt(self.salt + iv, clear, header)
        return header + iv + sealed[:len(sealed) - 16 + self.icv]

    def yaml(self):
        return f"{{ spi: {self.spi}, encryption_key: \"{self.keymat}\" }}"


NEAR4, FAR4, NEAR6, FAR6 = "192.0.2.1", "192.0.2.2", "2001:db8:f::1", "2001:db8:f::2"
PAIR4 = f"ipv4_tunnel: {{ source_ip: {NEAR4}, destination_ip: {FAR4} }}"
PAIR6 = f"ipv6_tunnel: {{ source_ip: \"{NEAR6}\", destination_ip: \"{FAR6}\" }}"
TO_B4 = "ipv4_match: { destination_ip: 10.1.0.0, destination_ip_prefix: 16 }"
TO_NEAR4 = f"ipv4_match: {{ destination_ip: {NEAR4} }}"
ETHERNET, IPV4_HEADER, IPV6_HEADER, UDP_HEADER = 14, 20, 40, 8
IPIP, IP6IP, NO_NEXT, ESP_PROTOCOL = 4, 41, 59, 50


def ipsec_enc(match, next_action, mode, sa, pair):
    return (f"match_criteria: {{ {match} }}, next_action: {next_action},\n      ipsec_tunnel: {{ ipsec_enc: {{ tunnel_type: {mode}, "
            f"encryption_type: {sa.suite}, ipsec_sa: {sa.yaml()},\n        {pair} }} }}")


def ipsec_dec(match, next_action, mode, *sas):
    return (f"match_criteria: {{ {match} }}, next_action: {next_action},\n      ipsec_tunnel: {{ ipsec_dec: {{ tunnel_type: {mode}, "
            f"encryption_type: {sas[0].suite}, ipsec_sas: [ {', '.join(sa.yaml() for sa in sas)} ] }} }}")


def outer4(reverse=False, **more):
    """Of tunnel mode (RFC 4301 section 5.1.2) around a packet with DF: so it needs no identification."""
    return IP(src=FAR4, dst=NEAR4, **more) if reverse else IP(src=NEAR4, dst=FAR4, id=0, flags="DF", ttl=64, **more)


def outer6(reverse=False, **more):
    return IPv6(src=FAR6, dst=NEAR6, **more) if reverse else IPv6(src=NEAR6, dst=FAR6, hlim=64, **more)


def ipsec_tunnel():
    out, back = Sa(0x1001, "00" * 15 + "01", "cafebabe", 16), Sa(0x2001, "00" * 15 + "02", "0badcafe", 16)
    later = Sa(0x2002, "00" * 15 + "03", "0badcafe", 16)
    out6, back6 = Sa(0x1006, "11" * 32, "010203", 12), Sa(0x2006, "12" * 32, "040506", 12)
    c = Case("ipsec-tunnel", "ESP in tunnel mode, out and back, AES-GCM over IPv4 and AES-CCM over IPv6: what is replayed, changed or empty ends here.", [
        session(1, "UDP", (A4, 5000), (B4, 53)),
        session(2, "TCP", (A6, 1234), (B6, 80))],
        tunnels=[
            (1, ipsec_enc(f"ingress_interface: 1, {TO_B4}", "FORWARD", "TUNNEL", out, PAIR4)),
            (2, ipsec_dec(f"ingress_interface: 2, {TO_NEAR4}", "NONE", "TUNNEL", back, later)),
            (3, ipsec_enc('ingress_interface: "1.*", ipv6_match: { destination_ip: "2001:db8:1::", destination_ip_prefix: 48 }', "FORWARD", "TUNNEL",
                          out6, PAIR6)),
            (4, ipsec_dec('ingress_interface: "2.*", ipsec_match: {}', "RECIRCULATE", "TUNNEL", back6))])

    def there(time, sequence, data, tos=0):
        c.packet(time, "1", ether() / data, "2", "tunneled",
                 through=[(1, ether() / outer4(tos=tos, proto=ESP_PROTOCOL) / out.esp(sequence, data, IPIP))])
        c.encrypted(out, ETHERNET + IPV4_HEADER)

    def here(sa, sequence, data, next_header=IPIP, **more):
        return ether(True) / outer4(True, proto=ESP_PROTOCOL, **more) / sa.esp(sequence, data, next_header)

    there("0.05", 1, ip4(flags="DF", tos=0xb8) / udp() / b"question", tos=0xb8)
    there("0.06", 2, ip4(flags="DF") / udp() / (b"x" * 301))
    answer = ip4(True) / udp(True) / b"answer"
    c.packet("0.1", "2", here(back, 1, answer), "1", "forwarded", (1, "out"), through=[(2, ether(True) / answer)])
    # Out of order, and under the key that comes next.
    c.packet("0.11", "2", here(back, 7, answer), "1", "forwarded", (1, "out"), through=[(2, ether(True) / answer)])
    c.packet("0.12", "2", here(later, 1, answer), "1", "forwarded", (1, "out"), through=[(2, ether(True) / answer)])
    c.packet("0.13", "2", here(back, 3, answer), "1", "forwarded", (1, "out"), through=[(2, ether(True) / answer)])
    c.packet("0.14", "2", here(back, 7, answer), None, "esp-replayed", through=[(2, None)])
    changed = bytearray(bytes(here(back, 8, answer)))
    changed[ETHERNET + IPV4_HEADER + 20] ^= 1
    c.packet("0.15", "2", bytes(changed), None, "esp-authentication", through=[(2, None)])
    c.packet("0.16", "2", here(back, 8, b"", NO_NEXT), None, "esp-dummy", through=[(2, CONSUMED)])
    c.packet("0.17", "2", here(Sa(0x3001, "00" * 16, "00000000", 16), 1, answer), "host2", "no-rule-esp")
    # Congestion on the way (RFC 6040): marked inside behind decryption.
    marked = ip4(True, tos=3) / udp(True) / b"slow"
    c.packet("0.18", "2", here(back, 9, ip4(True, tos=2) / udp(True) / b"slow", tos=3), "1", "forwarded", (1, "out"),
             through=[(2, ether(True) / marked)])
    data, tag = ip6(tc=0x28) / tcp() / b"data", Dot1Q(vlan=100, prio=3)
    c.packet("0.2", "1", ether() / tag / data, "2", "tunneled",
             through=[(3, ether() / tag / outer6(nh=ESP_PROTOCOL, tc=0x28) / out6.esp(1, data, IP6IP))])
    c.encrypted(out6, ETHERNET + 4 + IPV6_HEADER)
    answer = ip6(True) / tcp(True) / b"more data"
    c.packet("0.3", "2", ether(True) / outer6(True, nh=ESP_PROTOCOL) / back6.esp(1, answer, IP6IP), "1", "forwarded", (2, "out"),
             through=[(4, ether(True) / answer)])
    return c


def geneve(vni, reverse=False, **more):
    """In front of an Ethernet frame; 50000 stands for the source port, which the device chooses."""
    return outer4(reverse, **more) / UDP(sport=50000, dport=6081, chksum=0) / GENEVE(proto=0x6558, vni=vni)


def geneve_encap(match, vni):
    return (f"match_criteria: {{ {match} }}, next_action: RECIRCULATE,\n      geneve: {{ geneve_encap: {{ "
            f"outer_ipv4_pair: {{ source_ip: {NEAR4}, destination_ip: {FAR4} }}, vni: {vni} }} }}")


def geneve_decap(match, next_action):
    return f"match_criteria: {{ {match} }}, next_action: {next_action}, geneve: {{ geneve_decap: {{}} }}"


GENEVE_PORT = [(IPV4_HEADER, 2)]


def ipsec_geneve():
    out, back = Sa(0x1001, "21" * 32, "cafebabe", 8), Sa(0x2001, "22" * 32, "0badcafe", 8)
    c = Case("ipsec-geneve", "Geneve in ESP: encapsulated, then encrypted; decrypted, then decapsulated, where a session of the inner flow is hit.", [
        session(1, "UDP", (A4, 5000), (B4, 53))],
        tunnels=[
            (10, geneve_encap(f"ingress_interface: 1, {TO_B4}", 7)),
            (11, ipsec_enc("ingress_interface: 1, tunnel_id: 10", "FORWARD", "TUNNEL", out, PAIR4)),
            (20, ipsec_dec(f"ingress_interface: 2, {TO_NEAR4}", "RECIRCULATE", "TUNNEL", back)),
            (21, geneve_decap("ingress_interface: 2, tunnel_id: 20, geneve_match: { vni: 8 }", "NONE"))])
    for sequence, payload in enumerate([b"question", b"another one", b"x" * 90], 1):
        frame = ether() / ip4(flags="DF") / udp() / payload
        inside = geneve(7) / frame
        c.packet(f"0.{sequence}", "1", frame, "2", "tunneled",
                 through=[(10, ether() / inside), (11, ether() / outer4(proto=ESP_PROTOCOL) / out.esp(sequence, inside, IPIP))])
        c.encrypted(out, ETHERNET + IPV4_HEADER, GENEVE_PORT)
    answer = ether(True) / ip4(True) / udp(True) / b"answer"

    def here(sequence, vni):
        inside = geneve(vni, True) / answer
        return ether(True) / outer4(True, proto=ESP_PROTOCOL) / back.esp(sequence, inside, IPIP), ether(True) / inside

    sealed, opened = here(1, 8)
    c.packet("0.5", "2", sealed, "1", "forwarded", (1, "out"), through=[(20, opened), (21, answer)])
    sealed, opened = here(2, 9)  # a network that no rule is for: decrypted, and the application's
    c.packet("0.6", "2", sealed, "host2", "no-rule-geneve", through=[(20, opened)])
    return c


def ipsec_four():
    """The chain of the API's guide. The last rule has tunnel_id and ipsec_match, which counts as satisfied."""
    near, far = Sa(0x1001, "31" * 16, "cafebabe", 16), Sa(0x1002, "32" * 16, "0badcafe", 16)
    c = Case("ipsec-four", "Four tunnels in a row: decrypted, out of Geneve, into Geneve of another network, encrypted for the next site.", [
        session(1, "UDP", (A4, 5000), (B4, 53))],
        tunnels=[
            (1, ipsec_dec(f"ingress_interface: 2, {TO_NEAR4}, ipsec_match: {{ spi: {near.spi} }}", "RECIRCULATE", "TUNNEL", near)),
            (2, geneve_decap("ingress_interface: 2, tunnel_id: 1, geneve_match: { vni: 7 }", "RECIRCULATE")),
            (3, geneve_encap("ingress_interface: 2, tunnel_id: 2", 8)),
            (4, ipsec_enc(f"ingress_interface: 2, tunnel_id: 3, ipsec_match: {{ spi: {far.spi} }}", "FORWARD", "TUNNEL", far, PAIR4))])
    sent = 0
    for sequence, payload in enumerate([b"one", b"two, which is longer", b"", b"four" * 100], 1):
        frame = ether(True) / ip4(True, flags="DF") / udp(True) / payload
        arrived = ether(True) / outer4(True, proto=ESP_PROTOCOL) / near.esp(sequence, geneve(7, True) / frame, IPIP)
        if sequence == 3:  # from somebody who does not have the key
            other = Sa(near.spi, "33" * 16, "cafebabe", 16)
            arrived = ether(True) / outer4(True, proto=ESP_PROTOCOL) / other.esp(sequence, geneve(7, True) / frame, IPIP)
            c.packet(f"0.{sequence}", "2", arrived, None, "esp-authentication", through=[(1, None)])
            continue
        sent += 1
        inside = geneve(8) / frame
        c.packet(f"0.{sequence}", "2", arrived, "1", "tunneled", through=[
            (1, ether(True) / geneve(7, True) / frame), (2, frame), (3, ether(True) / inside),
            (4, ether(True) / outer4(proto=ESP_PROTOCOL) / far.esp(sent, inside, IPIP))])
        c.encrypted(far, ETHERNET + IPV4_HEADER, GENEVE_PORT)
    return c


def ipsec_natt():
    out, back = Sa(0x1001, "41" * 16, "010203", 16), Sa(0x2001, "42" * 16, "040506", 16)
    plain = Sa(0x2002, "43" * 16, "cafebabe", 16)
    c = Case("ipsec-natt", "ESP in UDP (RFC 3948): tunnel mode out and back, transport mode with a checksum that NAT broke; keepalives end here, IKE is the host's.", [
        session(1, "UDP", (A4, 5000), (B4, 53))],
        tunnels=[
            (1, ipsec_enc(f"ingress_interface: 1, {TO_B4}", "FORWARD", "TUNNEL_NAT_TRAVERSAL", out, PAIR4)),
            (2, ipsec_dec(f"ingress_interface: 2, {TO_NEAR4}", "NONE", "TUNNEL_NAT_TRAVERSAL", back)),
            (3, ipsec_dec("ingress_interface: 2, ipv4_match: { destination_ip: 10.0.0.1 }", "NONE", "TRANSPORT_NAT_TRAVERSAL", plain))])

    def in_udp(ip, payload, sport=4500, **more):
        return ip / UDP(sport=sport, dport=4500, **more) / payload

    for sequence, payload in enumerate([b"question", b"a longer question"], 1):
        data = ip4(flags="DF") / udp() / payload
        c.packet(f"0.{sequence}", "1", ether() / data, "2", "tunneled",
                 through=[(1, ether() / in_udp(outer4(), out.esp(sequence, data, IPIP), chksum=0))])
        c.encrypted(out, ETHERNET + IPV4_HEADER + UDP_HEADER)
    answer = ip4(True) / udp(True) / b"answer"
    # The NAT has changed the port, and somebody has filled the checksum in: neither matters.
    c.packet("0.3", "2", ether(True) / in_udp(outer4(True), back.esp(1, answer, IPIP), 61000), "1", "forwarded", (1, "out"),
             through=[(2, ether(True) / answer)])
    c.packet("0.31", "2", ether(True) / in_udp(outer4(True), b"\xff", 61000), None, "esp-keepalive", through=[(2, CONSUMED)])
    c.packet("0.32", "2", ether(True) / in_udp(outer4(True), bytes(4) + b"IKE" * 9, 61000), "host2", "no-session")
    c.packet("0.33", "2", ether(True) / in_udp(IP(src=FAR4, dst="192.0.2.9"), b"\xff"), "host2", "no-session")  # not a rule's
    # Its sender has another address inside: the checksum is of that one, until it is computed anew.
    inside = bytes(IP(src="172.16.0.9", dst=A4) / udp(True) / b"answer")[IPV4_HEADER:]
    c.packet("0.4", "2", ether(True) / in_udp(ip4(True), plain.esp(1, inside, 17), 61000, chksum=0), "1", "forwarded", (1, "out"),
             through=[(3, ether(True) / answer)])
    return c


CASES = [forward_ipv4, forward_ipv6, vlan, drop, tcp_states, tcp_close, misses, out_lif, aging, host_ports, snap_length, mirror_snoop,
         tunnels, ipsec_tunnel, ipsec_geneve, ipsec_four, ipsec_natt]
BOTH_MODES = [tcp_fin, tcp_rst, tcp_reuse, tcp_wrap]

if __name__ == "__main__":
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for make in CASES:
        make().write(root)
    for make in BOTH_MODES:
        for act in (False, True):
            make(act).write(root)
