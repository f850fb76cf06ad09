# SPDX-License-Identifier: MIT
"""Dead letters over HTTP: an admin reads, replays and discards those of the key's workspace."""

import hashlib
import uuid

import pytest
from gantry_testing import echo
from gantry_testing.letters import letters_there, put_letter
from gantry_testing.wait import wait_until

PATH = "/ai/dead-letters"


@pytest.fixture
def admin(stack):
    return stack.client("admin", "letters")


def numbers(client, query="?limit=20"):
    """Of all pages: one that goes over others' letters may have few, and a next one."""
    found, cursor = [], ""
    while cursor is not None:
        page = client.get(PATH + query + cursor).ok().json
        found += [one["seq"] for one in page["items"] if one["seq"] not in found]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    return found


def test_read_and_discard(stack, admin):
    seq = put_letter(
        stack, "letters", {"scope": "s", "text": "<b>lost</b>"}, reason="cannot be stored"
    )
    item = next(one for one in admin.get(PATH).ok().json["items"] if one["seq"] == seq)
    assert (item["program"], item["workspace"], item["reason"], item["deliveries"]) == (
        "ingest",
        "letters",
        "cannot be stored",
        7,
    )
    shown = admin.get(f"{PATH}/{seq}").ok().json
    assert shown["payload"] == {"scope": "s", "text": "<b>lost</b>"}
    assert {
        **shown,
        "payload": 0,
    } == {**item, "payload": 0}
    admin.delete(f"{PATH}/{seq}").ok(204)
    assert admin.get(f"{PATH}/{seq}").ok(404).code == "not_found"
    admin.delete(f"{PATH}/{seq}").ok(404)
    admin.post(f"{PATH}/{seq}/replay").ok(404)
    assert seq not in numbers(admin)


def test_what_nobody_can_decode_is_base64(stack, admin):
    operator = stack.operator()
    operator.js_publish(
        "gantry.v1.letters.memory.ingest", b"\xff no json", msg_id=str(uuid.uuid4())
    )
    operator.close()
    seq = wait_until(lambda: numbers(admin, "?program=ingest"), 20, "a dead letter")[-1]
    assert admin.get(f"{PATH}/{seq}").ok().json["payload_base64"] == "/yBubyBqc29u"
    admin.delete(f"{PATH}/{seq}").ok(204)


def test_replay_has_its_effect_once(stack, admin):
    text = f"told again {uuid.uuid4().hex}"
    seq = put_letter(stack, "letters", {"scope": "again", "text": text}, msg_id=str(uuid.uuid4()))
    key = uuid.uuid4().hex
    assert admin.post(f"{PATH}/{seq}/replay", idempotency_key=key).ok().json["seq"] == seq
    again = admin.post(f"{PATH}/{seq}/replay", idempotency_key=key).ok()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["seq"] == seq
    found = wait_until(
        lambda: [
            one
            for one in admin.get("/memory?scope=again").ok().json["items"]
            if one["content"] == text
        ],
        20,
        "the memory",
    )
    assert len(found) == 1
    assert seq not in numbers(admin)


@pytest.mark.parametrize("how", ["over HTTP", "by the command line"])
def test_a_list_is_sent_again_as_one(stack, admin, how):
    """A worker that knows no lists buries them whole; the letter's ids tell what it was."""
    subject = "gantry.v1.letters.memory.ingest"
    key = echo.actor_key("ingest", bytes.fromhex(stack.secret("ACTOR_SIGNING_KEY")))
    texts = [f"in a list {uuid.uuid4()}" for _ in range(3)]
    payload, ids = echo.listed(texts, subject, key)
    claim = echo.claim(subject, payload, ids[0], key=key)
    seq = put_letter(
        stack,
        "letters",
        payload,
        subject=subject,
        msg_id=f"{ids[0]}.1.l3",
        **{"Gantry-Actor": claim},
    )
    if how == "over HTTP":
        admin.post(f"{PATH}/{seq}/replay").ok()
    else:
        stack.gantry("dlq", "replay", str(seq))
    for command, text in zip(ids, texts, strict=True):
        assert (
            wait_until(
                lambda at=f"/memory/{command}": (a := admin.get(at)).status == 200 and a, 20
            ).json["content"]
            == text
        )
    assert seq not in numbers(admin)


def test_what_cannot_be_sent_again_says_why(stack, admin):
    cut = put_letter(stack, "letters", {"a": 1}, **{"Gantry-Cut": "1048576"})
    assert "only 8 are kept" in str(admin.post(f"{PATH}/{cut}/replay").ok(422).json["errors"])
    nowhere = put_letter(stack, "letters", {"a": 1}, subject="gantry.v1.letters.memory.search")
    assert "names no command" in str(admin.post(f"{PATH}/{nowhere}/replay").ok(422).json["errors"])
    ours = put_letter(
        stack,
        "letters",
        {"a": 1},
        program="audit",
        subject="gantry.v1.letters.audit.request.ingest",
    )
    assert "only the operator" in str(admin.post(f"{PATH}/{ours}/replay").ok(422).json["errors"])
    elsewhere = put_letter(stack, "letters", {"a": 1}, subject="gantry.v1.default.memory.ingest")
    assert "only the operator" in str(
        admin.post(f"{PATH}/{elsewhere}/replay").ok(422).json["errors"]
    )
    for seq in (cut, nowhere, ours, elsewhere):
        admin.delete(f"{PATH}/{seq}").ok(204)


