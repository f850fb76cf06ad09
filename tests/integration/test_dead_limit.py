# SPDX-License-Identifier: MIT
"""DEAD keeps the newest letters of each workspace and program (max_msgs_per_subject): after each
put and deletion of a series made by chance, over blocks of messages that fill and empty.

It is exact while nothing is deleted but the oldest letters. After deletions in the middle, with
letters in several blocks, nats-server (2.10) may look for the oldest in a block where it is no
more: of 2,000 puts about two dropped the second oldest in its place or kept one letter too many.
The letter that was put, and those of others, stay (docs/protocol.md). DEAD_STEPS=N DEAD_SEED=S
try more, or others."""

import json
import os
import random
import signal

import pytest
from gantry_testing import nats_files

MOST = 5
SUBJECTS = [f"gantry.v1.w{number}.dead.ingest" for number in range(4)]
SIZES = [100, 20_000, 400_000]  # a block has 2 MB and more


def present(client):
    body = json.dumps({"deleted_details": True})
    state = client.api("STREAM.INFO.DEAD", body.encode())["state"]
    gone = set(state.get("deleted") or ())
    return set(range(state["first_seq"], state["last_seq"] + 1)) - gone


@pytest.mark.parametrize("which", ["the oldest", "any"])
def test_the_newest_letters_stay(which):
    """which: may be deleted."""
    steps = int(os.environ.get("DEAD_STEPS", "400"))
    rng = random.Random(os.environ.get("DEAD_SEED", "14"))
    letters = {subject: [] for subject in SUBJECTS}
    with nats_files.server() as server, server.connect("operator") as client:
        nats_files.provision(server)
        config = client.api("STREAM.INFO.DEAD")["config"]
        config["max_msgs_per_subject"] = MOST
        nats_files.taken(client.api("STREAM.UPDATE.DEAD", json.dumps(config).encode()))
        for number in range(steps):
            subject = rng.choices(SUBJECTS, [1, 2, 4, 8])[0]
            mine = letters[subject]
            before = set().union(*letters.values()) - set(mine)
            if mine and rng.random() < 0.35:
                at = 0 if which == "the oldest" else rng.randrange(len(mine))
                body = {"seq": mine.pop(at), "no_erase": rng.random() < 0.7}
                nats_files.taken(client.api("STREAM.MSG.DELETE.DEAD", json.dumps(body).encode()))
            else:
                answer = client.js_publish(subject, bytes(rng.choice(SIZES)))
                nats_files.taken(answer)
                mine.append(answer["seq"])
            there = present(client)
            assert before <= there, (number, "another's is lost")
            assert there <= before | set(mine), number
            kept = [one for one in mine if one in there]
            if which == "the oldest":
                assert kept == mine[-MOST:], number
            elif mine:
                assert mine[-1] in kept, number
                assert len(kept) >= min(MOST, len(mine)), number
            mine[:] = kept


@pytest.mark.parametrize("full", [True, False])
def test_what_a_kill_brings_back(full):
    """A removal whose mark is gone with its block: only what was removed may be there again, and
    only in a full DEAD is something dropped in its place, the oldest."""
    mine, large = SUBJECTS[0], bytes(900_000)
    with nats_files.server() as server:
        nats_files.provision(server)
        with server.connect("operator") as client:
            config = client.api("STREAM.INFO.DEAD")["config"]
            if full:
                config["max_msgs_per_subject"] = MOST
                nats_files.taken(client.api("STREAM.UPDATE.DEAD", json.dumps(config).encode()))

            def put(subject, data=b"letter"):
                answer = client.js_publish(subject, data)
                nats_files.taken(answer)
                return answer["seq"]

            def remove(seq):
                body = json.dumps({"seq": seq}).encode()
                nats_files.taken(client.api("STREAM.MSG.DELETE.DEAD", body))

            others = (f"gantry.v1.other{number}.dead.ingest" for number in range(12))
            letters = [put(mine) for _ in range(MOST)]
            for _ in range(4):  # so many are a block
                put(next(others), large)
            between = [put(next(others), large)]
            removed = letters.pop(2)
            remove(removed)  # its mark is in the second block
            between += [put(next(others), large) for _ in range(3)]
            for _ in range(4):
                put(next(others), large)
            letters.append(put(mine))
            for seq in between:
                remove(seq)
            before = present(client)
            assert set(letters) <= before
        server.restart(signal.SIGKILL)
        with server.connect("operator") as client:
            after = present(client)
    back, lost = after - before, before - after
    assert back <= {removed, *between}
    assert lost <= set(letters[: len(back & {removed})] if full else [])
