# SPDX-License-Identifier: MIT
"""Requests at a constant rate (tests/bench/http_rate.c), with right keys or with made-up ones."""
import subprocess
import tempfile
import zlib

from .building import make
from .stack import ROOT

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def made_up(rng, key_id=None):
    """A key that nobody has, well-formed and with the right checksum."""
    word = "".join(rng.choices(DIGITS, k=44))
    body = "relay_sk_" + (key_id or word[:12]) + word[12:]
    crc, text = zlib.crc32(body.encode()), ""
    for _ in range(6):
        text, crc = DIGITS[crc % 62] + text, crc // 62
    return body + text


class Requests:
    """GET path at so many a second, begun at once; keys: shown in turn, None: no key."""

    def __init__(self, port, path, keys, rate, seconds, connections):
        program = ROOT / "build/release/bench/http_rate"
        make(program.relative_to(ROOT))
        self._keys = tempfile.NamedTemporaryFile("w", suffix=".keys")
        self._keys.writelines(key + "\n" for key in keys or [])
        self._keys.flush()
        words = [program, port, path, self._keys.name if keys else "-", rate, seconds, connections]
        self._run = subprocess.Popen(
            [str(word) for word in words], stdout=subprocess.PIPE, text=True
        )

    def done(self):
        """Wait for the end; then .rate, .p50, .p99 (microseconds), .due, .statuses."""
        out = self._run.communicate()[0].split()
        assert self._run.returncode == 0, "http_rate failed"
        self._keys.close()
        self.rate, self.p50, self.p99, self.worst, self.due = map(int, out[:5])
        self.statuses = {
            int(word.partition(":")[0]): int(word.partition(":")[2]) for word in out[5:]
        }
        return self
