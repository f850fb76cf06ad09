# SPDX-License-Identifier: MIT
"""Waiting for a condition, never for a length of time."""
import time


def wait_until(condition, seconds=20.0, what=None, interval=0.02):
    """Call condition until it returns something true, which is returned; AssertionError if it
    does not within so many seconds. An exception of the last call is shown as the reason."""
    deadline = time.monotonic() + seconds
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
            raise AssertionError(f"{name}: not within {seconds} s") from problem
        time.sleep(interval)
