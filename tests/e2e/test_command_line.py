# SPDX-License-Identifier: MIT
"""gantry against the whole system: what the other programs see of what it does."""
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading

from gantry_testing.http import Client
from gantry_testing.keys import short_lived
from gantry_testing.stack import ROOT
from gantry_testing.wait import wait_until

ODD = "quote ' \" \\ % $1 {{}} 🦊 שלום \t tab\nline"


def gantry(stack, *words, key=None, **options):
    env = {"PATH": os.environ["PATH"], **stack.env}
    if key:
        env["GANTRY_API_KEY"] = key
    return subprocess.Popen([ROOT / "build" / "gantry", *words], env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def finish(process, text=None, code=0):
    out, err = process.communicate(text, timeout=120)
    assert process.returncode == code, (
        f"{process.args}: {process.returncode}\n{out[-1000:]}{err[-1000:]}"
    )
    return out


def memories(count):
    return [
        {
            "scope": f"s{i % 3}",
            "text": f"{ODD} {i}",
            "tags": ["a", f"t{i}"],
            "source": "explicit",
            "metadata": {"n": i, "odd": ODD, "nested": {"list": [1, None, True, 0.5]}},
            "facts": [{"subject": "s", "predicate": "p", "object": str(i), "confidence": 0.5}],
        }
        for i in range(count)
    ]


def lines(items):
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)


def plain(item):
    return {
        "scope": item["scope"],
        "text": item.get("text", item.get("content")),
        "tags": sorted(item["tags"]),
        "source": item["source"],
        "metadata": item["metadata"],
        "facts": [
            {k: f[k] for k in ("subject", "predicate", "object", "confidence")}
            for f in item["facts"]
        ],
    }


def by_text(items):
    return sorted((plain(item) for item in items), key=lambda item: item["text"])


def gantry_on(terminal, stack, *words):
    return subprocess.Popen(
        [ROOT / "build" / "gantry", *words],
        env={"PATH": os.environ["PATH"], **stack.env},
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
    )


