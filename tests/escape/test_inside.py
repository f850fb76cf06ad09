# SPDX-License-Identifier: MIT
"""What is inside a sandbox of the host: exactly what docs/tasks.md says."""

import hashlib
import os

import pytest

COPIES = {
    "ld.so.cache": "/etc/ld.so.cache",
    "openssl.cnf": "/etc/ssl/openssl.cnf",
    "manpath.config": "/etc/manpath.config",
    "mime.types": "/etc/mime.types",
    "protocols": "/etc/protocols",
    "services": "/etc/services",
}
OURS = {"passwd", "group", "nsswitch.conf", ".curlrc"}
FOLDERS = [f"/usr/{name}" for name in ("bin", "lib", "lib64", "libexec", "share", "include")]
READ_ONLY = {"ro", "nosuid", "nodev"}
MOUNTS = {
    "/": READ_ONLY,
    **{path: READ_ONLY for path in [*FOLDERS, "/etc/alternatives"] if os.path.isdir(path)},
    "/dev": READ_ONLY,
    **{f"/dev/{name}": {"rw", "nosuid"} for name in ("null", "zero", "full", "urandom")},
    "/proc": {*READ_ONLY, "noexec"},
    "/tmp": {"rw", "nosuid", "nodev"},
    "/work": {"rw", "nosuid", "nodev"},
}


def value(answer):
    assert answer["outcome"] == "ok", answer
    return answer["output"]["result"]["value"]


def test_the_mounts_are_these(submit):
    lines = value(submit("code.python", "result = list(open('/proc/self/mountinfo'))"))
    found = [line.split()[4:6] for line in lines]
    assert sorted(point for point, _ in found) == sorted(MOUNTS)
    for point, options in found:
        assert set(options.split(",")) - {"relatime", "noatime"} == MOUNTS[point], point


def test_the_root_has_these_names(submit):
    names = value(submit("code.python", "import os; result = os.listdir('/')"))
    assert sorted(names) == [
        "bin", "dev", "etc", "lib", "lib64", "proc", "sbin", "task", "tmp", "usr", "work",
    ]  # fmt: skip


def test_etc_has_exact_copies_and_what_is_ours(submit):
    digests = value(
        submit(
            "code.python",
            "import hashlib, os\nresult = {name: hashlib.sha256(open('/etc/' + name, 'rb').read())"
            ".hexdigest() for name in os.listdir('/etc') if name != 'alternatives'}",
        )
    )
    there = {name: path for name, path in COPIES.items() if os.path.exists(path)}
    assert set(digests) == OURS | set(there)
    for name, path in there.items():
        with open(path, "rb") as file:
            assert digests[name] == hashlib.sha256(file.read()).hexdigest(), name


def test_alternatives_lead_where_they_lead_on_the_host(submit):
    code = """
import os
folder = "/etc/alternatives/"
result = [[name, os.path.realpath(folder + name)]
          for name in sorted(os.listdir(folder)) if os.path.exists(folder + name)][:200]
"""
    if not os.path.isdir("/etc/alternatives"):
        pytest.skip("not on this machine")
    found = value(submit("code.python", code))
    assert found
    for name, path in found:
        assert os.path.realpath("/etc/alternatives/" + name) == path


def test_both_names_of_the_random_device_work(submit):
    code = """
import os, stat
result = []
for name in ("random", "urandom"):
    with open("/dev/" + name, "rb", buffering=0) as file:
        result += [len(file.read(32)), stat.S_ISCHR(os.fstat(file.fileno()).st_mode)]
"""
    assert value(submit("code.python", code)) == [32, True, 32, True]
