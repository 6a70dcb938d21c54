"""Has a batch and a follow stream open while the device stops. Says "running"; then, told so on stdin, ends its batch and
prints how both were answered."""

import threading

from client import *  # noqa: F403

client = Client()
sent, end = threading.Event(), threading.Event()


def requests():
    yield session(1)
    yield session(2)
    sent.set()
    end.wait(SECONDS)


follow = client.follow()
follow.initial_metadata()
batch = client.add_stream.future(requests(), timeout=SECONDS)
sent.wait()
time.sleep(0.2)
print("running", flush=True)
sys.stdin.readline()
time.sleep(0.3)
end.set()
answer = batch.result()
list(follow)
print(json.dumps({"requestStatus": answer.request_status, "mask": answer.error_status,
                  "errors": [error.error_status for error in answer.response_error], "followed": follow.code().name}), flush=True)
