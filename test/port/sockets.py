"""Plain sockets of the kernel's stack, for af-packet-sockets.test.ts. Both sides print the SHA-256 of the payload.
sockets.py tcp-recv|tcp-send|udp-recv|udp-send ADDRESS BYTES"""
import hashlib
import socket
import sys
import time

what, address, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
kind = socket.SOCK_STREAM if what.startswith("tcp") else socket.SOCK_DGRAM
data = (hashlib.sha512(b"sluice").digest() * (total // 64 + 1))[:total]
sock = socket.socket(family, kind)
digest = hashlib.sha256()

if what == "tcp-recv":
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, 5001))
    sock.listen()
    print("ready", flush=True)
    peer, _ = sock.accept()
    while True:
        got = peer.recv(1 << 20)
        if not got:
            break
        digest.update(got)
elif what == "tcp-send":
    sock.connect((address, 5001))
    sock.sendall(data)
    sock.close()
    digest.update(data)
elif what == "udp-recv":
    sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
    sock.bind((address, 5001))
    sock.settimeout(5)
    print("ready", flush=True)
    seen = 0
    while seen < total:
        got = sock.recv(1 << 16)
        seen += len(got)
        digest.update(got)
else:
    sock.setsockopt(socket.IPPROTO_UDP, 103, 1200)  # UDP_SEGMENT
    for at in range(0, total, 48_100):
        sock.sendto(data[at : at + 48_100], (address, 5001))
        time.sleep(0.002)
    digest.update(data)
print(digest.hexdigest(), flush=True)
