# SPDX-License-Identifier: MIT
"""The running programs are confined as docs/security.md says, and show no secret anywhere."""
import os
import pathlib
import subprocess

import pytest
from gantry_testing.echo import actor_key
from gantry_testing.stack import ROOT

PROGRAMS = ["gateway", "ingest", "search", "audit", "executor"]


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def secrets(stack):
    found = {
        path.name: path.read_text().strip() for path in (stack.directory / "secrets").iterdir()
    }
    for program in PROGRAMS[1:]:
        found[f"ACTOR_KEY of {program}"] = actor_key(
            program, bytes.fromhex(found["ACTOR_SIGNING_KEY"])
        ).hex()
    found["api_key"] = stack.api_key[21:53]
    return {name: text for name, text in found.items() if "PUBLIC" not in name and len(text) >= 16}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_has_given_up_what_it_does_not_need(stack, program):
    pid = stack.pid(program)
    seen = status(pid)
    assert seen["Seccomp"] == "2"
    assert seen["NoNewPrivs"] == "1"
    assert int(seen["CapEff"], 16) == 0
    if os.geteuid() == 0:
        assert "0" not in seen["Uid"].split()
        assert "0" not in seen["Gid"].split()
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():  # every thread
        assert status(f"{pid}/task/{task.name}")["Seccomp"] == "2", task.name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into another process")
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_environment_holds_no_secret_any_more(stack, program):
    environ = (
        pathlib.Path(f"/proc/{stack.pid(program)}/environ").read_bytes().decode(errors="replace")
    )
    for name, text in secrets(stack).items():
        assert text not in environ, name


def test_no_secret_in_command_lines_and_logs(stack):
    stack.client().ingest("confined", "something to log").ok()
    lines = subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True
    ).stdout
    logs = {
        path.name: path.read_text(errors="replace") for path in (stack.directory / "log").iterdir()
    }
    for name, text in secrets(stack).items():
        assert text not in lines, name
        for log, content in logs.items():
            assert text not in content, (name, log)


def test_a_task_sees_no_secret(stack):
    code = (
        "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; "
        "ls -R /tmp /home /root /etc 2>/dev/null"
    )
    answer = (
        stack.client()
        .post("/webhook/executor/run", {"task": {"type": "code.shell", "code": code}})
        .ok()
        .json
    )
    seen = answer["output"]["stdout"] + answer["output"]["stderr"]
    assert seen
    for name, text in secrets(stack).items():
        assert text not in seen, name
    assert "NATS_URL" not in seen
    assert "DATA_KEY" not in seen


@pytest.mark.parametrize(
    "program,variable",
    [
        ("gateway", "ACTOR_SIGNING_KEY"),
        ("gateway", "DATABASE_URL"),
        ("gateway", "CALLOUT_ISSUER_KEY"),
        ("ingest", "ACTOR_KEY"),
        ("search", "ACTOR_KEY"),
        ("audit", "AUDIT_SIGNING_KEY"),
        ("executor", "DATA_KEY"),
    ],
)
def test_a_placeholder_stops_the_start(built, program, variable):
    value = (
        "postgresql://gantry_gateway:CHANGE_ME@127.0.0.1/gantry"
        if variable.endswith("_URL")
        else "CHANGE_ME"
    )
    done = subprocess.run(
        [ROOT / "build" / f"gantry-{program}", "--check-config"],
        env={variable: value},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 100, done.stderr
    assert variable in done.stderr, done.stderr


@pytest.mark.parametrize(
    "variable, value",
    [
        ("CORS_ORIGINS", "https://app.example, https://app.example/path"),
        ("TRUSTED_PROXIES", "10.0.0.0/33/8"),
        ("CALLOUT_NATS_URL", "nats://127.0.0.1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "no pair"),
        ("OTEL_RESOURCE_ATTRIBUTES", "no pair"),
        (None, None),
    ],
)
def test_values_that_cannot_be_used_are_told_without_a_start(built, variable, value):
    env = {
        "NATS_URL": "nats://127.0.0.1",
        "REDIS_URL": "redis://127.0.0.1",
        "DATABASE_URL": "postgresql://127.0.0.1/gantry",
        "ACTOR_SIGNING_KEY": "01" * 32,
        "DATA_KEY": "02" * 32,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        **({variable: value} if variable else {}),
    }
    done = subprocess.run(
        [ROOT / "build" / "gantry-gateway", "--check-config"],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == (100 if variable else 0), done.stderr
    assert (done.stderr.split()[:1] == ["configuration:"]) is bool(variable), done.stderr
    assert variable is None or variable in done.stderr, done.stderr


def test_plaintext_to_another_machine_is_warned_of(built):
    env = {"NATS_URL": "nats://u:p@192.0.2.1:4222", "ACTOR_KEY": "11" * 32, "DATA_KEY": "22" * 32,
           "DATABASE_URL": "postgresql://u:p@192.0.2.1/x", "AUDIT_SIGNING_KEY": "33" * 32,
           "PRUNER_DATABASE_URL": "postgresql://u:p@127.0.0.1/x"}
    for allow, wanted in (("0", True), ("1", False)):
        process = subprocess.Popen(
            [ROOT / "build" / "gantry-audit"],
            env={**env, "ALLOW_PLAINTEXT": allow},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            seen = ""
            while "waiting for a server" not in seen and (line := process.stderr.readline()):
                seen += line
        finally:
            process.kill()
            process.wait()
        assert ("NATS_URL leaves this machine unencrypted" in seen) == wanted, seen
        assert ("DATABASE_URL leaves this machine without sslmode=verify-full" in seen) == wanted, (
            seen
        )
