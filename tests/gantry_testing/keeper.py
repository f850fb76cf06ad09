# SPDX-License-Identifier: MIT
"""Processes that are not to outlive the tests, whatever kills these.

A fixture's end is not always run: where several files run at once, pytest's workers are killed when
their controller is. One process, the keeper, notices by the end of its input, and ends what is
left. A process is known by its number and the time of its start, so nobody else's is touched.
"""
import functools
import subprocess

KEEPER = """
began() { cut -d ' ' -f 22 "/proc/$1/stat" 2>/dev/null; }
kept=
while read -r pid; do kept="$kept $pid=$(began "$pid")"; done
for one in $kept; do
    pid=${one%=*}
    [ "$(began "$pid")" != "${one#*=}" ] || kill -s QUIT "$pid"
    [ "$(began "$pid")" != "${one#*=}" ] || kill -s CONT "$pid"
done
"""


@functools.cache
def keeper():
    return subprocess.Popen(
        ["setsid", "sh", "-c", KEEPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def keep(process):
    """The process; it ends with us."""
    keeper().stdin.write(f"{process.pid}\n".encode())
    keeper().stdin.flush()
    return process
