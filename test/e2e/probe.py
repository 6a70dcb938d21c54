"""Single packets with precise timing, where Node's event loop is too coarse or has no raw sockets.
probe.py ping ADDRESS COUNT [SIZE]  ICMP echo, IPv4 or IPv6, never fragmented; prints how many were answered before the first that was not
probe.py echo ADDRESS PORT         answers each UDP datagram until killed
probe.py rtt ADDRESS PORT COUNT PER_SECOND   round trips of UDP datagrams to `echo`; prints microseconds, sorted"""
import os
import socket
import struct
import sys
import time


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PROBE = 10, 23, 3  # DF on every packet (ip(7)); no fragments (ipv6(7))


def ping(address, count, size=56):
    if ":" in address:
        link = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        link.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PROBE)
        request, reply, header = 128, 129, 0  # the kernel keeps the IPv6 header, and fills in the checksum
    else:
        link = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        link.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PROBE)
        request, reply, header = 8, 0, 20
    link.settimeout(2)
    answered = 0
    for sequence in range(count):
        body = struct.pack("!HH", os.getpid() & 0xFFFF, sequence) + bytes(size)
        link.sendto(struct.pack("!BBH", request, 0, checksum(struct.pack("!BBH", request, 0, 0) + body + b"\0" * (size & 1))) + body, (address, 0))
        try:
            while True:
                packet = link.recv(65535)
                if packet[header] == reply and packet[header + 4:] == body:
                    answered += 1
                    break
        except socket.timeout:
            break
    print(answered)


def echo(address, port):
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind((address, port))
    print("ready", flush=True)
    while True:
        data, sender = link.recvfrom(2048)
        link.sendto(data, sender)


def rtt(address, port, count, per_second):
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind(("", port))
    link.connect((address, port))
    link.settimeout(1)
    times = []
    due = time.perf_counter()
    for number in range(count):
        due += 1 / per_second
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        begin = time.perf_counter_ns()
        link.send(struct.pack("!I", number) + bytes(60))
        try:
            while struct.unpack("!I", link.recv(2048)[:4])[0] != number:
                pass
        except socket.timeout:
            continue
        times.append((time.perf_counter_ns() - begin) / 1000)
    print(" ".join("%.1f" % one for one in sorted(times)))


mode, address, *numbers = sys.argv[1:]
{"ping": ping, "echo": echo, "rtt": rtt}[mode](address, *map(int, numbers))
