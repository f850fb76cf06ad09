# SPDX-License-Identifier: MIT
"""The doors to Redis and PostgreSQL against the servers' own benchmarks, in one run."""
import os
import re
import subprocess
import tempfile

import psycopg2
from gantry_testing import servers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOORS = os.path.join(ROOT, "build/release/bench/doors")


def ours(*words):
    return float(
        subprocess.run([DOORS, *map(str, words)], check=True, capture_output=True, text=True).stdout
    )


def row(what, rate, bare, against):
    print(f"{what}\t{rate:.0f}\t/s\t{rate / bare:.2f} of {bare:.0f}/s: {against}", flush=True)


def redis():
    with servers.redis() as server:
        for flight in (1, 64):
            count = 20000 * (1 if flight == 1 else 20)
            done = subprocess.run(
                [
                    "redis-benchmark",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(server.port),
                    "--user",
                    "tester",
                    "-a",
                    "secret",
                    "-c",
                    "1",
                    "-P",
                    str(flight),
                    "-n",
                    str(count),
                    "-t",
                    "set",
                    "--csv",
                ],
                check=True,
                capture_output=True,
                text=True,
            )
            bare = float(re.search(r'"SET","([0-9.]+)"', done.stdout).group(1))
            row(
                f"Redis SET through the door, {flight} in flight",
                ours("redis", server.url, count, flight),
                bare,
                f"redis-benchmark -c 1 -P {flight}",
            )


def pgbench(url, script, seconds=3):
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(
            [
                servers.postgres_bin("pgbench"),
                "-n",
                "-M",
                "prepared",
                "-f",
                file.name,
                "-T",
                str(seconds),
                url,
            ],
            check=True,
            capture_output=True,
            text=True,
        )
    return float(re.search(r"tps = ([0-9.]+)", done.stdout).group(1))


def postgres():
    with servers.postgres() as server:
        with psycopg2.connect(server.url) as connection:
            connection.cursor().execute("CREATE TABLE bench (a bigint)")
        bare = pgbench(server.url, "SELECT 1;\n")
        row(
            "PostgreSQL SELECT 1 through the door",
            ours("select", server.url, 20000),
            bare,
            "pgbench -M prepared",
        )
        # libpq's own pipeline needs no pgbench syntax newer than 14.
        for size in (1, 50):
            inserts = "INSERT INTO bench VALUES (1);\n" * size
            setting = "SELECT set_config('gantry.workspace', 'w', true);\n"
            bare = size * pgbench(
                server.url, f"\\startpipeline\nBEGIN;\n{setting}{inserts}COMMIT;\n\\endpipeline\n"
            )
            rate = ours("postgres", server.url, 20000 // size, size)
            row(
                f"PostgreSQL rows inserted through the door, {size} a transaction",
                rate,
                bare,
                "pgbench with a pipeline",
            )


redis()
postgres()
