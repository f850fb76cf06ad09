# SPDX-License-Identifier: MIT
"""What the host mounts while a task runs stays outside, also where the host shares its mounts with
others (with systemd it does)."""

import json
import os
import subprocess

import pytest

PLACE = "/usr/share/doc"  # any folder that a sandbox has

# The rest of the machine does not see it: a namespace of its own, whose mounts are shared in it.
HOST = """
set -eu
mount --make-rshared /
mount -t tmpfs -o mode=0755 before "$1"
mkdir "$1/later"
mkfifo -m 0666 "$1/ready" "$1/go"
timeout 250 sh -c 'read -r _ <"$1/ready"
    mount -t tmpfs -o mode=1777 later "$1/later"
    echo mounted >"$1/go"' sh "$1" &
later=$!
"$2" --run-one --timeout 200 || true
kill $later 2>/dev/null || true
[ -e "$1/later/written" ] && echo "the host has it" >&2 || true
"""

TASK = f"""
import errno
place = {PLACE!r}
with open(place + "/ready", "w") as ready:
    print("ready", file=ready)
with open(place + "/go") as go:
    result = [go.read()]
try:
    open(place + "/later/written", "w").close()
    result.append("written")
except OSError as error:
    result.append(errno.errorcode[error.errno])
for line in open("/proc/self/mountinfo"):
    _, _, _, _, point, options, separator, *_ = line.split()
    if point.startswith(place):
        kept = set(options.split(",")) - {{"relatime", "noatime"}}
        result.append([point, sorted(kept), separator])
"""


def test_a_later_mount_of_the_host_is_not_in_a_sandbox(folder):
    if os.geteuid() != 0:
        pytest.skip("not root: cannot mount")
    if not os.path.isdir(PLACE):
        pytest.skip("not on this machine")
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", HOST, "sh", PLACE,
         str(folder / "gantry-executor")],
        input=json.dumps({"type": "code.python", "code": TASK}).encode(),
        capture_output=True,
        env={"EXECUTOR_TASKS_DIR": str(folder / "tasks-600000"), "PATH": os.environ["PATH"]},
        timeout=280,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    answer = json.loads(done.stdout)
    assert answer["outcome"] == "ok", answer
    assert answer["output"]["result"]["value"] == [
        "mounted\n",
        "EROFS",
        [PLACE, ["nodev", "nosuid", "ro"], "-"],
    ]
