"""Reads closed sessions. Arguments: "cancel" N (a poll, cancelled after N records) | "stall" N (a poll that stops reading after
N, prints a line, and lives on) | "rest" (polls until all is there). Prints the ids that came as one line of JSON."""

from client import *  # noqa: F403

# A window that does not grow: what is not read stays with the device.
client = Client(("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536))
what, *count = ARGS
if what == "rest":
    got = []
    while True:
        more = ids(client.closed(page_size=30_000))
        if not more:
            break
        got += more
    print(json.dumps(got), flush=True)
else:
    call = client.get_closed(pb.SessionRequestArgs())
    got = [next(call).session_id for _ in range(int(count[0]))]
    print(json.dumps(got), flush=True)
    if what == "cancel":
        call.cancel()
    else:
        time.sleep(60)
