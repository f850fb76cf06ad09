# SPDX-License-Identifier: MIT
"""10,000 requests a second with wrong keys, well-formed and with the right checksum, while right keys
work. The load generator shares the machine, so the measure is the same number of requests that need no
key (/healthz)."""
import multiprocessing
import os
import random
import re
import select
import socket
import statistics
import time
import zlib

import pytest

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RATE = int(os.environ.get("FLOOD_RATE", "10000"))
SECONDS = float(os.environ.get("FLOOD_SECONDS", "4"))
CONNECTIONS = 320


def checksum(body):
    crc, text = zlib.crc32(body.encode()), ""
    for _ in range(6):
        text, crc = DIGITS[crc % 62] + text, crc // 62
    return body + text


def made_up(rng, key_id=None):
    word = "".join(rng.choices(DIGITS, k=44))
    return checksum("relay_sk_" + (key_id or word[:12]) + word[12:])


def flood(port, requests, seconds, rate, result):
    """Send them over a few connections at that rate; count the answers by status."""
    links = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    for link in links:
        link.setblocking(False)
    by_fd = {link.fileno(): (link, index) for index, link in enumerate(links)}
    poll = select.epoll()
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    waiting, tails, statuses = [b""] * CONNECTIONS, [b""] * CONNECTIONS, {}
    start, sent, answered = time.monotonic(), 0, 0
    while True:
        now = time.monotonic() - start
        if now > seconds and (answered >= sent or now > seconds + 3):
            break
        due = min(int(min(now, seconds) * rate), sent + 400) - sent
        for _ in range(due if sent - answered < 4000 else 0):
            index = sent % CONNECTIONS
            waiting[index] += requests[sent % len(requests)]
            sent += 1
        for index, data in enumerate(waiting):
            if data:
                try:
                    waiting[index] = data[links[index].send(data):]
                except BlockingIOError:
                    pass
        for fd, _ in poll.poll(1):
            link, index = by_fd[fd]
            data = tails[index] + link.recv(262144)
            for status in re.findall(rb"HTTP/1\.1 (\d\d\d)", data):
                statuses[status.decode()] = statuses.get(status.decode(), 0) + 1
                answered += 1
            tails[index] = data[-11:] if not data[-11:].startswith(b"HTTP/1.1") else data[-10:]
    result.put((sent, answered, time.monotonic() - start, statuses))


def lines(path, keys, stack):
    return [f"GET {path} HTTP/1.1\r\nHost: x\r\n{key}\r\n".encode() for key in keys]


def during(stack, requests, measure):
    """Run measure() while requests pour in; returns its answer and the flood's figures."""
    result = multiprocessing.Queue()
    process = multiprocessing.Process(target=flood, args=(int(stack.ports["GATEWAY_PORT"]), requests, SECONDS, RATE, result))
    process.start()
    time.sleep(0.5)
    answer = measure()
    figures = result.get(timeout=SECONDS + 30)
    process.join()
    return answer, figures


def p99(stack, seconds=SECONDS - 1):
    client, times, end = stack.client("viewer"), [], time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        client.get("/memory?limit=1").ok()
        times.append((time.perf_counter() - start) * 1000)
        time.sleep(0.004)
    times.sort()
    return times[int(len(times) * 0.99)], statistics.median(times)


def memory_kb(stack):
    with open(f"/proc/{stack.pid('gateway')}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


@pytest.fixture(scope="module")
def flooded(make_stack):
    return make_stack()


def test_right_keys_work_through_a_flood_of_wrong_ones(flooded):
    stack, rng = flooded, random.Random(7)
    known = stack.key("viewer")[9:21]
    wrong = lines("/memory", [f"X-API-Key: {made_up(rng, known if i % 50 == 0 else None)}\r\n" for i in range(60000)], stack)
    harmless = lines("/healthz", [""], stack)
    p99(stack, 1)
    alone = p99(stack, 2)
    even, even_figures = during(stack, harmless, lambda: p99(stack))
    # Below 50 ms the load generator, which has one of a small machine's cores, decides.
    bound, best, before = 2 * max(even[0], alone[0], 25.0), None, None
    for attempt in range(3):  # the machine may be busy with something else: the best of three counts
        seen, figures = during(stack, wrong, lambda: p99(stack))
        sent, answered, _, statuses = figures
        print(f"p99 / p50 of a right key, ms: alone {alone[0]:.2f}/{alone[1]:.2f},"
              f" with {even_figures[1] / SECONDS:.0f}/s of /healthz {even[0]:.2f}/{even[1]:.2f},"
              f" with {answered / SECONDS:.0f}/s of wrong keys {seen[0]:.2f}/{seen[1]:.2f}; {statuses};"
              f" memory {memory_kb(stack)} kB")
        # What waits for Argon2 holds up its own connection, and nobody else's.
        assert answered > sent * 0.7 and set(statuses) <= {"401", "503"}, figures
        best = min(best or seen[0], seen[0])
        before = before or memory_kb(stack)
        if attempt and best < bound:
            break
    assert best < bound
    assert memory_kb(stack) - before < 8192


def test_a_key_never_seen_gets_in_during_a_flood(flooded):
    stack, rng = flooded, random.Random(8)
    known = stack.key("viewer")[9:21]
    wrong = lines("/memory", [f"X-API-Key: {made_up(rng, known)}\r\n" for _ in range(20000)], stack)
    fresh = [stack.gantry("key", "create", "--workspace", "default", "--role", "viewer")["key"] for _ in range(5)]

    def first_requests():
        times = []
        for number, key in enumerate(fresh):
            start = time.monotonic()
            while True:  # 503 means: too many wait, try again
                answer = stack.anonymous().get("/memory?limit=1", x_api_key=key, x_forwarded_for=f"10.0.0.{number + 1}")
                if answer.status != 503 or time.monotonic() - start > 5:
                    break
                time.sleep(0.05)
            answer.ok()
            times.append(time.monotonic() - start)
        return times

    times, figures = during(stack, wrong, first_requests)
    print("first requests of new keys during a flood of one address:", [f"{t * 1000:.0f} ms" for t in times], figures[3])
    assert max(times) < 5
