# SPDX-License-Identifier: MIT
"""Waiting for a condition, never for a length of time."""
import os
import pathlib
import time

PATIENCE = (
    4  # times what a quiet machine needs at the most: a bound against hanging, never a judgement
)
USUAL = 0.02  # seconds of a processor of 2020, for the work of slowness()
LOOK = 5.0  # seconds: who waits for less wants to know whether it happens soon, and goes on


def quiet():
    """Whether processors and disks were free during the last ten seconds: only then do times mean
    anything."""
    try:
        for what in ("cpu", "io"):
            some = pathlib.Path(f"/proc/pressure/{what}").read_text().split("avg10=")[1]
            if float(some.split()[0]) >= 10.0:
                return False
        return True
    except (OSError, LookupError, ValueError):
        return os.getloadavg()[0] < os.cpu_count()


def slowness():
    """How many times as long as usual this processor takes for a piece of work; at least 1."""
    start = time.thread_time()
    sum(range(1_000_000))
    return max(1.0, (time.thread_time() - start) / USUAL)


def promised(seconds):
    """The time that a promise allows, on a machine that is quiet; on a busy one a bound against
    hanging."""
    return seconds * slowness() if quiet() else max(60.0, seconds * 10)


def wait_until(condition, seconds=20.0, what=None, interval=0.02):
    """Call condition until it returns something true, which is returned; AssertionError if it does
    not within PATIENCE times so many seconds, and at least a minute from LOOK on. An exception of
    the last call is shown as the reason."""
    allowed = seconds * PATIENCE if seconds < LOOK else max(60.0, seconds * PATIENCE)
    deadline = time.monotonic() + allowed
    while True:
        problem = None
        try:
            value = condition()
            if value:
                return value
        except (AssertionError, OSError, LookupError, ValueError) as error:
            problem = error
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", "condition")
            raise AssertionError(f"{name}: not within {allowed} s") from problem
        time.sleep(interval)
