"""Sessions that time out while packets of their flows come and deletes of them are sent: every session is reported exactly once,
and the reports add up to what the device forwarded.

Arguments: number of flows, seconds. Flow f is UDP 10.0.0.1:(1 + f / 2) -> 10.1.0.1:(80 + f % 2) in frames of 46 + f / 2 % 60
bytes, arriving on lif 1. Of flows 2n and 2n + 1 one at a time has packets, for a second and up to a fifth; sessions have a
timeout of one second."""

import random
import threading

from client import *  # noqa: F403

FLOWS, SECONDS_LONG = int(ARGS[0]), float(ARGS[1])
random.seed(1)
client = Client()
follower = Client()
reports, lock = [], threading.Lock()


def length(flow):
    return 46 + flow // 2 % 60


def request(number, flow):
    return session(number, protocol_id=pb._UDP, source_ip=s_addr("10.0.0.1"), source_port=1 + flow // 2,
                   destination_port=80 + flow % 2, cache_timeout=1)


def follow():
    try:
        for one in follower.follow(seconds=SECONDS_LONG + 60):
            with lock:
                reports.append(one)
    except grpc.RpcError:
        pass  # cancelled at the end


thread = threading.Thread(target=follow, daemon=True)
thread.start()

flow_of, since, gone, next_id = {}, {}, list(range(FLOWS)), 1
alive, tried, seen = set(), set(), 0
deleted, missed = {}, set()
begin = time.monotonic()
while time.monotonic() - begin < SECONDS_LONG:
    now = time.monotonic()
    # Deletes at the moment when timeouts are due, while the answers to earlier ones are still under way.
    due = [number for number in alive if now - since[number] > 0.95 and number not in tried]
    calls = [(number, client.delete_session.future(pb.SessionId(session_id=number), timeout=SECONDS))
             for number in random.sample(due, min(len(due), 1 if random.random() < 0.4 else 0))]
    tried.update(number for number, _ in calls)
    for start in range(0, len(gone), 64):
        batch = []
        for flow in gone[start:start + 64]:
            flow_of[next_id], since[next_id] = flow, now
            batch.append(request(next_id, flow))
            alive.add(next_id)
            next_id += 1
        answer = client.add(*batch)
        equal((answer.request_status, answer.error_status), (pb._SESSION_ACCEPTED, 0))
    gone = []
    for number, call in calls:
        answer = call.result()
        if answer.request_status == pb._ACCEPTED:
            deleted[number] = answer
        else:
            equal(answer.request_status, pb._REJECTED_SESSION_NONEXISTENT)
            missed.add(number)
    with lock:
        fresh, seen = reports[seen:], len(reports)
    for one in fresh:
        alive.discard(one.session_id)
        gone.append(flow_of[one.session_id])
    time.sleep(0.005)

for number in client.pages(0)[0]:
    answer = client.delete(number)
    if answer.request_status == pb._ACCEPTED:
        deleted[number] = answer
    else:
        missed.add(number)
until(lambda: len(reports) >= next_id - 1)
time.sleep(0.2)
stats = client.stats()
follower.channel.close()


def exactly_once():
    """each session is reported exactly once"""
    equal(sorted(ids(reports)), list(range(1, next_id)))
    equal(stats.sessions.active, 0)
    equal((stats.sessions.added, stats.sessions.aged + stats.sessions.deleted), (next_id - 1, next_id - 1))


def causes():
    """what DeleteSession answered is what is reported; what it did not find had aged, and nothing else had"""
    by_id = {one.session_id: one for one in reports}
    for number, answer in deleted.items():
        equal(by_id[number], answer)
        equal(answer.session_close_code, pb._NOT_CLOSED)
    aged = {one.session_id for one in reports if one.session_close_code == pb._TIMEOUT}
    assert missed <= aged, f"{missed - aged} were gone, but had not aged"
    equal(aged, set(by_id) - set(deleted))
    for number in aged:
        one = by_id[number]
        assert seconds(one.end_time) - seconds(one.start_time) > 0.999, f"session {number} aged early"
    # Silent since its last packet, not since its start.
    used = [number for number in aged if by_id[number].in_packets > 0]
    longer = [n for n in used if seconds(by_id[n].end_time) - seconds(by_id[n].start_time) > 1.0005]
    assert len(longer) > 0.95 * len(used) > 0, f"{len(longer)} of {len(used)}"


def sums():
    """the reports add up to what was forwarded, to the packet and byte"""
    for one in reports:
        equal((one.in_bytes, one.out_packets, one.out_bytes), (one.in_packets * length(flow_of[one.session_id]), 0, 0))
    forwarded = {fate.name: fate.packets for fate in stats.fates}["forwarded"]
    port = {one.name: one for one in stats.ports}
    equal(sum(one.in_packets for one in reports), forwarded)
    equal((port["2"].tx_packets, port["2"].tx_bytes), (forwarded, sum(one.in_bytes for one in reports)))


def enough():
    """it was a race: many sessions aged, many were deleted"""
    assert len(deleted) > FLOWS / 20 and stats.sessions.aged > FLOWS / 10, counts


counts = f"{next_id - 1} sessions, {stats.sessions.aged} aged, {len(deleted)} deleted, {len(missed)} gone before their delete"
for function in (exactly_once, causes, sums, enough):
    try:
        function()
        verdict(function.__doc__, True)
    except Exception:  # noqa: BLE001
        verdict(function.__doc__, False, traceback.format_exc(limit=-3)[:3000])
print(f"# {counts}", file=sys.stderr)
