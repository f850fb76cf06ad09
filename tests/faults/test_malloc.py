"""Every unit test with its n-th allocation failing: a failed case or a clean exit is an answer, a
crash, an abort or a hang is not."""

import os
import pathlib
import re
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = sorted((ROOT / "build/release/tests").glob("test_*"))
PROGRAMS = [p for p in PROGRAMS if p.suffix == "" and os.access(p, os.X_OK)]
SECONDS = float(os.environ.get("MALLOC_FAULT_SECONDS", "2"))  # for each program


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Where the programs make theirs: one whose case fails does not remove them."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    out = tmp_path_factory.mktemp("malloc") / "failing_malloc.so"
    subprocess.run(
        ["cc", "-O1", "-Wall", "-Wextra", "-fno-builtin", "-shared", "-fPIC", "-o", out,
         ROOT / "tests/faults/failing_malloc.c"],
        check=True,
    )
    return out


def run(program, library, files, n, all_later):
    """Whether an allocation failed at all; fails the test on a crash."""
    env = {**os.environ, "LD_PRELOAD": str(library), "FAIL_AT": str(n),
           "CMOCKA_MESSAGE_OUTPUT": "TAP", "TMPDIR": str(files)}
    if all_later:
        env["FAIL_ON"] = "1"
    done = subprocess.run([program], env=env, capture_output=True, timeout=60, check=False)
    text = (done.stdout + done.stderr).decode(errors="replace")
    where = f"{program.name}, allocation {n}{' and all later' if all_later else ''}"
    assert done.returncode >= 0, f"{where}: signal {-done.returncode}\n{text[-2000:]}"
    assert "exception" not in text, f"{where}:\n{text[-2000:]}"
    return "failing_malloc: failed" in text


def points():
    """1, 2, 3 … and then ever larger steps."""
    n = 1.0
    while True:
        yield int(n)
        n = max(n + 1, n * 1.08)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_failed_allocation_is_survived(program, library, files):
    end = time.monotonic() + SECONDS
    for n in points():
        if time.monotonic() > end or not run(program, library, files, n, n % 2 == 0):
            break
    assert n > 0


def test_the_fault_is_real(library, files):
    """The means works: a program that ignores NULL dies of it."""
    assert PROGRAMS, "no unit test programs: run make check-unit first"
    failed = [
        run(p, library, files, 1, False)
        for p in PROGRAMS
        if re.search("test_(arena|buf|json)$", p.name)
    ]
    assert failed
    assert all(failed)
