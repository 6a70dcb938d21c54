"""Adds session after session until the device could not serve and then could again. Prints the statuses as they changed, and
what was accepted and is listed."""

from client import *  # noqa: F403

client = Client()
statuses, accepted = [], []
number = 0
end = time.monotonic() + SECONDS
while len(statuses) < 3 and time.monotonic() < end:
    number += 1
    answer = client.add(session(number))
    if answer.request_status == pb._SESSION_ACCEPTED:
        accepted.append(number)
    else:
        equal((answer.error_status, errors(answer)), (1, [(number, answer.request_status)]))
    if statuses[-1:] != [answer.request_status]:
        statuses.append(answer.request_status)
        if number == 1:
            print("running", flush=True)
print(json.dumps({"statuses": statuses, "accepted": accepted, "listed": client.pages(0)[0]}), flush=True)
