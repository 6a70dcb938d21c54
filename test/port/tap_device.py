"""A tap interface on a leash: each line of standard input is a frame to receive ("<virtio_net_hdr> <frame>", in hex),
each line of standard output one that the device sent. tap_device.py NAME [MTU]"""
import fcntl
import os
import selectors
import struct
import subprocess
import sys

name = sys.argv[1]
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000 | 0x4000))  # TAP, NO_PI, VNET_HDR
fcntl.ioctl(fd, 0x400454D0, 0)  # TUNSETOFFLOAD: take only finished frames from the kernel
if len(sys.argv) > 2:
    subprocess.check_call(["ip", "link", "set", name, "mtu", sys.argv[2]])
subprocess.check_call(["ip", "link", "set", name, "up"])
print("ready", flush=True)
os.set_blocking(0, False)
wait = selectors.DefaultSelector()
wait.register(0, selectors.EVENT_READ)
wait.register(fd, selectors.EVENT_READ)
rest = b""
while True:
    for key, _ in wait.select():
        if key.fd == fd:
            try:
                sys.stdout.write(os.read(fd, 70000)[10:].hex() + "\n")
            except OSError:
                continue
            sys.stdout.flush()
        else:
            got = os.read(0, 1 << 20)
            if not got:
                sys.exit(0)
            *lines, rest = (rest + got).split(b"\n")
            for line in lines:
                head, frame = line.split(b" ")
                try:
                    os.write(fd, bytes.fromhex(head.decode()) + bytes.fromhex(frame.decode()))
                except OSError as error:
                    print("refused", error.errno, flush=True)
