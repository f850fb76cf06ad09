# SPDX-License-Identifier: MIT
"""Texts like memories, by workspace: every workspace has topics of its own, words follow a skewed
distribution, and some are common to all. And the builtin embedding, straight from its C source."""
import ctypes
import os
import random
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SYLLABLES = (
    "ka lo mi ter an sor bel qui dra ven pol ist ment ra ci ent or hu ge far ti on du pre con"
    " al ex im ser vi"
).split()
COMMON = (
    "the a is of to in and for on with prefers uses said needs wants likes works from when deploy"
    " server meeting user project error report email config updated customer monday fixed"
).split()


def _vocabulary():
    rng = random.Random(7)
    return sorted(
        {"".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 4))) for _ in range(20000)}
    )


VOCABULARY = _vocabulary()


class Workspace:
    """An endless source of texts, the same for the same seed."""

    def __init__(self, seed, topics=40):
        self.rng = random.Random(seed)
        self.topics = [self.rng.sample(VOCABULARY, 150) for _ in range(topics)]

    def text(self):
        rng, words = self.rng, []
        topic = rng.choice(self.topics)
        for _ in range(rng.randint(6, 40)):
            kind = rng.random()
            if kind < 0.4:
                words.append(rng.choice(COMMON))
            elif kind < 0.9:
                words.append(topic[min(int(rng.expovariate(1 / 25)), 149)])
            else:
                words.append(rng.choice(VOCABULARY))
        return " ".join(words)

    def texts(self, n):
        return [self.text() for _ in range(n)]


class Embedding:
    DIM = 256

    def __init__(self, directory):
        library = os.path.join(directory, "embed.so")
        sources = [
            os.path.join(ROOT, "common", "embed", f) for f in ("embed_builtin.c", "embed_static.c")
        ]
        # The log is not wanted here; what it does when memory runs out is.
        stand_in = (
            b"#include <stdlib.h>\n"
            b"_Noreturn void log_no_memory(const char *what) { (void)what; abort(); }"
        )
        subprocess.run(
            [
                "gcc",
                "-std=gnu2x",
                "-D_GNU_SOURCE",
                "-O2",
                "-shared",
                "-fPIC",
                "-I" + os.path.join(ROOT, "common"),
                "-o",
                library,
                *sources,
                "-x",
                "c",
                "-",
                "-lm",
            ],
            input=stand_in,
            check=True,
            cwd=ROOT,
        )
        self.call = ctypes.CDLL(library).embed_builtin
        self.call.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]

    def vector(self, text):
        out = (ctypes.c_float * self.DIM)()
        data = text.encode()
        self.call(data, len(data), out)
        return list(out)

    def literal(self, text):
        return "[" + ",".join("%.6g" % x for x in self.vector(text)) + "]"
