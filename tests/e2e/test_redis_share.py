# SPDX-License-Identifier: MIT
"""What one workspace may fill of Redis: beyond its share it is refused, by name; others notice nothing."""
import subprocess

import pytest
from gantry_testing.wait import wait_until

SHARE = 2 << 20
PREVIEW = {"action": "code.python", "params": {"code": "print(1)", "files": {f"f{i}": "x" * 6000 for i in range(20)}}}
PRINTS = {"task": {"type": "code.python", "code": "print('x' * 60000)"}}
PING = {"task": {"type": "ping", "message": "m"}}


@pytest.fixture(scope="module")
def system(make_stack):
    return make_stack(ALLOW_ACTIONS_DEFAULT="ping,code.python", REDIS_SHARE_BYTES=SHARE)


def used(stack, workspace):
    done = subprocess.run(["redis-cli", "--no-auth-warning", "-u", stack.redis_url(), "hget", f"jobs:share:{workspace}",
                           "total"], capture_output=True, text=True, timeout=30)
    return int(done.stdout or 0)


def refused(answer):
    assert (answer.status, answer.code) == (503, "unavailable"), answer
    assert "the workspace's share of Redis is used up (REDIS_SHARE_BYTES)" in answer.json["detail"]
    assert answer.headers["Retry-After"] == "60"


def test_previews_fill_their_own_share_only(system):
    viewer, other = system.client("viewer", "filler"), system.client("developer", "neighbour")
    answers = [viewer.post("/ai/preview", PREVIEW) for _ in range(30)]
    kept = [one for one in answers if one.status == 200]
    assert 10 <= len(kept) <= 17, "120 KB each, and 2 MB"
    for answer in answers[len(kept):]:
        refused(answer)
    assert SHARE - 130000 < used(system, "filler") <= SHARE
    # A neighbour: previews, tasks, execute calls.
    assert other.post("/ai/preview", PREVIEW).status == 200
    assert other.post("/webhook/executor/run", PING).status == 200
    assert other.post("/ai/execute", {"actions": [{"action": "ping", "params": {"message": "m"}}]}).status == 202
    assert system.anonymous().get("/readyz").json["dependencies"]["redis"] == "up"


def test_results_count(system):
    client = system.client("developer", "printer")
    assert client.post("/webhook/executor/run", PRINTS).status == 200
    assert 60000 < used(system, "printer") < 70000
    answers = []
    wait_until(lambda: answers.append(client.post("/webhook/executor/run", PRINTS)) or answers[-1].status == 503, 200,
               "the share is used up")
    assert {one.status for one in answers} == {200, 503}
    refused(answers[-1])
    assert used(system, "printer") < 1.5 * SHARE
    refused(client.post("/ai/preview", {"action": "ping", "params": {"message": "m"}}))
    refused(client.post("/ai/execute", {"actions": [{"action": "ping", "params": {"message": "m"}}]}))
    assert system.client("developer", "reader").post("/webhook/executor/run", PING).status == 200
    # What is there can be read, and what is ended can be listed.
    page = client.get("/ai/jobs?limit=1").ok().json
    assert page["jobs"][0]["status"] == "completed"


def test_what_waits_when_the_share_is_used_up(system):
    """Accepted tasks run; a long result beyond a share and a half is not kept, and the job says so."""
    client = system.client("developer", "queuer")
    ids = []
    for _ in range(80):
        answer = client.request("POST", "/webhook/executor/run", PRINTS, {"Prefer": "respond-async"})
        if answer.status == 202:
            ids.append(answer.json["job_id"])
    ended = {}

    def all_ended():
        for one in ids:
            if one not in ended:
                job = client.get(f"/ai/jobs/{one}").ok().json
                if job["status"] in ("completed", "failed"):
                    ended[one] = job
        return len(ended) == len(ids)

    wait_until(all_ended, 300, "all tasks have ended")
    assert used(system, "queuer") < 1.5 * SHARE + 100 * 1024
    lost = [job for job in ended.values() if job["status"] == "failed"]
    assert all("share of Redis is used up" in job["error"] for job in lost)
    assert len(ended) - len(lost) >= 30
