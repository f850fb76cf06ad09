# SPDX-License-Identifier: MIT
"""What a task has used is told truly, however it ended: the task itself says what it has used so
far."""

import pytest
from corpus import CPU_SMALL, SPAWN

TRUE_TO_MS = 20
SETUP_MS = (
    1000  # bubblewrap, the interpreter, and what the last step itself takes: a bound, no measure
)
HELD_BYTES = 48 << 20
STEPS = 6

BURN = f"""
import os, sys, time
held = bytearray(b"x") * {HELD_BYTES}
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    os.write(1, b"%d\\n" % (time.process_time() * 1000))
for _ in range({STEPS}):
    burn(0.05)
"""
ENDS = {
    "ok": ("", "ok", {}),
    "survivor": (
        "burnt, tell = os.pipe()\n"
        "if os.fork() == 0:\n    burn(0.2); os.write(tell, b'1'); time.sleep(1000)\n"
        "os.read(burnt, 1); os.wait3(os.WNOHANG); time.sleep(1)",
        "ok",
        {},
    ),
    "nonzero_exit": ("os._exit(3)", "nonzero_exit", {}),
    "signaled": ("os.kill(os.getpid(), 11)", "signaled", {}),
    "timeout": ("time.sleep(1000)", "timeout", {"timeout": 3}),
    "timeout_of_a_child": (
        "if os.fork() == 0:\n    burn(0.2)\ntime.sleep(1000)",
        "timeout",
        {"timeout": 4},
    ),
    "cpu_limit": ("while True: burn(0.05)", "cpu_limit", {"cpu_ms": CPU_SMALL}),
    "memory_limit": (
        "x = []\nwhile True: x.append(bytearray(b'x') * (1 << 20))",
        "memory_limit",
        {},
    ),
    "process_limit": (
        SPAWN,
        "process_limit",
        {},
    ),
    "output_limit": ("while True: os.write(2, b'x' * 65536)", "output_limit", {}),
}


def tells(answer):
    return [int(line) for line in answer["output"]["stdout"].splitlines()]


@pytest.mark.parametrize("end", ENDS)
def test_usage_is_true_for_every_end(submit_until, end):
    code, outcome, more = ENDS[end]
    steps = STEPS + (end in ("survivor", "timeout_of_a_child"))
    given = {"timeout": 280, **more}
    answer = submit_until(lambda answer: len(tells(answer)) == steps, "code.python", BURN + code,
                          **given)
    assert answer["outcome"] == outcome, answer
    told = tells(answer)
    assert len(told) == steps or outcome == "cpu_limit", answer
    used = told[-1]
    if steps > STEPS:  # the last is the child's own
        used = told[-1] + max(told[:-1])
    assert used - TRUE_TO_MS <= answer["usage"]["cpu_ms"] <= used + SETUP_MS, answer
    assert HELD_BYTES <= answer["usage"]["max_rss_bytes"] < 512 << 20, answer


def test_a_killed_child_of_a_shell_is_counted(submit_until):
    code = f"cat >/work/burn.py <<'CODE'\n{BURN}\nCODE\npython3 burn.py; sleep 1000"
    answer = submit_until(lambda answer: len(tells(answer)) == STEPS, "code.shell", code, 5)
    told = tells(answer)
    assert answer["outcome"] == "timeout", answer
    assert len(told) == STEPS, answer
    assert told[-1] - TRUE_TO_MS <= answer["usage"]["cpu_ms"], answer


def test_a_task_that_sleeps_has_used_next_to_nothing(submit):
    answer = submit("code.shell", "sleep 1000", timeout=2)
    assert 0 < answer["usage"]["cpu_ms"] < 1000, answer
    assert 2000 <= answer["usage"]["wall_ms"], answer