def test_pages(stack, admin):
    made = [put_letter(stack, "letters", {"n": n}, program="executor") for n in range(5)]
    first = admin.get(PATH + "?program=executor&limit=2").ok().json
    assert [one["seq"] for one in first["items"]] == made[:2]
    assert first["count"] == 2
    second = admin.get(f"{PATH}?program=executor&limit=3&cursor={first['next_cursor']}").ok().json
    assert [one["seq"] for one in second["items"]] == made[2:]
    assert second["next_cursor"] is None
    admin.get(PATH + "?program=Nobody").ok(422)
    admin.get(PATH + "?cursor=x").ok(422)
    for cursor in ("1a", "1a.0123456789abcdef", first["next_cursor"]):
        answer = admin.get(f"{PATH}?cursor={cursor}").ok(422)  # that one is of a program's list
        assert answer.json["errors"][0]["field"] == "cursor"
    admin.get(PATH + "/0").ok(422)
    admin.get(PATH + "/x").ok(404)
    for seq in made:
        admin.delete(f"{PATH}/{seq}").ok(204)


def test_another_workspace_has_no_such_letter(stack, admin):
    seq = put_letter(stack, "default", {"secret": 1})
    for answer in (
        admin.get(f"{PATH}/{seq}"),
        admin.post(f"{PATH}/{seq}/replay"),
        admin.delete(f"{PATH}/{seq}"),
    ):
        assert answer.ok(404).code == "not_found"
    assert seq not in numbers(admin)
    for client, workspace in ((stack.client(), "default"), (admin, "letters")):
        there = letters_there(stack, workspace)
        assert numbers(client, "?limit=100") == there
        counted = client.get("/ai/overview").ok().json["queues"]["dead_letters"]
        assert counted >= len(there)  # nats-server may count one that is gone
    assert seq in numbers(stack.client())
    stack.client().delete(f"{PATH}/{seq}").ok(204)


def make_hidden(stack, workspace, **headers):
    """Two letters of which nats-server 2.10 finds only the later one by their subject: the block of
    its file that it remembers as their first is that of a third one, which is gone. Returns the
    two, and the letters between, which fill the blocks."""

    def fill():
        return [put_letter(stack, "filler", b"\xff" * 900_000) for _ in range(3)]

    def put():
        return put_letter(stack, workspace, {"scope": "hidden", "text": "x"}, **headers)

    fillers = fill()
    first = put()
    fillers += fill()
    gone = put()
    fillers += fill()
    stack.client("admin", workspace).delete(f"{PATH}/{gone}").ok(204)
    return first, put(), fillers


def discard(stack, numbers, workspace="filler"):
    for seq in numbers:
        stack.client("admin", workspace).delete(f"{PATH}/{seq}").ok(204)


def test_the_server_passes_over_none(stack):
    admin = stack.client("admin", "hidden")
    first, last, fillers = make_hidden(stack, "hidden")
    try:
        assert numbers(admin) == [first, last]
        assert numbers(admin, "?program=ingest") == [first, last]
        assert numbers(admin, "?limit=1") == [first, last]
    finally:
        discard(stack, (first, last), "hidden")
        discard(stack, fillers)
    assert numbers(admin) == []


def test_forget_passes_over_none(stack):
    admin = stack.client("admin", "hidden")
    scope = hashlib.sha256(b"hidden\0hidden").hexdigest()
    *both, fillers = make_hidden(stack, "hidden", **{"Gantry-Scope-Hash": scope})
    try:
        admin.post("/memory/forget", {"scope": "hidden"}).ok()
        for seq in both:
            admin.get(f"{PATH}/{seq}").ok(404)
    finally:
        discard(stack, fillers)


def test_the_command_line_passes_over_none(stack):
    first, last, fillers = make_hidden(stack, "hidden")
    try:
        words = ("--workspace", "hidden", "--program", "ingest")
        listed = [one["seq"] for one in stack.gantry("dlq", "list", *words)["items"]]
        assert sorted(listed) == [first, last]
        assert stack.gantry("dlq", "discard", "--all", *words)["discarded"] == 2
    finally:
        discard(stack, fillers)


def test_only_who_manages_jobs(stack):
    for role in ("viewer", "developer"):
        assert stack.client(role).get(PATH).ok(403).code == "missing_scope"
        assert stack.client(role).post(f"{PATH}/1/replay").ok(403).code == "missing_scope"
