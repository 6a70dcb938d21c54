// `sluice session closed --follow`, in a process of its own against a device over TCP.

import t from "tap";
import { addSession, device, Running, sluice } from "../command.js";

t.test("each session is shown as it closes, until ^C", async (t) => {
  const { target } = await device(t);
  const table = new Running(["session", "closed", "--follow", "--target", target]);
  t.teardown(() => table.child.kill("SIGKILL"));
  for (const id of [7, 8]) {
    t.match(await addSession(target, id), { code: 0 });
    await sluice("session", "delete", `${id}`, "--target", target);
    await table.said(new RegExp(`^${id} +established .* not closed$`, "m"));
  }
  table.child.kill("SIGINT");
  const { code, stdout, stderr } = await table.ended;
  t.equal(code, 0);
  t.equal(stderr, "");
  t.match(stdout, /^session +state .* closed by\n7 .*\n8 .*\n$/, "titles once");

  // Printed shortly before the end: the device was not told that they arrived (api.md 6).
  const again = new Running(["session", "closed", "--follow", "--json", "--target", target]);
  t.teardown(() => again.child.kill("SIGKILL"));
  await again.said(/"session_id":8,/);
  again.child.kill("SIGINT");
  const ended = await again.ended;
  t.equal(ended.code, 0);
  t.match(
    ended.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line)),
    [
      { session_id: 7, session_close_code: "_NOT_CLOSED", end_time: String },
      { session_id: 8, in_packets: 0 },
    ],
    "one object per line",
  );
});

t.test("a session that ages is shown within a second or two", async (t) => {
  const { target } = await device(t);
  const follow = new Running(["session", "closed", "--follow", "--target", target]);
  t.teardown(() => follow.child.kill("SIGKILL"));
  t.match(await addSession(target, 5, "--timeout", "1"), { code: 0 });
  await follow.said(/^5 .* timeout$/m);
});

t.test("a stream that breaks is opened again", async (t) => {
  const first = await device(t);
  const follow = new Running(["session", "closed", "--follow", "--json", "--target", first.target]);
  t.teardown(() => follow.child.kill("SIGKILL"));
  await addSession(first.target, 1);
  await sluice("session", "delete", "1", "--target", first.target);
  await follow.said(/"session_id":1,/);

  first.running.child.kill("SIGKILL");
  await follow.complained(/^sluice: trying again in 0\.5 s: .+$/m);
  const second = await device(t, {}, first.target);
  await follow.complained(/^sluice: following again; some sessions may come a second time$/m);
  await addSession(second.target, 2);
  await sluice("session", "delete", "2", "--target", second.target);
  await follow.said(/"session_id":2,/);

  // A device that stops in order ends the stream in order.
  second.running.child.kill("SIGTERM");
  await follow.complained(/^sluice: trying again in 0\.5 s: the device ended the stream$/m);
  follow.child.kill("SIGINT");
  t.match(await follow.ended, { code: 0, signal: null });
});

t.test("a device that was never there is a failure", async (t) => {
  const { code, stdout, stderr } = await sluice("session", "closed", "--follow", "--target", "127.0.0.1:1");
  t.equal(code, 1);
  t.equal(stdout, "");
  t.match(stderr, /^sluice: no device answers at 127\.0\.0\.1:1 /);
});

t.test("a reader that goes away ends it without a word", async (t) => {
  const { target } = await device(t);
  const follow = new Running(["session", "closed", "--follow", "--target", target]);
  follow.child.stdout?.destroy();
  await addSession(target, 1);
  await sluice("session", "delete", "1", "--target", target);
  t.match(await follow.ended, { code: 0, signal: null, stderr: "" });
});
