# SPDX-License-Identifier: MIT
"""Prints where a file of the tree holds a credential. File names come on standard input.

Found are private keys with a body, API keys of ours with a right checksum, and passwords in URLs.
Unit tests and the fuzz corpus may hold them as vectors: each was made up for its test and opens
nothing.
"""
import re
import sys
import zlib

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VECTOR_FOLDERS = ("tests/unit/", "tests/fuzz/corpus/")
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\\n|\s|\"|')+(?:[A-Za-z0-9+/=]{60,})"
)
OUR_KEY = re.compile(r"relay_sk_([0-9A-Za-z]{50})(?![0-9A-Za-z])")
PASSWORD_IN_URL = re.compile(r"\b(?:postgres(?:ql)?|redis|rediss|nats|amqp)://[^\s:/@'\"$<{]+:([0-9a-f]{32,})@")


def checksum(text):
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = BASE62[digit] + digits
    return digits


def main():
    for path in sys.stdin.read().splitlines():
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        vectors = path.startswith(VECTOR_FOLDERS)
        for pattern, name in (
            (PRIVATE_KEY, "private key"),
            (PASSWORD_IN_URL, "password in a URL"),
            (OUR_KEY, "API key"),
        ):
            for match in pattern.finditer(text):
                key = match.group(0)
                if pattern is OUR_KEY and checksum(key[:53]) != key[53:]:
                    continue
                if vectors:
                    continue
                line = text.count("\n", 0, match.start()) + 1
                print(f"{path}:{line}: {name}")


main()
