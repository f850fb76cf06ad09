"""A test that needed its second try is said, and counted by .ci/run."""
# SPDX-License-Identifier: MIT
import os
import pathlib
import shutil
import signal
import subprocess

import pytest
from gantry_testing.wait import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]


def ci(tmp_path, lines, status=0):
    """.ci/run with a `make` that prints these lines."""
    make = tmp_path / "make"
    said = "".join(f"echo '{line}'\n" for line in lines)
    make.write_text(f'#!/bin/sh\n[ "$*" = test ] || exit 99\n{said}exit {status}\n')
    make.chmod(0o755)
    env = dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}")
    return subprocess.run([ROOT / ".ci/run"], env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("lines", "status", "want"),
    [
        (["9 passed, 0 failed"], 0, 0),
        (["2 on the second try: a::b c::d", "9 passed, 0 failed"], 0, 0),
        (["3 on the second try: a::b c::d e::f", "9 passed, 0 failed"], 0, 1),
        (["12 on the second try: a", "9 passed, 0 failed, 1 skipped"], 0, 1),
        (["1 on the second try: a::b", "8 passed, 1 failed"], 2, 2),
        (["3 on the second try: of an earlier step", "unit", "9 passed, 0 failed"], 0, 0),
    ],
)
def test_ci_counts_second_tries(tmp_path, lines, status, want):
    done = ci(tmp_path, lines, status)
    assert done.returncode == want, done
    assert done.stdout.splitlines() == lines


@pytest.mark.parametrize(
    ("names", "want"), [("", ""), ("a::b c::d", "2 on the second try: a::b c::d\n")]
)
def test_a_run_names_them(names, want):
    done = subprocess.run(
        ["bash", "-c", f". tests/python.sh; second_tries {names}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == want


def test_the_first_failure_and_the_second_success(tmp_path):
    """What fails once and then passes is printed for tests/run to count."""
    flaky = tmp_path / "test_flaky.py"
    flaky.write_text(
        "import pathlib\n"
        f"MARK = pathlib.Path({str(tmp_path)!r}) / 'mark'\n"
        "def test_it():\n"
        "    if not MARK.exists():\n"
        "        MARK.touch()\n"
        "        raise AssertionError\n"
    )
    done = subprocess.run(
        [
            "bash",
            "-c",
            f'. "{ROOT}/tests/python.sh"; pytest() {{ /usr/bin/python3 -m pytest -c /dev/null '
            f'--rootdir=. -p no:cacheprovider -ra "$@" > raw; status=$?; cat raw; '
            f"[ $status = 0 ] && echo 1 passed, 0 failed || echo 0 passed, 1 failed; "
            f"return $status; }}; python_tests first test_flaky.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert "second try: test_flaky.py::test_it" in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == "1 passed, 0 failed, 0 skipped"


def is_gone(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_ends_its_step(tmp_path, how):
    """tests/run alone has the signal, as from a service manager; what its step began ends too."""
    stubs = {
        "make": "exit 0",
        "deploy/dependencies": "exit 0",
        "tests/lint.sh": "sleep 600 & echo $$ $! >pids.new && mv pids.new pids; wait",
    }
    for name, text in stubs.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    for name in ("run", "python.sh"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    env = dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}", ONLY="lint")
    run = subprocess.Popen([tmp_path / "tests/run"], env=env, stdout=subprocess.DEVNULL)
    pids = tmp_path / "pids"
    wait_until(pids.exists, 60, "the step runs")
    run.send_signal(how)
    assert run.wait(300) == 128 + how
    for pid in pids.read_text().split():
        wait_until(lambda pid=pid: is_gone(pid), 30, f"{pid} ends")
