"""AddSession streams that do not end well, on a device of capacity 256."""

import threading

from client import *  # noqa: F403


def listed(client):
    return client.pages(0)[0]


def stalled(count, release):
    for number in range(1, count + 1):
        yield session(number)
    release.wait(SECONDS)


def broken(client, count, end):
    """@returns what is in the table when `end` has ended a stream of `count` requests"""
    release = threading.Event()
    call = client.add_stream.future(stalled(count, release), timeout=SECONDS)
    time.sleep(0.1)
    end(call)
    equal(call.code(), grpc.StatusCode.CANCELLED)
    release.set()
    time.sleep(0.05)
    return listed(client)


@scenario
def cancelled(client):
    """a batch of up to 64 that is cancelled leaves nothing"""
    for count in (1, 10, 64):
        equal(broken(client, count, lambda call: call.cancel()), [], f"{count} requests")
    accepted = client.add(session(1))
    equal(accepted.request_status, pb._SESSION_ACCEPTED)


@scenario
def late(client):
    """a batch whose deadline of 100 ms passes before its end leaves nothing"""
    for count in (1, 64):
        release = threading.Event()
        call = client.add_stream.future(stalled(count, release), timeout=0.1)
        fails(call.result, grpc.StatusCode.DEADLINE_EXCEEDED)
        release.set()
        time.sleep(0.05)
        equal(listed(client), [])


@scenario
def failing(client):
    """a client whose own code fails in the middle of a batch leaves nothing"""
    def requests():
        yield session(1)
        yield session(2)
        time.sleep(0.05)
        raise ValueError("a fault of the client")
    logging = __import__("logging")
    logging.disable(logging.CRITICAL)
    fails(lambda: client.add_stream(requests(), timeout=SECONDS), grpc.StatusCode.UNKNOWN)
    time.sleep(0.05)
    equal(listed(client), [])


@scenario
def disconnected(client):
    """a connection that is closed in the middle of a batch leaves nothing"""
    other = Client()
    release = threading.Event()
    call = other.add_stream.future(stalled(30, release))
    time.sleep(0.1)
    other.channel.close()
    release.set()
    time.sleep(0.1)
    equal(listed(client), [])


@scenario
def longer(client):
    """of a longer stream that is cancelled stays what had come"""
    got = broken(client, 100, lambda call: call.cancel())
    equal(got, list(range(1, 101)))


@scenario
def slow(client):
    """a batch that comes slowly goes in whole at its end"""
    def requests():
        for number in range(1, 6):
            yield session(number)
            time.sleep(0.03)
            if number == 5:
                equal(listed(client), [], "nothing before the end")
    equal(client.add_stream(requests(), timeout=SECONDS).request_status, pb._SESSION_ACCEPTED)
    equal(listed(client), [1, 2, 3, 4, 5])


@scenario
def at_once(client):
    """batches of several clients at the same time: each is answered for its own"""
    clients = [Client() for _ in range(4)]
    batches = [[session(n * 50 + i) for i in range(1, 51)] for n in range(4)]
    # Every client sends everything: each session goes in once, and each client is told which were its.
    calls = [one.add_stream.future(iter(batch)) for one in clients for batch in batches]
    taken = [50 - len(call.result(timeout=SECONDS).response_error) for call in calls]
    equal(sum(taken), 200)
    equal(sorted(listed(client)), list(range(1, 201)))
    for one in clients:
        one.channel.close()


main()
