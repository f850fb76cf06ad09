# SPDX-License-Identifier: MIT
"""The vectors' kernels of another processor, where its compiler and an emulator are installed
(Debian: gcc-aarch64-linux-gnu, qemu-user)."""

import shutil
import subprocess

import pytest
from gantry_testing.stack import ROOT

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"


@pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR)),
    reason=f"{COMPILER} or {EMULATOR} is not installed",
)
def test_neon(tmp_path):
    program = tmp_path / "dot_kernels"
    subprocess.run(
        [
            COMPILER, "-std=gnu2x", "-O2", "-Wall", "-Wextra", "-Werror", "-static",
            f"-I{ROOT}/common", f"-I{ROOT}/workers/search", "-o", program,
            f"{ROOT}/tests/integration/dot_kernels.c", f"{ROOT}/workers/search/index/dot.c",
        ],
        check=True,
        timeout=300,
    )  # fmt: skip
    done = subprocess.run([EMULATOR, program], capture_output=True, text=True, timeout=300)
    assert done.stdout == "neon agrees\n"
    assert done.returncode == 0
