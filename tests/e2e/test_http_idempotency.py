# SPDX-License-Identifier: MIT
"""The same request again: one effect, one answer, whatever dies in between (contract 4.1)."""
import threading
import time
import uuid

import pytest
from gantry_testing.wait import wait_until

INGEST = "/webhook/memory/ingest"


@pytest.fixture(scope="module")
def own(make_stack):
    """A system whose processes these tests may kill."""
    return make_stack()


def body(text="remember this", **members):
    return {"scope": f"idem:{uuid.uuid4()}", "text": text, **members}


def test_same_again(client):
    one, key = body(), str(uuid.uuid4())
    first = client.post(INGEST, one, idempotency_key=key).ok()
    again = client.post(INGEST, one, idempotency_key=key).ok()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert {**again.json, "request_id": ""} == {**first.json, "request_id": ""}


def test_header_and_member_are_one(client):
    key = str(uuid.uuid4())
    one = body()
    first = client.post(INGEST, {**one, "client_request_id": key}).ok()
    assert client.post(INGEST, one, idempotency_key=key).ok().json["id"] == first.json["id"]
    assert (
        client.post(INGEST, {**one, "client_request_id": key}, idempotency_key=key).ok().json["id"]
        == first.json["id"]
    )
    assert (
        client.post(INGEST, {**one, "client_request_id": key}, idempotency_key="x").ok(422).code
        == "invalid_request"
    )


def test_order_of_members_does_not_matter(client):
    key, place = str(uuid.uuid4()), f"idem:{uuid.uuid4()}"
    first = client.post(
        INGEST, '{"scope":"%s","text":"a\\u0062"}' % place, idempotency_key=key
    ).ok()
    again = client.post(INGEST, '{ "text":"ab", "scope":"%s" }' % place, idempotency_key=key).ok()
    assert again.json["id"] == first.json["id"]


def test_other_payload(client):
    key, one = str(uuid.uuid4()), body()
    client.post(INGEST, one, idempotency_key=key).ok()
    assert (
        client.post(INGEST, {**one, "text": "other"}, idempotency_key=key).ok(422).code
        == "idempotency_key_reused"
    )


def test_bad_keys(client):
    for bad in ("", "x" * 129):
        assert client.post(INGEST, body(), idempotency_key=bad).ok(422).code == "invalid_request"


def test_per_route_and_workspace(stack):
    key, one = str(uuid.uuid4()), body()
    mine, other = stack.client(), stack.client("admin", "elsewhere")
    first = mine.post(INGEST, one, idempotency_key=key).ok()
    theirs = other.post(INGEST, one, idempotency_key=key).ok()
    assert theirs.json["id"] != first.json["id"]
    assert theirs.json["tenant_id"] == "elsewhere"
    mine.post("/memory/forget", {"scope": one["scope"]}, idempotency_key=key).ok()


def test_forget_is_replayed(client):
    one, key = body(), str(uuid.uuid4())
    client.post(INGEST, one).ok()
    first = client.post("/memory/forget", {"scope": one["scope"]}, idempotency_key=key).ok()
    again = client.post("/memory/forget", {"scope": one["scope"]}, idempotency_key=key).ok()
    assert first.json["deleted"] == again.json["deleted"] == 1


def test_problems_are_replayed_too(client):
    """A 4xx that the worker gave is an answer like another; one of the gateway's checks is not
    kept."""
    key, one = str(uuid.uuid4()), body()
    assert (
        client.post(INGEST, {**one, "colour": 1}, idempotency_key=key).ok(422).code
        == "invalid_request"
    )
    client.post(INGEST, one, idempotency_key=key).ok()


def test_under_way(own):
    client, key, payload, answers = own.client(), str(uuid.uuid4()), body(), []
    own.take_down("ingest")
    try:
        before = own.debug()["published_total"]
        thread = threading.Thread(target=lambda: answers.append(
            own.client().post(INGEST, payload, idempotency_key=key, prefer="wait=60")))
        thread.start()
        wait_until(lambda: own.debug()["published_total"] > before, 60)
        busy = client.post(INGEST, payload, idempotency_key=key).ok(409)
        assert busy.code == "request_in_progress"
        assert busy.headers["Retry-After"]
        other, again = body(), str(uuid.uuid4())
        first, second = (
            client.post(INGEST, other, idempotency_key=again, prefer="wait=1").ok(202)
            for _ in range(2)
        )
        assert second.json["id"] == first.json["id"]
        assert second.headers["Location"] == first.headers["Location"]
    finally:
        own.bring_back("ingest")
    thread.join()
    assert answers[0].status in (200, 202)  # 202 where the worker is not back within a minute
    made = client.post(INGEST, payload, idempotency_key=key)
    assert made.json["id"] == answers[0].json["id"]
    for one in (made.json["id"], first.json["id"]):
        wait_until(lambda at=f"/memory/{one}": client.get(at).status == 200, 60)


def run_many(stack, count, payload, key, path=INGEST):
    """That many requests at once, each repeated until it has a final answer."""
    answers, lock, go = [], threading.Lock(), threading.Event()

    def send():
        client = stack.client()
        go.wait()
        deadline = time.monotonic() + 300  # against hanging
        while time.monotonic() < deadline:
            try:
                answer = client.post(path, payload, idempotency_key=key)
                if answer.status in (200, 202):
                    with lock:
                        answers.append(answer)
                    return
                assert answer.status in (409, 503), answer
            except (OSError, EOFError, ValueError) as _:
                client = stack.client()
            except Exception as error:  # http.client's own
                if "http.client" not in type(error).__module__:
                    raise
                client = stack.client()
            time.sleep(0.02)

    threads = [threading.Thread(target=send) for _ in range(count)]
    for thread in threads:
        thread.start()
    go.set()
    return threads, answers


def rows(stack, scope):
    with stack.database() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM memory WHERE scope = %s", [scope])
        return cursor.fetchone()[0]


def test_many_at_once(stack):
    payload, key = body(), str(uuid.uuid4())
    threads, answers = run_many(stack, 300, payload, key)
    for thread in threads:
        thread.join()
    assert len(answers) == 300
    assert len({a.json["id"] for a in answers}) == 1
    assert rows(stack, payload["scope"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["gateway", "ingest", "redis", "nats"])
def test_killed_in_the_middle(own, victim):
    one = own
    for round_number in range(2):
        payload, key = body(f"round {round_number}"), str(uuid.uuid4())
        threads, answers = run_many(one, 20, payload, key)
        time.sleep(0.01 * round_number)
        wait_until(lambda: one.pid(victim), 40)
        one.kill(victim)
        for thread in threads:
            thread.join()
        assert len(answers) == 20, f"{victim}: {len(answers)} answers"
        assert len({a.json["id"] for a in answers}) == 1
        wait_until(lambda: rows(one, payload["scope"]) == 1, 60)
        one.wait_ready()
