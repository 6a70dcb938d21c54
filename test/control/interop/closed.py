"""GetClosedSessions, api.md 6."""

import threading

from client import *  # noqa: F403


def close(client, first, last):
    """Sessions that come and are deleted, in order."""
    for start in range(first, last + 1, 64):
        numbers = range(start, min(start + 64, last + 1))
        client.add(*[session(n) for n in numbers])
        for n in numbers:
            client.delete(n)


@scenario
def polled(client):
    """a poll streams what has closed and was not delivered, in order, and ends; nothing closed is an empty, successful stream"""
    equal(client.closed(), [])
    equal(client.closed(page_size=5), [])
    close(client, 1, 20)
    equal(ids(client.closed(page_size=6)), [1, 2, 3, 4, 5, 6], "at most page_size")
    equal(ids(client.closed(page_size=6)), [7, 8, 9, 10, 11, 12])
    close(client, 21, 22)
    call = client.get_closed(pb.SessionRequestArgs(page_size=0), timeout=SECONDS)
    equal(ids(call), list(range(13, 23)), "0 is all")
    equal(call.code(), grpc.StatusCode.OK)
    equal(client.closed(page_size=4294967295), [])


@scenario
def reports(client):
    """a record holds what DeleteSession answered: counters, state, close code, both times"""
    client.add(session(1), session(2))
    time.sleep(0.01)
    deleted = [client.delete(2), client.delete(1)]
    equal(client.closed(), deleted)
    for one in deleted:
        equal((one.request_status, one.session_close_code), (pb._ACCEPTED, pb._NOT_CLOSED))
        assert seconds(one.end_time) > seconds(one.start_time) > time.time() - 60


@scenario
def cancelled_poll(client):
    """a poll that is cancelled in the middle: what it had is delivered again, in order"""
    close(client, 1, 200)
    call = client.get_closed(pb.SessionRequestArgs(), timeout=SECONDS)
    first = next(call).session_id
    call.cancel()
    equal(first, 1)
    # The poll was short: it may have been over before the cancellation came.
    time.sleep(0.1)
    again = ids(client.closed())
    assert again in ([], list(range(1, 201))), again


@scenario
def followed(client):
    """sluice-follow: 1 keeps the stream open and sends each session as it closes; page_size is not used"""
    close(client, 1, 3)
    call = client.follow(page_size=2)
    equal([next(call).session_id for _ in range(3)], [1, 2, 3])
    other = Client()
    for n in (10, 11, 12):
        other.add(session(n))
        last = other.delete(n)
        begin = time.monotonic()
        equal(next(call), last)
        assert time.monotonic() - begin < 1, "as it happens"
    equal(other.closed(), [], "not offered to a second stream")
    call.cancel()
    # Not yet 10 s old: delivered again, in order.
    got = []
    until(lambda: got.extend(ids(other.closed())) or len(got) == 6)
    equal(got, [1, 2, 3, 10, 11, 12])
    other.channel.close()


@scenario
def without_follow(client):
    """any other value of sluice-follow is a poll"""
    close(client, 1, 2)
    for value in ("0", ""):
        call = client.get_closed(pb.SessionRequestArgs(page_size=1), metadata=[("sluice-follow", value)], timeout=SECONDS)
        equal(len(list(call)), 1)


@scenario
def one_stream_each(client):
    """several streams at once, polls and followers: a record is never with two of them"""
    clients = [Client() for _ in range(4)]
    got = [[] for _ in clients]
    stop = threading.Event()

    def poll(n):
        while not stop.is_set():
            got[n] += ids(clients[n].closed(page_size=n * 5))

    def follow(n):
        try:
            for one in clients[n].follow():
                got[n].append(one.session_id)
        except grpc.RpcError:
            pass  # cancelled

    threads = [threading.Thread(target=work, args=(n,)) for n, work in enumerate((poll, poll, follow, follow))]
    for thread in threads:
        thread.start()
    close(client, 1, 320)
    until(lambda: sum(map(len, got)) >= 320)
    time.sleep(0.05)
    everything = sorted(sum(got, []))
    stop.set()
    threads[0].join(), threads[1].join()
    # What followers have is theirs for 10 s; it comes again when they go before.
    held = sorted(got[2] + got[3])
    for one in clients[2:]:
        one.channel.close()
    threads[2].join(), threads[3].join()
    equal(everything, list(range(1, 321)))
    again = []
    until(lambda: again.extend(ids(client.closed())) or len(again) >= len(held))
    equal(sorted(again), held)
    for one in clients[:2]:
        one.channel.close()


main()
