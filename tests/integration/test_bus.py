# SPDX-License-Identifier: MIT
"""The bus in C against a real nats-server, which the C program starts and kills itself."""
import os
import re
import subprocess

import pytest
from gantry_testing import servers
from gantry_testing.building import make

CONFIG = """
server_name: bus
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{directory}/jetstream" }}
{tls}
authorization {{
    users: [
        {{ user: everything, password: p }}
        {{ user: small, password: p
           permissions: {{ publish: ["allowed", "_INBOX.small.>"],
                           subscribe: ["_INBOX.small.>"] }} }}
    ]
}}
"""


def build(name):
    mode = os.environ.get("MODE", "release")
    path = f"build/{mode}/integration/{name}"
    make(f"MODE={mode}", path)
    return os.path.abspath(path)


def certificate(directory, name):
    """A certificate for 127.0.0.1 that is its own authority."""
    key, cert = os.path.join(directory, name + ".key"), os.path.join(directory, name + ".pem")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            key,
            "-out",
            cert,
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    for path in (key, cert):
        os.chmod(path, 0o644)
    return key, cert


@pytest.mark.parametrize("scheme", ["nats", "tls"])
def test_bus_against_a_real_server(scheme):
    program = build("bus_nats")
    with servers.scratch() as directory:
        port = servers.free_port()
        tls, env = "", dict(os.environ)
        if scheme == "tls":
            key, cert = certificate(directory, "server")
            tls = f'tls {{ cert_file: "{cert}", key_file: "{key}" }}'
            env.update(BUS_CA=cert, BUS_OTHER_CA=certificate(directory, "other")[1],
                       BUS_OTHER_URL=f"tls://everything:p@localhost:{port}")
        config = os.path.join(directory, "nats.conf")
        with open(config, "w") as f:
            f.write(CONFIG.format(port=port, directory=directory, tls=tls))
        os.chmod(config, 0o644)
        env.update(
            BUS_SERVER=servers.nats_server(),
            BUS_CONFIG=config,
            BUS_URL=f"{scheme}://everything:p@127.0.0.1:{port}",
            BUS_URL_SMALL=f"{scheme}://small:p@127.0.0.1:{port}",
        )
        run = subprocess.run(
            servers.unprivileged() + [program], env=env, capture_output=True, text=True,
            cwd=directory, timeout=600,
        )
    failed = re.findall(r"^\[  FAILED  \] \w+$", run.stderr, re.M)
    assert run.returncode == 0, "\n".join(failed) + run.stdout[-2000:] + run.stderr[-4000:]
