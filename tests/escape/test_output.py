# SPDX-License-Identifier: MIT
"""What a task has printed is in the answer, however the task ended."""
import pytest
from corpus import SPAWN

DOTS = (
    "import itertools, time\nfor i in itertools.count():\n"
    "    print('.', end='')\n    time.sleep(0.1)"
)

PYTHON = {
    "timeout": (
        "print('step 1 done'); import time; time.sleep(1000)",
        1,
        "timeout",
        "step 1 done\n",
    ),
    "timeout_without_newline": (
        "print('a', end=''); print('b', end=''); import time; time.sleep(1000)",
        1,
        "timeout",
        "ab",
    ),
    "exit_at_once": ("print('hello'); import os; os._exit(1)", 60, "nonzero_exit", "hello\n"),
    "exit_at_once_without_newline": (
        "print('hello', end=''); import os; os._exit(0)",
        60,
        "ok",
        "hello",
    ),
    "crash": ("print('before'); import ctypes; ctypes.string_at(0)", 60, "signaled", "before\n"),
    "crash_without_newline": (
        "print('before', end=''); import os, signal; os.kill(os.getpid(), signal.SIGABRT)",
        60,
        "signaled",
        "before",
    ),
    "killed_by_itself": (
        "print('x', end=''); import os; os.kill(os.getpid(), 9)",
        60,
        "signaled",
        "x",
    ),
    "memory": (
        "print('big', end='')\nx = []\nwhile True: x.append(bytearray(b'x') * (1 << 20))",
        280,
        "memory_limit",
        "big",
    ),
    "memory_refused": ("print('big', end=''); x = ' ' * (1 << 40)", 60, "memory_limit", "big"),
    "processes": (
        "print('many', end='')\n" + SPAWN,
        280,
        "process_limit",
        "many",
    ),
    "output": (
        "print('first', end='')\nimport os\nwhile True: os.write(2, b'x' * 65536)",
        280,
        "output_limit",
        "first",
    ),
    "exception": ("print('so far', end=''); 1 / 0", 60, "nonzero_exit", "so far"),
    "fork": (
        "print('once', end='')\nimport os\nif os.fork() == 0: os._exit(0)\nos.wait(); os._exit(0)",
        60,
        "ok",
        "once",
    ),
    "binary": ("import sys, os; sys.stdout.buffer.write(b'bytes'); os._exit(0)", 60, "ok", "bytes"),
    "stopped": (
        "print('frozen', end=''); import os; os.kill(os.getpid(), 19)",
        1,
        "timeout",
        "frozen",
    ),
    "subprocess": (
        "import subprocess; subprocess.run(['python3', '-c', \"print('below', end=''); import "
        "time; time.sleep(1000)\"])",
        2,
        "timeout",
        "below",
    ),
}

SHELL = {
    "timeout": ("echo a; printf b; sleep 1000", 1, "timeout", "a\nb"),
    "python_that_hangs": (
        "python3 -c \"print('x', end=''); import time; time.sleep(1000)\"",
        2,
        "timeout",
        "x",
    ),
    "python_that_crashes": (
        "python3 -c \"print('x', end=''); import os; os.abort()\"; exit 3",
        60,
        "nonzero_exit",
        "x",
    ),
    "python_that_is_killed": (
        "printf 1; python3 -c \"print(2, end=''); import os; os.kill(os.getppid(), 9)\"",
        60,
        "signaled",
        "12",
    ),
    "unbuffered_by_stdbuf": (
        "printf 'a\\nb\\n' | stdbuf -o0 sed s/a/c/; (printf x; sleep 1000) | stdbuf -o0 tr x y",
        2,
        "timeout",
        "c\nb\ny",
    ),
    "own_kill": ("printf a; kill -9 $$", 60, "signaled", "a"),
}


def printed(expected):
    return lambda answer: answer["output"]["stdout"] == expected


@pytest.mark.parametrize("case", PYTHON)
def test_nothing_that_python_printed_is_lost(submit_until, case):
    code, timeout, outcome, expected = PYTHON[case]
    answer = submit_until(printed(expected), "code.python", code, timeout)
    assert (answer["outcome"], answer["output"]["stdout"]) == (outcome, expected), answer


def test_the_dots_until_the_limit(submit_until):
    answer = submit_until(lambda answer: answer["output"]["stdout"], "code.python", DOTS, 2)
    assert answer["outcome"] == "timeout", answer
    assert set(answer["output"]["stdout"]) == {"."}, answer


@pytest.mark.parametrize("case", SHELL)
def test_nothing_that_a_script_printed_is_lost(submit_until, case):
    code, timeout, outcome, expected = SHELL[case]
    answer = submit_until(printed(expected), "code.shell", code, timeout)
    assert (answer["outcome"], answer["output"]["stdout"]) == (outcome, expected), answer


def test_what_jq_gave_before_it_failed(submit):
    answer = submit("json.query", query='1, 2, error("x")', timeout=60)
    assert answer["outcome"] == "nonzero_exit", answer
    assert answer["output"]["stdout"] == "1\n2\n", answer
    assert answer["output"]["result"] is None
    assert "x" in answer["output"]["stderr"]
