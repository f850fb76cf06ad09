# SPDX-License-Identifier: MIT
"""The bus in C against a real nats-server, which the C program starts and kills itself."""
import os
import re
import subprocess

import pytest
from gantry_testing import servers

CONFIG = """
server_name: bus
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{directory}/jetstream" }}
authorization {{
    users: [
        {{ user: everything, password: p }}
        {{ user: small, password: p
           permissions: {{ publish: ["allowed", "_INBOX.small.>"], subscribe: ["_INBOX.small.>"] }} }}
    ]
}}
"""


def build(name):
    mode = os.environ.get("MODE", "release")
    path = f"build/{mode}/integration/{name}"
    made = subprocess.run(["make", "-s", f"MODE={mode}", path], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return os.path.abspath(path)


def test_bus_against_a_real_server():
    program = build("bus_nats")
    with servers.scratch() as directory:
        port = servers.free_port()
        config = os.path.join(directory, "nats.conf")
        with open(config, "w") as f:
            f.write(CONFIG.format(port=port, directory=directory))
        os.chmod(config, 0o644)
        env = dict(
            os.environ,
            BUS_SERVER=servers.nats_server(),
            BUS_CONFIG=config,
            BUS_URL=f"nats://everything:p@127.0.0.1:{port}",
            BUS_URL_SMALL=f"nats://small:p@127.0.0.1:{port}",
        )
        run = subprocess.run(
            servers.unprivileged() + [program], env=env, capture_output=True, text=True,
            cwd=directory, timeout=120,
        )
    failed = re.findall(r"^\[  FAILED  \] \w+$", run.stderr, re.M)
    assert run.returncode == 0, "\n".join(failed) + run.stdout[-2000:] + run.stderr[-4000:]
    print(run.stdout)
