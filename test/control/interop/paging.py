"""GetAllSessions, api.md 5, on a device of capacity 256."""

from client import *  # noqa: F403

ORDER = [50, 3, 77, 1, 99, 20, 64, 2, 5, 4]  # of creation


def fill(client, numbers=ORDER):
    numbers = list(numbers)
    for first in range(0, len(numbers), 64):
        equal(client.add(*[session(n) for n in numbers[first:first + 64]]).request_status, pb._SESSION_ACCEPTED)


@scenario
def order(client):
    """lists in creation order, from 0 and from 4294967295, by any page size, to an empty page that echoes start_session"""
    fill(client)
    for start in (0, FROM_THE_BEGINNING):
        for size in (1, 3, 9, 10, 11, 4294967295):
            listed, last = client.pages(size, start)
            equal((listed, last.next_key), (ORDER, ORDER[-1]), f"pages of {size}")
    first = client.list(page_size=4)
    equal((ids(first.session_info), first.next_key), (ORDER[:4], 1))
    inside = client.list(page_size=2, start_session=77)
    equal((ids(inside.session_info), inside.next_key), ([1, 99], 99), "any session may be the start")


@scenario
def echo(client):
    """an empty table echoes start_session; so does an id that nobody knows"""
    for start in (0, FROM_THE_BEGINNING, 77, 2 ** 64 - 1):
        page = client.list(page_size=3, start_session=start)
        equal((ids(page.session_info), page.next_key), ([], start))
    fill(client)
    page = client.list(page_size=3, start_session=1000)
    equal((ids(page.session_info), page.next_key), ([], 1000))


@scenario
def deleting(client):
    """a client that deletes each page before it asks for the next sees every session once"""
    for size, start in ((1, 0), (7, FROM_THE_BEGINNING), (64, 0), (100, FROM_THE_BEGINNING)):
        numbers = [n * 37 % 199 + 1 for n in range(199)]
        fill(client, numbers)

        def delete(page):
            for number in ids(page.session_info):
                equal(client.delete(number).request_status, pb._ACCEPTED)

        listed, last = client.pages(size, start, delete)
        equal((listed, last.next_key), (numbers, numbers[-1]), f"pages of {size}")
        equal(client.list().session_info[:], [], "all are gone")


@scenario
def coming_and_going(client):
    """sessions that come and go between pages: none that stays is left out or listed twice, new ones are at the end"""
    fill(client, range(1, 21))
    first = client.list(page_size=5)
    equal(ids(first.session_info), [1, 2, 3, 4, 5])
    for number in (5, 6, 10, 1):
        client.delete(number)
    fill(client, [5, 30])  # 5 ended the page, and is a new session now
    second = client.list(page_size=5, start_session=5)
    equal(ids(second.session_info), [7, 8, 9, 11, 12])
    client.delete(12)
    equal(client.pages(4, 12)[0], [13, 14, 15, 16, 17, 18, 19, 20, 5, 30])


@scenario
def two_clients(client):
    """two clients, each deleting what it got, page by page in turn"""
    other = Client()
    fill(client, range(1, 41))
    a, b = client.list(page_size=4), other.list(page_size=4)
    seen = [ids(a.session_info), ids(b.session_info)]
    equal(seen[0], seen[1])
    while a.session_info or b.session_info:
        for number in ids(a.session_info) + ids(b.session_info):
            client.delete(number)
        a = client.list(page_size=4, start_session=a.next_key)
        b = other.list(page_size=6, start_session=b.next_key)
        seen[0] += ids(a.session_info)
        seen[1] += ids(b.session_info)
    # Each goes on where its own page ended: nobody sees what the other has deleted by then, nobody sees one twice.
    assert all(len(set(one)) == len(one) for one in seen), "none twice"
    equal(set(seen[0]) | set(seen[1]), set(range(1, 41)))
    other.channel.close()


@scenario
def page_numbers(client):
    """page counts pages of page_size from 1; 0 is not used; without page_size it is not used either"""
    fill(client)
    equal([ids(client.list(page_size=4, page=n).session_info) for n in (1, 2, 3)], [ORDER[:4], ORDER[4:8], ORDER[8:]])
    beyond = client.list(page_size=4, page=4)
    equal((ids(beyond.session_info), beyond.next_key), ([], 0))
    equal(ids(client.list(page_size=4294967295, page=4294967295).session_info), [])
    equal(client.list(page_size=3).next_key, 77)
    equal(ids(client.list(page_size=4, page=0, start_session=77).session_info), [1, 99, 20, 64])
    equal(ids(client.list(page=2, start_session=77).session_info), ORDER[3:])
    equal(client.list(page_size=4, page=2).next_key, 2, "and next_key goes on from there")
    equal(ids(client.list(page_size=4, start_session=2).session_info), [5, 4])


@scenario
def all_at_once(client):
    """page_size 0: as much as one message may hold"""
    fill(client, range(1, 257))
    page = client.list()
    equal((ids(page.session_info), page.next_key), (list(range(1, 257)), 256))
    equal(client.list(page_size=200).next_key, 200)
    page = client.list(start_session=200)
    equal((ids(page.session_info), page.next_key), (list(range(201, 257)), 256))
    equal({one.request_status for one in page.session_info}, {pb._ACCEPTED})
    assert all(one.HasField("start_time") and not one.HasField("end_time") for one in page.session_info)


main()
