# SPDX-License-Identifier: MIT
"""Where a text is found in what a stack keeps: files (logs, streams, databases, core files), rows,
messages, Redis."""

import base64
import contextlib
import os
import pathlib

import redis

from .streams import stored

STREAMS = ("MEMORY", "TASKS", "CONNECTOR", "AUDIT", "DEAD")


def forms(text):
    """As it may stand there: as it is, in hexadecimal digits (bytea), or within base64 at each of
    the three places that it can begin at."""
    data = text.encode()
    found = [data, data.hex().encode()]
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + data)
        found.append(coded[(0, 2, 3)[shift] : len(coded) - 4])
    return found


def rows(stack):
    """(table, its rows as text) of every table."""
    with stack.database() as db, db.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            yield table, "\n".join(row[0] for row in cursor.fetchall()).encode()


def values(kv):
    """(key, all that it holds) of every key of Redis, as the server has it, not packed."""
    read = {
        b"string": kv.get,
        b"hash": kv.hgetall,
        b"list": lambda key: kv.lrange(key, 0, -1),
        b"set": kv.smembers,
        b"zset": lambda key: kv.zrange(key, 0, -1),
        b"stream": kv.xrange,
    }
    for key in kv.scan_iter():
        if (kind := kv.type(key)) != b"none":  # it has expired
            yield f"Redis {key}", key + repr(read[kind](key)).encode()


def files(directory):
    """(path, content) of every file; the servers run, and may have removed one by now."""
    for folder, _, names in os.walk(directory):
        for path in (pathlib.Path(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and path.parts[-2] != "secrets":
                    yield str(path), path.read_bytes()


def everything(stack):
    yield from files(stack.directory)
    for table, text in rows(stack):
        yield f"table {table}", text
    with redis.Redis.from_url(stack.redis_url()) as kv:
        yield from values(kv)
    with contextlib.closing(stack.operator()) as nats:
        for stream in STREAMS:
            for subject, headers, data in stored(nats, stream):
                yield f"stream {stream}", f"{subject} {headers}".encode() + data


def places(stack, texts):
    """text -> the places that have it."""
    found = {text: [] for text in texts}
    wanted = {text: forms(text) for text in texts}
    for place, data in everything(stack):
        for text in texts:
            if any(form in data for form in wanted[text]):
                found[text].append(place)
    return found
