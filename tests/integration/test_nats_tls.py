# SPDX-License-Identifier: MIT
"""Programs reach NATS over TLS: the server's certificate and name are verified, a client
certificate is shown when there is one."""
import os
import subprocess
import time

import pytest
from gantry_testing import servers
from gantry_testing.stack import ROOT

CONFIG = """
server_name: tls
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{directory}/store" }}
tls {{ cert_file: "{directory}/{cert}.crt", key_file: "{directory}/{cert}.key",
       ca_file: "{directory}/ca.crt", verify: {verify} }}
authorization {{ users: [ {{ user: audit, password: p }} ] }}
"""


def run(*words, cwd):
    subprocess.run(words, cwd=cwd, check=True, capture_output=True)


def certificate(directory, name, subject_alt_name, ca="ca"):
    run(
        "openssl",
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        f"{name}.key",
        "-out",
        f"{name}.csr",
        "-subj",
        f"/CN={name}",
        cwd=directory,
    )
    with open(os.path.join(directory, f"{name}.ext"), "w") as f:
        f.write(f"subjectAltName={subject_alt_name}\n")
    run(
        "openssl",
        "x509",
        "-req",
        "-in",
        f"{name}.csr",
        "-CA",
        f"{ca}.crt",
        "-CAkey",
        f"{ca}.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        f"{name}.ext",
        "-out",
        f"{name}.crt",
        cwd=directory,
    )


def authority(directory, name):
    run(
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-keyout",
        f"{name}.key",
        "-out",
        f"{name}.crt",
        "-subj",
        f"/CN={name}",
        cwd=directory,
    )


@pytest.fixture(scope="module")
def folder():
    with servers.scratch() as directory:
        authority(directory, "ca")
        authority(directory, "strangers")
        certificate(directory, "right", "IP:127.0.0.1,DNS:localhost")
        certificate(directory, "elsewhere", "DNS:elsewhere.example")
        certificate(directory, "client", "DNS:audit")
        subprocess.run(["sh", "-c", "chmod 644 *"], cwd=directory, check=True)
        yield directory


def outcome(directory, cert="right", verify="false", **env):
    """Whether gantry-audit gets past NATS: it then waits for PostgreSQL."""
    port = servers.free_port()
    config = os.path.join(directory, f"{cert}-{verify}.conf")
    with open(config, "w") as f:
        f.write(CONFIG.format(port=port, directory=directory, cert=cert, verify=verify))
    os.chmod(config, 0o644)
    server = servers.Server(
        [servers.lend(directory, servers.nats_server(), "nats-server"), "-c", config],
        port,
        directory,
        os.path.join(directory, "log"),
    ).start()
    program = subprocess.Popen(
        [ROOT / "build" / "gantry-audit"], stderr=subprocess.PIPE, text=True, env={
            "NATS_URL": f"tls://audit:p@127.0.0.1:{port}", "DATABASE_URL": "postgresql://x:x@127.0.0.1:1/x",
            "PRUNER_DATABASE_URL": "postgresql://x:x@127.0.0.1:1/x", "ACTOR_KEY": "11" * 32,
            "AUDIT_SIGNING_KEY": "22" * 32, **env})
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            line = program.stderr.readline()
            if not line or "cannot run" in line or "waiting for a server" in line:
                return "connected" if "PostgreSQL" in line or "port 1 " in line else line
        return "nothing"
    finally:
        program.kill()
        program.wait()
        server.stop()


def test_a_server_of_our_authority_is_taken(folder):
    assert outcome(folder, NATS_TLS_CA=f"{folder}/ca.crt") == "connected"


def test_a_server_of_another_authority_is_not(folder):
    got = outcome(folder, NATS_TLS_CA=f"{folder}/strangers.crt")
    assert "refuses the user, the password or the TLS settings" in got


def test_a_server_of_another_name_is_not(folder):
    got = outcome(folder, "elsewhere", NATS_TLS_CA=f"{folder}/ca.crt")
    assert "refuses the user, the password or the TLS settings" in got


def test_without_an_authority_the_systems_decide(folder):
    got = outcome(folder)
    assert "refuses the user, the password or the TLS settings" in got


def test_a_client_certificate_is_shown(folder):
    files = {"NATS_TLS_CA": f"{folder}/ca.crt", "NATS_TLS_CERT": f"{folder}/client.crt",
             "NATS_TLS_KEY": f"{folder}/client.key"}
    assert outcome(folder, verify="true", **files) == "connected"
    got = outcome(folder, verify="true", NATS_TLS_CA=f"{folder}/ca.crt")
    assert "refuses the user, the password or the TLS settings" in got
