"""A VLAN interface where the kernel has no 8021q: a tap device whose frames leave by another interface with a tag, and
which receives that interface's frames with this tag. vlan.py TAP INTERFACE ID"""
import fcntl
import os
import selectors
import socket
import struct
import subprocess
import sys

name, lower, vid = sys.argv[1], sys.argv[2], int(sys.argv[3])
SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 8, 23
VLAN_VALID = 0x10  # TP_STATUS_VLAN_VALID

tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000))  # TUNSETIFF: TAP, NO_PI
subprocess.check_call(["ip", "link", "set", name, "up"])
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
link.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
link.bind((lower, 0))
link.setblocking(False)
tag = struct.pack("!HH", 0x8100, vid)
print("ready", flush=True)


def outward():
    frame = os.read(tap, 70000)
    link.send(frame[:12] + tag + frame[12:])


def inward():
    frame, control, _, _ = link.recvmsg(70000, 256)
    for level, kind, data in control:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            # struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
            if status & VLAN_VALID and tpid == 0x8100 and tci & 0xFFF == vid:
                os.write(tap, frame)


wait = selectors.DefaultSelector()
wait.register(tap, selectors.EVENT_READ, outward)
wait.register(link, selectors.EVENT_READ, inward)
while True:
    for key, _ in wait.select():
        try:
            for _ in range(64):
                key.data()
        except BlockingIOError:
            pass
