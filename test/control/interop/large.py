"""GetAllSessions of 120,000 sessions, which the device holds already: ids 1 to 120000 in this order."""

from client import *  # noqa: F403

COUNT = 120_000


def messages():
    """page_size 0 fills messages that a client takes by default (4 MB), and next_key says where to go on"""
    client = Client()
    sizes = []
    listed, _ = client.pages(0, FROM_THE_BEGINNING, lambda page: sizes.append(page.ByteSize()))
    equal(listed, list(range(1, COUNT + 1)))
    assert len(sizes) > 1 and max(sizes) <= 4 << 20, sizes
    assert sizes[0] > (4 << 20) - 200, f"the first is full: {sizes}"
    sizes.clear()
    equal(len(client.pages(1_000_000, 0, lambda page: sizes.append(page.ByteSize()))[0]), COUNT, "a page_size beyond that")
    assert max(sizes) <= 4 << 20, sizes


def page_ends():
    """the last 1,024 page ends are remembered, also when their sessions are gone"""
    client = Client()
    for start in range(1025):
        equal(client.list(page_size=1, start_session=start).next_key, start + 1)
    gone = [client.delete_session.future(pb.SessionId(session_id=n)) for n in range(1, 1026)]
    equal({call.result(timeout=SECONDS).request_status for call in gone}, {pb._ACCEPTED})
    for start, wanted in ((2, [1026]), (700, [1026]), (1025, [1026]), (1, [])):
        equal(ids(client.list(page_size=1, start_session=start).session_info), wanted, f"behind {start}")


for function in (messages, page_ends):
    try:
        function()
        verdict(function.__doc__, True)
    except Exception:  # noqa: BLE001
        verdict(function.__doc__, False, traceback.format_exc(limit=-3))
