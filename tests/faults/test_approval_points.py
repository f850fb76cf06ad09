# SPDX-License-Identifier: MIT
"""The gateway dies at each of its points around an approval, and every process around a request to
a service that waits for one: the stand-in counts the requests."""

import pathlib
import threading
import uuid

import pytest
from gantry_testing import services as stand_ins
from gantry_testing.building import ROOT, make
from gantry_testing.stack import Stack
from gantry_testing.wait import wait_until

RULE = {"name": "look", "when": {"action": "http.request"}, "then": "requires_approval"}
ENDED = ("completed", "failed", "cancelled", "dead")


@pytest.fixture(scope="module")
def services():
    with stand_ins.running() as running:
        yield running


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Those of a release, and the gateway of MODE=fault."""
    make("-j2", "MODE=fault", "build/fault/gantry-gateway")
    folder = tmp_path_factory.mktemp("programs")
    build = pathlib.Path(ROOT) / "build"
    for program in build.glob("gantry*"):
        (folder / program.name).symlink_to(program.resolve())
    (folder / "gantry-gateway").unlink()
    (folder / "gantry-gateway").symlink_to(build / "fault" / "gantry-gateway")
    return folder


@pytest.fixture(scope="module")
def stack(services, programs):
    with Stack(
        ALLOW_ACTIONS_DEFAULT="http.request", PROGRAMS_FROM=programs, **services.settings()
    ) as running:
        running.gantry("workspace", "egress", "default", "plain.example")
        running.client().request("PUT", "/policy", {"rules": [RULE]}).ok()
        running.key("developer")
        yield running


@pytest.fixture(autouse=True)
def good(stack):
    yield
    if stack.settings.get("FAULT_POINT"):
        stack.up(FAULT_POINT="")
    stack.wait_ready(120)


def action(path, key=None):
    params = {"method": "POST", "url": f"https://plain.example/{path}", "json": {"n": 1}}
    one = {"action": "http.request", "params": params}
    return {**one, "client_request_id": key} if key else one


def ask(stack, *actions):
    """The ids of the jobs that wait now."""
    client = stack.client("developer")
    return wait_until(
        lambda: (answer := client.post("/ai/execute", {"actions": list(actions)})).status == 202
        and answer.json["job_ids"],
        120,
        "they wait",
    )


def dies(stack, old):
    wait_until(lambda: stack.pid("gateway") != old, 60, "the gateway dies")


def send_and_break(stack, path, body, role="admin"):
    """Whatever is answered, if anything is."""
    try:
        stack.client(role).post(path, body)
    except OSError:
        pass


def states(stack):
    connection = stack.database()
    with connection.cursor() as cursor:
        cursor.execute("SELECT id::text, state, carried_out AND decided_told FROM approval")
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    connection.close()
    return found


def events(stack, name, job_id):
    found, cursor = [], ""
    client = stack.client()
    while cursor is not None:
        page = client.get(f"/ai/audit?action={name}&limit=100{cursor}").ok().json
        found += [one for one in page["items"] if job_id in (one["target"], one["event_id"])]
        cursor = page.get("next_cursor") and f"&cursor={page['next_cursor']}"
    return found


def ended(stack, job_id):
    def look():
        answer = stack.client().get("/ai/jobs/" + job_id)
        return answer.status == 200 and answer.json["status"] in ENDED and answer.json

    return wait_until(look, 180, "the job ends")


def settled(stack, job_id, state):
    wait_until(lambda: states(stack)[job_id] == (state, True), 120, "nothing is left to be done")


@pytest.mark.parametrize(("point", "kept"), [("approval_asking:2", 0), ("approval_asked", 3)])
def test_dies_while_a_list_is_held(stack, services, point, kept):
    """All of a list wait or none; the same list once more waits as the same jobs, told of once."""
    path = f"{point.split(':')[0]}-{uuid.uuid4().hex[:6]}"
    actions = [action(f"{path}-{n}", f"{path}-{n}") for n in range(3)]
    before = states(stack)
    stack.up(FAULT_POINT=point)
    old = stack.pid("gateway")
    send_and_break(stack, "/ai/execute", {"actions": actions}, "developer")
    dies(stack, old)
    assert len(states(stack)) == len(before) + kept
    stack.up(FAULT_POINT="")
    jobs = ask(stack, *actions)
    assert set(states(stack)) - set(before) == set(jobs)
    assert services.asked(f"plain.example/{path}") == []
    for job_id in jobs:
        stack.client().post("/ai/approvals/" + job_id, {"decision": "approve"}).ok()
    for number, job_id in enumerate(jobs):
        assert ended(stack, job_id)["status"] == "completed"
        settled(stack, job_id, "approved")
        assert len(services.asked(f"plain.example/{path}-{number}")) == 1
        for name in ("approval.asked", "approval.decided", "connector.run"):
            wait_until(lambda: events(stack, name, job_id), 60, name)
            assert len(events(stack, name, job_id)) == 1


@pytest.mark.parametrize(
    ("point", "decision"),
    [
        ("approval_decided", "approve"),
        ("approval_published", "approve"),
        ("approval_decided", "deny"),
    ],
)
def test_dies_while_a_decision_is_carried_out(stack, services, point, decision):
    path = f"{point}-{decision}-{uuid.uuid4().hex[:6]}"
    (job_id,) = ask(stack, action(path))
    stack.up(FAULT_POINT=point)
    old = stack.pid("gateway")
    send_and_break(stack, "/ai/approvals/" + job_id, {"decision": decision})
    dies(stack, old)
    stack.up(FAULT_POINT="")
    job = ended(stack, job_id)
    approved = decision == "approve"
    assert job["status"] == ("completed" if approved else "failed")
    settled(stack, job_id, "approved" if approved else "denied")
    assert len(services.asked(f"plain.example/{path}")) == approved
    for name in ["approval.asked", "approval.decided"] + ["connector.run"] * approved:
        wait_until(lambda name=name: events(stack, name, job_id), 60, name)
        assert len(events(stack, name, job_id)) == 1
    again = stack.client().post("/ai/approvals/" + job_id, {"decision": decision})
    assert again.code == "approval_decided"


@pytest.mark.parametrize("name", ["connector", "gateway", "nats", "postgres", "redis"])
def test_a_process_dies_before_and_after_the_approval(stack, services, name):
    """One job is approved when the process is back, the other at the moment of its death."""
    path = f"{name}-{uuid.uuid4().hex[:6]}"
    waits, runs = ask(stack, action(f"{path}-waits"), action(f"{path}-runs"))

    def approve(job_id):
        client = stack.client()

        def answered():
            try:
                answer = client.post("/ai/approvals/" + job_id, {"decision": "approve"})
            except OSError:
                return False
            return answer.status in (200, 409)

        wait_until(answered, 120, "it is approved")

    thread = threading.Thread(target=approve, args=(runs,))
    thread.start()
    stack.restart(name, ready=False)
    thread.join(120)
    assert not thread.is_alive()
    stack.wait_ready(120)
    assert states(stack)[waits][0] == "waiting"
    approve(waits)
    assert ended(stack, waits)["result"]["outcome"] == "ok"
    outcome = ended(stack, runs)["result"]["outcome"]
    sent = len(services.asked(f"plain.example/{path}-runs"))
    assert (outcome, sent) in (("ok", 1), ("unknown", 1), ("unknown", 0)), (outcome, sent)
    assert len(services.asked(f"plain.example/{path}-waits")) == 1