def on_terminal(stack, columns, *words):
    """What a terminal of that width shows, line by line."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    done = subprocess.run(
        [ROOT / "build" / "gantry", *words],
        env={"PATH": os.environ["PATH"], **stack.env},
        stdout=theirs,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    assert done.returncode == 0, done.stderr
    return shown.decode().splitlines()


def test_add_and_search_by_hand(stack):
    text = f"Tilda keeps bees on the roof. {ODD}"
    told = finish(
        gantry(
            stack,
            "memory",
            "add",
            "-",
            "--scope=hand",
            "--tags=roof,bees",
            "--ttl=1d",
            "--metadata",
            '{"n": 7}',
            stdin=subprocess.PIPE,
        ),
        text,
    )
    found = json.loads(
        finish(gantry(stack, "memory", "search", "bees", "--scope=hand", "--k=1", "--json"))
    )["results"]
    assert [(one["content"], sorted(one["tags"]), one["metadata"]) for one in found] == [
        (text, ["bees", "roof"], {"n": 7})]
    assert told == f"{found[0]['id']}  stored\n"
    again = json.loads(finish(gantry(stack, "memory", "add", text, "--scope", "hand", "--json")))
    assert (again["id"], again["deduplicated"]) == (found[0]["id"], True)
    plain_row = finish(gantry(stack, "memory", "search", "bees", "--tags", "roof", "--mode=text"))
    assert plain_row.startswith("0.")
    assert plain_row.count("\n") == 1
    assert "Tilda keeps bees" in plain_row
    for columns in (60, 80, 132):
        shown = on_terminal(stack, columns, "memory", "search", "bees", "--scope=hand")
        assert shown[0].split()[:3] == ["SCORE", "CONTENT", "SCOPE"]
        assert len(shown) == 2
        assert max(map(len, shown)) <= columns
        assert not any("\t" in line for line in shown)
    nothing = gantry(stack, "memory", "search", "bees", "--scope=other")
    assert nothing.communicate() == (
        "",
        "nothing is found; without --scope the whole workspace is searched\n",
    )
    for wrong in ([], ["--scope=x", "--ttl=soon"], ["--scope=x", "--metadata={"]):
        assert gantry(stack, "memory", "add", "text", *wrong).wait(120) != 0, wrong


def test_run_an_action_by_hand(stack, tmp_path):
    assert json.loads(finish(gantry(stack, "run", "ping", "message=hi"))) == {
        "pong": True,
        "message": "hi",
    }
    (tmp_path / "p.py").write_text(
        "import sys\nprint(5)\nprint('why', file=sys.stderr)\nsys.exit(3)\n"
    )
    failed = gantry(stack, "run", "code.python", f"code=@{tmp_path / 'p.py'}")
    out, err = failed.communicate(timeout=120)
    assert (failed.returncode, out) == (1, "5\n")
    assert err.startswith("why\n")
    assert "nonzero_exit, exit code 3" in err
    job = json.loads(
        finish(gantry(stack, "run", "json.query", "query=.a", 'input={"a": [1]}', "--json"))
    )
    assert (job["status"], job["result"]["result"]) == ("completed", [1])
    later = finish(
        gantry(
            stack, "run", "code.shell", "code=cat", "stdin=@-", "--async", stdin=subprocess.PIPE
        ),
        "hello",
    )
    wait_until(
        lambda: stack.gantry("jobs", "show", later.strip())["status"] == "completed",
        30,
        "the job ends",
    )
    assert "hello" in finish(gantry(stack, "jobs", "show", later.strip()))
    slow = gantry(stack, "run", "code.shell", "code=sleep 20", "--wait=1")
    out, err = slow.communicate(timeout=120)
    assert slow.returncode == 111
    assert "gantry jobs show" in err
    stack.gantry("jobs", "cancel", err.split("gantry jobs show ")[1][:36])
    for words, code, said in (
        (["nonsense"], 1, "ping"),
        (["ping", "x=1"], 2, "message"),
        (["ping", "x"], 2, "name=value"),
        (["json.query", "query=.", "input=bad"], 2, "input takes JSON"),
    ):
        process = gantry(stack, "run", *words)
        assert said in process.communicate(timeout=120)[1]
        assert process.returncode == code
    wide = on_terminal(stack, 80, "jobs", "list")
    assert wide[0].split()[:2] == ["JOB", "STATUS"]
    table = [line for line in wide if "--cursor " not in line]  # that is to be copied whole
    assert max(map(len, table)) <= 80


def test_the_audit_log_is_followed(stack):
    key = stack.key("admin", "cli-tail")
    client = stack.anonymous().clone(key)
    for n in range(3):
        client.post(
            "/webhook/audit/append",
            {"actor": "me", "action": f"a{n}", "target": "t", "decision": "allowed"},
        )
    wait_until(
        lambda: "a2" in finish(gantry(stack, "audit", "tail", "--once", "--lines=100", key=key)),
        30,
        "stored",
    )
    follower = gantry(stack, "audit", "tail", "--json", "--lines=100", key=key)

    def until(action):
        seen = []
        while not seen or seen[-1]["action"] != action:
            seen.append(json.loads(follower.stdout.readline()))
        return seen

    try:
        seen = until("a2")
        assert [
            event["action"]
            for event in seen
            if event["target"] == "t" and event["action"] != "audit.append"
        ] == ["a0", "a1", "a2"]
        client.post(
            "/webhook/audit/append",
            {"actor": "me", "action": "new", "target": "t", "decision": "denied"},
        )
        later = until("new")
        assert later[-1]["decision"] == "denied"
        leaves = [event["leaf_index"] for event in seen + later]
        assert leaves == sorted(set(leaves)), "oldest first, each once"
        assert "audit.list" not in [event["action"] for event in seen + later], "no look of its own"
    finally:
        follower.kill()
        follower.communicate()

    def looks():
        words = ("audit", "tail", "--once", "--all", "--action=audit.list")
        return finish(gantry(stack, *words, key=key)).count("audit.list")

    wait_until(lambda: looks() >= 2, 60, "the looks are recorded")
    wide = on_terminal(stack, 100, "audit", "tail", "--once")
    assert wide[0].split()[:2] == ["TIME", "ACTION"]
    assert max(map(len, wide)) <= 100


def feed_for_ever(process):
    try:
        while True:
            process.stdin.write(lines(memories(50)))
    except BrokenPipeError:
        pass


def test_top_tells_queues_rates_and_workers(stack):
    client = stack.client()

    def flowing():
        for n in range(5):
            client.post("/webhook/memory/ingest", {"scope": "top", "text": f"top {n}"})
        seen = stack.gantry("top")
        queues = {queue["name"]: queue for queue in seen["queues"]}
        assert set(queues) == {"MEMORY", "TASKS", "AUDIT", "DEAD"}
        assert seen["gateway"] == "ready"
        assert {worker["name"] for worker in seen["workers"]} >= {
            f"gantry-{w}" for w in ("ingest", "search", "audit", "executor")
        }
        return queues["AUDIT"]["in_per_second"] > 0 and seen["requests"]["per_second"] > 0

    # Another client keeps it busy, so that there is a rate to be seen.
    busy = gantry(
        stack, "memory", "import", "-", key=stack.key("developer", "cli-top"), stdin=subprocess.PIPE
    )
    feed = threading.Thread(target=feed_for_ever, args=[busy])
    feed.start()
    try:
        wait_until(flowing, 60, "rates")
    finally:
        busy.kill()
        feed.join()
        busy.wait()
    text = finish(gantry(stack, "top"))
    assert "SETTLED/S" in text
    assert "\033" not in text
    env = {name: value for name, value in stack.env.items() if name != "GANTRY_NATS_OPERATOR_URL"}
    done = subprocess.run([ROOT / "build/gantry", "top"], env=env, capture_output=True, text=True)
    assert (done.returncode, "GANTRY_NATS_OPERATOR_URL is not set" in done.stderr) == (100, True)


def test_top_is_live_on_a_terminal(stack):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
    before = termios.tcgetattr(theirs)
    process = gantry_on(theirs, stack, "top", "--interval=3600")

    def until(text, shown=b""):
        while text not in shown:
            shown += os.read(ours, 65536)
        return shown

    first = until(b"\033[J", until(b"q ends"))
    assert first.startswith(b"\033[?1049h")
    assert b"MEMORY" in first
    assert b"gantry-audit" in first
    os.set_blocking(ours, True)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 8, 40, 0, 0))
    process.send_signal(signal.SIGWINCH)
    frame = (
        until(b"\033[J", first.split(b"\033[J", 1)[1]).split(b"\033[H")[-1].replace(b"\033[J", b"")
    )
    rows = frame.decode().replace("\033[K", "").split("\r\n")
    assert 3 < len(rows) <= 8, rows
    assert max(map(len, rows)) <= 40, rows
    os.write(ours, b"q")
    until(b"\033[?1049l")
    assert process.wait(120) == 0
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_errors_say_what_to_do(stack):
    def said(code, *words, **env):
        done = subprocess.run(
            [ROOT / "build" / "gantry", *words],
            env={"PATH": os.environ["PATH"], **env},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done
        return done.stderr

    addresses = {"GANTRY_URL": stack.url, "GANTRY_API_KEY": stack.key("viewer")}
    for words in (
        ["memory", "search", "x"],
        ["memory", "export"],
        ["run", "ping"],
        ["jobs", "list"],
    ):
        assert "GANTRY_API_KEY is not set" in said(100, *words)
        assert "GANTRY_URL is not set" in said(100, *words, GANTRY_API_KEY=stack.api_key)
    assert "gantry key create" in said(
        100, "jobs", "list", **{**addresses, "GANTRY_API_KEY": "relay_sk_wrong"}
    )
    assert "gantry status" in said(111, "jobs", "list", **{**addresses, "GANTRY_URL": "http://127.0.0.1:1"})
    assert "gantry key list" in said(1, "run", "ping", **addresses)


def test_memories_out_and_in_again(stack):
    first, second = stack.key("developer", "cli-out"), stack.key("developer", "cli-in")
    wanted = memories(230)
    done = finish(
        gantry(stack, "memory", "import", "-", "--json", key=first, stdin=subprocess.PIPE),
        lines(wanted),
    )
    assert json.loads(done) == {
        "stored": 230,
        "deduplicated": 0,
        "accepted": 0,
        "expired": 0,
        "failed": 0,
    }
    exported = finish(gantry(stack, "memory", "export", key=first))
    items = [json.loads(line) for line in exported.splitlines()]
    assert by_text(items) == by_text(wanted)
    finish(gantry(stack, "memory", "import", "-", key=second, stdin=subprocess.PIPE), exported)
    again = finish(gantry(stack, "memory", "export", key=second))
    assert by_text(map(json.loads, again.splitlines())) == by_text(wanted)
    part = finish(gantry(stack, "memory", "export", "--scope", "s1", key=second))
    assert {json.loads(line)["scope"] for line in part.splitlines()} == {"s1"}


def test_an_interrupted_import_goes_on(stack, tmp_path):
    key = stack.key("developer", "cli-killed")
    file = tmp_path / "in.jsonl"
    file.write_text(lines(memories(600)))
    process = gantry(stack, "memory", "import", str(file), key=key)
    reader = Client(stack.url, key)
    wait_until(lambda: reader.get("/memory?limit=1").ok().json["items"], 30, "the first is stored")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = json.loads(finish(gantry(stack, "memory", "import", str(file), "--json", key=key)))
    assert done["stored"] == 600
    assert done["failed"] == 0
    assert len(finish(gantry(stack, "memory", "export", key=key)).splitlines()) == 600


def test_import_needs_the_right(stack):
    key = stack.key("viewer", "cli-out")
    process = gantry(stack, "memory", "import", "-", key=key, stdin=subprocess.PIPE)
    finish(process, lines(memories(3)), code=1)


def test_keys_work_at_once_and_end_within_a_second(stack):
    stack.gantry("workspace", "create", "cli-keys")
    made = stack.gantry("key", "create", "--workspace", "cli-keys", "--role", "viewer")

    def status(key):
        return stack.anonymous().clone(key).get("/memory").status

    assert status(made["key"]) == 200
    turned = stack.gantry("key", "rotate", made["key_id"])
    assert status(made["key"]) == status(turned["key"]) == 200
    stack.gantry("key", "revoke", turned["key_id"])
    wait_until(lambda: status(turned["key"]) == 401, 10, "the revoked key is refused")
    assert status(made["key"]) == 200
    _, short = short_lived(stack, lambda key: status(key) == 200, "cli-keys")
    wait_until(lambda: status(short) == 401, 60, "the expired key is refused")


def test_status_sees_every_program(stack):
    seen = stack.gantry("status")
    assert seen["ok"] is True
    assert seen["gateway"] == "ready"
    assert {"gantry-ingest", "gantry-search", "gantry-audit"} <= set(seen["workers"])


def test_a_poison_message_can_be_looked_at_and_thrown_away(stack):
    with_garbage = "gantry.v1.default.memory.ingest"
    operator = stack.operator()
    own = "0190a5b2-7c3e-7d4f-8a1b-2c3d4e5f6071"
    operator.js_publish(with_garbage, b"\xff no json", msg_id=own)

    def letters(*arguments):
        items = stack.gantry("dlq", "list", *arguments)["items"]
        return [one for one in items if one["msg_id"] == own]

    mine = wait_until(lambda: letters("--workspace", "default"), 20, "a dead letter")
    assert len(mine) == 1
    assert mine[0]["subject"] == with_garbage
    assert mine[0]["program"] == "ingest"
    assert mine[0]["reason"]
    shown = stack.gantry("dlq", "show", str(mine[0]["seq"]))
    assert shown["payload_base64"] == "/yBubyBqc29u"
    stack.gantry("dlq", "discard", str(mine[0]["seq"]))
    assert letters() == []
    operator.close()
