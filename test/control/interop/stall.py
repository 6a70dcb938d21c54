"""Sends AddSession requests and then neither ends nor cancels its stream. Argument: how many. Prints a line when all are sent."""

import threading

from client import *  # noqa: F403

client = Client()
sent = threading.Event()


def requests():
    for number in range(1, int(ARGS[0]) + 1):
        yield session(number)
    sent.set()
    time.sleep(60)


call = client.add_stream.future(requests())  # grpc cancels a call that nobody holds
sent.wait()
time.sleep(0.2)
print("sent", flush=True)
time.sleep(60)
