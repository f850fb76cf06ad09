# SPDX-License-Identifier: MIT
"""gantry-search on a hot standby of PostgreSQL: everything it answers can be had from one that
nobody can write to. And a standby that takes over: the programs find it without a restart."""
import contextlib
import os
import re
import signal
import subprocess

import psycopg2
import pytest
from gantry_testing import servers
from gantry_testing.wait import wait_until


@contextlib.contextmanager
def standby(stack):
    """A streaming replica of a stack's PostgreSQL."""
    with servers.scratch() as directory:
        data, port = os.path.join(directory, "data"), servers.free_port()
        subprocess.run(
            [
                *servers.unprivileged(),
                servers.postgres_bin("pg_basebackup"),
                "-D",
                data,
                "-R",
                "-c",
                "fast",
                "-d",
                stack.database_url().replace("/gantry", "/postgres"),
            ],
            check=True,
            cwd=directory,
        )
        command = [servers.postgres_bin("postgres"), "-D", data]
        for setting in (
            "listen_addresses=127.0.0.1",
            f"port={port}",
            "unix_socket_directories=",
            "fsync=off",
        ):
            command += ["-c", setting]
        server = servers.Server(command, port, directory, os.path.join(directory, "log")).start()
        server.url = stack.database_url().replace(f":{stack.ports['POSTGRES_PORT']}/", f":{port}/")
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)


@pytest.fixture(scope="module")
def replicated(make_stack):
    stack = make_stack()
    with standby(stack) as server:
        stack.standby = server
        move(stack, "search", f"127.0.0.1:{server.port}/gantry")
        yield stack
        stack.down()


def move(stack, program, where):
    """Another database for a program."""
    stack.take_down(program)
    script = stack.directory / f"state/{program}.stopped"
    port = stack.ports["POSTGRES_PORT"]  # by its socket, or where there is none by TCP
    text, count = re.subn(
        rf"@(/gantry\?host=[^&']+&port={port}|127\.0\.0\.1:{port}/gantry)",
        f"@{where}",
        script.read_text(),
    )
    assert count
    script.write_text(text)
    stack.bring_back(program, ready=False)
    stack.wait_ready()


def test_search_answers_from_the_standby(replicated):
    client = replicated.client()
    kept = client.ingest("s", "the lighthouse keeper drinks tea", tags=["sea"]).ok().json["id"]
    wait_until(lambda: client.get(f"/memory/{kept}").status == 200, 20, "the standby has it")
    for mode in ("hybrid", "vector", "text"):
        found = client.search("lighthouse keeper", mode=mode, tags=["sea"]).ok().json["results"]
        assert [one["id"] for one in found] == [kept], mode
    assert [one["id"] for one in client.get("/memory?scope=s").ok().json["items"]] == [kept]
    client.patch(f"/memory/{kept}", {"text": "the lighthouse keeper drinks coffee"}).ok()
    wait_until(
        lambda: client.get(f"/memory/{kept}").json["content"].endswith("coffee"),
        20,
        "the change is there",
    )
    client.delete(f"/memory/{kept}").ok(204)
    wait_until(lambda: client.get(f"/memory/{kept}").status == 404, 20, "the deletion is there")


def test_it_is_the_standby_that_is_asked(replicated):
    """Without it search answers no more; with it again it does, and nobody was restarted."""
    client, search = replicated.client(), replicated.pid("search")
    client.search("anything").ok()
    replicated.standby.stop(signal.SIGQUIT)
    assert client.search("anything").status in (503, 504)
    replicated.standby.start()
    wait_until(lambda: client.search("anything").status == 200, 30, "search answers again")
    assert replicated.pid("search") == search


def test_the_standby_takes_over(replicated):
    """Each program has both addresses and takes the one that can be written to."""
    stack, writers = replicated, ("gateway", "ingest", "audit")
    both = (
        f"127.0.0.1:{stack.ports['POSTGRES_PORT']},127.0.0.1:{stack.standby.port}/gantry"
        "?target_session_attrs=read-write"
    )
    for program in writers:
        move(stack, program, both)
    client, pids = stack.client(), {program: stack.pid(program) for program in writers}
    before = client.ingest("s", "written to the first").ok().json["id"]
    wait_until(lambda: client.get(f"/memory/{before}").status == 200, 20, "the standby has it")
    stack.take_down("postgres")
    with contextlib.closing(psycopg2.connect(stack.standby.url)) as connection:
        connection.cursor().execute("SELECT pg_promote()")
    stack.wait_ready()
    after = wait_until(
        lambda: client.clone().ingest("s", "written to the second").ok().json["id"],
        40,
        "it is written",
    )
    for memory in (before, after):
        assert client.get(f"/memory/{memory}").status == 200
    made = client.post("/keys", {"name": "new", "role": "viewer"}).ok(201).json
    wait_until(
        lambda: client.clone(made["key"]).get("/memory?scope=s").status == 200,
        30,
        "keys are checked there",
    )
    assert {program: stack.pid(program) for program in writers} == pids, "no program was restarted"
