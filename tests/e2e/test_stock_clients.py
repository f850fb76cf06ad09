# SPDX-License-Identifier: MIT
"""The lines of docs/protocol.md for clients that others wrote: nats-py and the nats CLI (nats.js
has test_npm_client.py), with what cases 59, 60 and 62 tried."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import uuid

import pytest
from gantry_testing.stack import ROOT

FOLDER = ROOT / "build" / "nats-py"
PYTHON = FOLDER / "bin" / "python"
CLI = ROOT / "build" / "natscli" / "nats"
SCRIPT = """
import asyncio, json, sys, uuid
import nats

async def main(url, KEY):
    ID = KEY[9:21]
    LINE_OF_THE_PAGE
    seen, heard = [], asyncio.Event()

    async def on_done(msg):
        if (msg.headers or {}).get("Gantry-Event") == "done":
            seen.append((msg.subject.split(".")[-2], json.loads(msg.data)))
            heard.set()

    await nc.subscribe("gantry.v1.default.memory.*.done", cb=on_done)
    await nc.flush()

    async def publish(body, headers=None):
        heard.clear()
        subject = "gantry.v1.default.memory.ingest"
        ack = json.loads((await nc.request(subject, body, headers=headers, timeout=60)).data)
        await asyncio.wait_for(heard.wait(), 60)
        return [ack["stream"], *seen[-1]]

    scope = "stock:" + str(uuid.uuid4())
    made = str(uuid.uuid4())
    body = lambda text: json.dumps({"scope": scope, "text": text}).encode()
    out = {"made": made}
    out["with an id"] = await publish(body("tea"), {"Nats-Msg-Id": made})
    out["without"] = await publish(body("coffee"))
    out["no uuid"] = await publish(body("water"), {"Nats-Msg-Id": "order-" + made})
    out["refused"] = await publish(json.dumps({"scope": scope, "txt": "bad"}).encode())
    asked = json.dumps({"scope": scope}).encode()
    found = await nc.request("gantry.v1.default.memory.list", asked, timeout=60)
    out["stored"] = sorted(one["content"] for one in json.loads(found.data)["items"])
    print(json.dumps(out))
    await nc.close()

asyncio.run(main(*sys.argv[1:]))
"""


def line_for(client):
    """The line of the page, as it stands there."""
    page = (ROOT / "docs" / "protocol.md").read_text()
    return re.search(rf"^\| {re.escape(client)} \| `(.+)` \|$", page, re.MULTILINE).group(1)


@pytest.fixture(scope="module")
def python():
    """A Python that has nats-py, installed once."""
    with open(ROOT / "build" / "nats-py.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (FOLDER / "good").exists():
            try:
                for words in (
                    ["/usr/bin/python3", "-m", "venv", "--clear", FOLDER],
                    [FOLDER / "bin" / "pip", "install", "-q", "--retries", "0", "nats-py~=2.9"],
                ):
                    subprocess.run(words, check=True, capture_output=True, text=True, timeout=120)
                (FOLDER / "good").touch()
            except (subprocess.SubprocessError, OSError) as problem:
                said = (getattr(problem, "stderr", None) or str(problem)).strip().splitlines()
                pytest.skip(f"nats-py cannot be installed: {said[-1]}")
    return PYTHON


def test_nats_py(stack, python):
    connect = line_for("nats-py").split("; await")[0].replace('"nats://127.0.0.1:4222"', "url")
    done = subprocess.run(
        [
            python,
            "-c",
            SCRIPT.replace("LINE_OF_THE_PAGE", connect),
            stack.env["NATS_URL"],
            stack.key("developer"),
        ],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout)
    assert seen["with an id"][:2] == ["MEMORY", seen["made"]]
    assert seen["refused"][2]["status"] == 422
    assert any("txt" in one["field"] for one in seen["refused"][2]["errors"])
    assert seen["stored"] == ["coffee", "tea", "water"]


@pytest.fixture(scope="module")
def cli():
    """Building it takes minutes, so it is used where somebody has: in PATH or build/natscli."""
    program = shutil.which("nats") or (CLI if CLI.exists() else None)
    if not program:
        pytest.skip(
            "no nats CLI: GOBIN=$PWD/build/natscli "
            "go install github.com/nats-io/natscli/nats@latest"
        )
    return program


def test_nats_cli(stack, cli, tmp_path):
    key, scope = stack.key("developer"), f"stock:{uuid.uuid4()}"
    stack.client("developer").ingest(scope, "green tea").ok()
    words = line_for("nats CLI").split(" request ")[0].split()
    fill = {
        "nats": str(cli),
        "nats://KEY@127.0.0.1:4222": stack.env["NATS_URL"].replace("//", f"//{key}@"),
        "_INBOX.ID": "_INBOX." + key[9:21],
    }
    base = [fill.get(word, word) for word in words]

    def request(subject, body):
        done = subprocess.run(
            [*base, "request", "--raw", "gantry.v1.default." + subject, json.dumps(body)],
            capture_output=True,
            text=True,
            timeout=60,
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert (
        request("memory.search", {"query": "tea", "scope": scope})["results"][0]["content"]
        == "green tea"
    )
    assert request("memory.ingest", {"scope": scope, "text": "black tea"})["stream"] == "MEMORY"
