# SPDX-License-Identifier: MIT
"""What `make up`, `down` and `status` promise (contract, section 1)."""
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.request

import pytest
from gantry_testing.echo import PROGRAMS, actor_key
from gantry_testing.stack import ROOT, Stack, free_ports
from gantry_testing.wait import promised, slowness, wait_until

PARTS = ["audit", "executor", "gateway", "ingest", "nats", "postgres", "redis", "search"]
VARIABLES = {
    "GANTRY_URL",
    "GANTRY_ADMIN_URL",
    "GANTRY_API_KEY",
    "NATS_URL",
    "GANTRY_NATS_OPERATOR_URL",
    "NATS_MONITOR_URL",
    "DATABASE_URL",
    "DATABASE_SUPERUSER_URL",
    "REDIS_URL",
    "GANTRY_AUDIT_VKEY",
    "GANTRY_PIDS_DIR",
}


@pytest.fixture(scope="module")
def own(make_stack):
    return make_stack()


def make(stack, target, **env):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", target], cwd=ROOT, capture_output=True, text=True, timeout=600,
        env={**clean, "STACK_DIR": str(stack.directory), **stack.ports, **env},
    )


def pids(stack):
    return {name: stack.pid(name) for name in stack.names()}


def environment(stack, name):
    """The variables that the start script of a process exports."""
    script = (stack.directory / "services" / name).read_text()
    pairs = [line[7:].split("=", 1) for line in script.splitlines() if line.startswith("export ")]
    return {name: value.strip("'") for name, value in pairs}


def remember(stack, text):
    body = {"scope": "user:1", "text": text}
    answer = stack.client().post("/webhook/memory/ingest", body, prefer="wait=60")
    return answer.ok().json["id"]


def test_every_part_runs_and_the_env_file_says_where(own):
    assert own.names() == PARTS
    file = own.directory / "env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {name for name, value in own.env.items() if value} == VARIABLES
    shell = subprocess.run(["sh", "-c", f". {file} && env"], capture_output=True, text=True)
    assert f"GANTRY_API_KEY={own.api_key}" in shell.stdout.splitlines()
    assert "@" not in own.env["NATS_URL"]


def test_a_second_make_up_changes_nothing_and_is_quick(own):
    before, key = pids(own), own.api_key
    start, used = time.monotonic(), sum(os.times()[2:4])
    done = make(own, "up")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < promised(3)
    assert sum(os.times()[2:4]) - used < 2 * slowness()
    own.read_env()
    assert pids(own) == before
    assert own.api_key == key
    assert "starting" not in done.stderr


def test_make_up_repairs_what_is_down_and_leaves_the_rest(own):
    before = pids(own)
    supervisor = int((own.directory / "supervisor.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    own.kill("ingest")
    time_of_death = time.monotonic()
    wait_until(lambda: not pathlib.Path(f"/proc/{before['ingest']}").exists(), 10)
    assert make(own, "status").returncode != 0
    assert make(own, "up").returncode == 0
    after = pids(own)
    assert after.pop("ingest") != before.pop("ingest")
    assert after == before
    assert make(own, "status").returncode == 0
    assert time.monotonic() - time_of_death < promised(20)


@pytest.mark.parametrize("name", PARTS)
def test_whatever_part_is_killed_comes_back(own, name):
    kept = remember(own, f"before the end of {name}")
    own.restart(name)
    answer = wait_until(lambda: own.client().get(f"/memory/{kept}").ok(), 20)
    assert answer.json["content"] == f"before the end of {name}"


def test_a_server_that_forgot_how_far_a_stream_had_come(own):
    """What kill -9 leaves in the instant in which a work queue becomes empty: no block, no
    index."""
    for number in range(4):
        remember(own, f"before the sequence was lost {number}")
    own.take_down("nats")
    for file in (own.directory / "data/nats/jetstream/GANTRY/streams/MEMORY/msgs").iterdir():
        file.unlink()
    own.bring_back("nats")
    for number in range(3):
        body = {"scope": "user:1", "text": f"after the sequence was lost {number}"}
        tries = (
            own.client().post("/webhook/memory/ingest", body, prefer="wait=60")
            for _ in itertools.count()
        )
        wait_until(lambda: (answer := next(tries)).status != 503 and answer, 20).ok(200)


def test_what_was_settled_out_of_order_and_came_back_is_settled_again(own):
    """A kill can bring back what was removed last. The consumer, which takes it for settled, shows
    that only when it has settled all before."""
    messages = own.directory / "data/nats/jetstream/GANTRY/streams/MEMORY/msgs"
    saved = own.directory / "data/nats/saved"

    def waiting():
        with contextlib.closing(own.operator()) as operator:
            return operator.api("STREAM.INFO.MEMORY")["state"]["messages"]

    def send(text):
        body = {"scope": "user:1", "text": text}
        answer = own.client().post("/webhook/memory/ingest", body, prefer="respond-async")
        return answer.ok(202).json["id"]

    wait_until(lambda: waiting() == 0, 60, "nothing waits")
    own.take_down("ingest")
    early = send("in hand when the server was killed")
    with contextlib.closing(own.operator()) as operator:
        subject = "$JS.API.CONSUMER.MSG.NEXT.MEMORY.ingest_default"
        in_hand = operator.request(subject, b'{"batch": 1}').reply
    late = send("settled when the server was killed")
    own.take_down("nats")
    subprocess.run(["cp", "-a", messages, saved], check=True)
    own.bring_back("nats", ready=False)
    own.bring_back("ingest")
    wait_until(lambda: own.client().get(f"/memory/{late}").status == 200, 60, "it is stored")
    wait_until(lambda: waiting() == 1, 60, "it is settled")
    own.take_down("ingest")
    own.take_down("nats")
    shutil.rmtree(messages)
    saved.rename(messages)
    own.bring_back("nats", ready=False)
    own.wait_provisioned()
    own.bring_back("ingest")
    assert waiting() == 2
    with contextlib.closing(own.operator()) as operator:
        operator.publish(in_hand, b"-NAK")
        operator.flush()
    wait_until(lambda: own.client().get(f"/memory/{early}").status == 200, 60, "it is stored")
    wait_until(lambda: waiting() == 0, 90, "nothing waits")


def test_streams_outlive_a_young_server_that_was_killed(make_stack):
    """2.10 without its index forgets the key of an encrypted stream, and finds that out a start
    later."""
    stack = make_stack()
    stack.take_down("ingest")
    waiting = (
        stack.client()
        .post(
            "/webhook/memory/ingest", {"scope": "user:1", "text": "waits"}, prefer="respond-async"
        )
        .ok(202)
        .json["id"]
    )
    stack.restart("nats", signal.SIGKILL)
    stack.wait_provisioned()
    stack.restart("nats", signal.SIGTERM)
    stack.restart("nats", signal.SIGKILL)
    stack.bring_back("ingest")
    wait_until(lambda: stack.client().get(f"/memory/{waiting}").ok(), 40)


def test_the_backlog_that_scalers_read(own):
    """KEDA's nats-jetstream scaler asks the monitoring port for the consumer's num_pending."""
    def pending():
        url = own.env["NATS_MONITOR_URL"] + "/jsz?acc=GANTRY&consumers=true&config=true"
        with urllib.request.urlopen(url, timeout=60) as answer:
            account = json.load(answer)["account_details"][0]
        stream = next(one for one in account["stream_detail"] if one["name"] == "MEMORY")
        return next(
            one["num_pending"]
            for one in stream["consumer_detail"]
            if one["name"] == "ingest_default"
        )

    own.take_down("ingest")
    for number in range(3):
        own.client().post(
            "/webhook/memory/ingest",
            {"scope": "lag", "text": f"waits {number}"},
            prefer="respond-async",
        ).ok(202)
    wait_until(lambda: pending() == 3, 10, "three are pending")
    own.bring_back("ingest")
    wait_until(lambda: pending() == 0, 20, "none is pending")


def test_only_loopback_is_listened_on(own):
    listening = {}
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                address, port = words[1].rsplit(":", 1)
                listening.setdefault(str(int(port, 16)), []).append(address)
    for port in own.ports.values():
        assert listening[port] == ["0100007F"]
    inodes = set()
    for pid in pids(own).values():
        for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(link))
            except FileNotFoundError:
                continue
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                assert words[1].startswith("0100007F:")


def sockets_used(stack):
    """How many connections each server's UNIX socket has, by the end of its path."""
    rows = (line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:])
    paths = [words[7] for words in rows if len(words) == 8 and words[5] == "03"]  # 03: connected
    return {
        name: len(
            [path for path in paths if path.endswith(f"{stack.directory.name}/sockets/{name}")]
        )
        for name in ("redis/redis.sock", f"postgres/.s.PGSQL.{stack.ports['POSTGRES_PORT']}")
    }


def test_programs_reach_the_servers_over_sockets_and_people_over_tcp(own):
    assert all(count >= 3 for count in sockets_used(own).values()), sockets_used(own)
    folder = f"{own.directory}/sockets"
    for name in ("gateway", "ingest", "search", "audit"):
        assert environment(own, name)["DATABASE_URL"].endswith(
            f"@/gantry?host={folder}/postgres&port={own.ports['POSTGRES_PORT']}")
    for name in ("gateway", "search", "executor"):
        assert environment(own, name)["REDIS_URL"].endswith(f"@{folder}/redis/redis.sock?db=0")
    for name in ("DATABASE_URL", "DATABASE_SUPERUSER_URL", "REDIS_URL"):
        assert "@127.0.0.1:" in own.env[name]
    assert own.gantry("status")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs users to be")
@pytest.mark.parametrize(
    ("server", "admitted"),
    [
        ("postgres/.s.PGSQL.{port}", {"gateway", "ingest", "search", "audit"}),
        ("redis/redis.sock", {"gateway", "search", "executor"}),
    ],
)
def test_only_the_programs_users_can_connect_to_a_socket(own, server, admitted):
    path = f"{own.directory}/sockets/" + server.format(port=own.ports["POSTGRES_PORT"])
    attempt = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"

    def connects(*as_whom):
        done = subprocess.run(
            ["setpriv", *as_whom, "/usr/bin/python3", "-c", attempt, path],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 or "PermissionError" in done.stderr, done.stderr
        return done.returncode == 0

    for name in ("nats", "gateway", "ingest", "search", "audit", "executor"):
        lines = pathlib.Path(f"/proc/{own.pid(name)}/status").read_text().splitlines()
        fields = {
            line.split(":")[0]: line.split(":")[1].split()
            for line in lines
            if line.startswith(("Uid", "Gid", "Groups"))
        }
        groups = (
            ["--groups", ",".join(fields["Groups"])] if fields["Groups"] else ["--clear-groups"]
        )
        assert connects("--reuid", fields["Uid"][0], "--regid", fields["Gid"][0], *groups) == (
            name in admitted
        ), name
    assert not connects("--reuid", "65534", "--regid", "65534", "--clear-groups")


@pytest.mark.parametrize("name", ["x" * 90, "plus+"])
def test_a_folder_whose_sockets_cannot_be_named_has_tcp(built, name):
    with tempfile.TemporaryDirectory(prefix="gantry-") as outer:
        os.chmod(outer, 0o755)
        with Stack(pathlib.Path(outer) / name) as stack:
            remember(stack, "over TCP")
            assert not any(sockets_used(stack).values())
            assert "@127.0.0.1:" in environment(stack, "ingest")["DATABASE_URL"]
            assert "@127.0.0.1:" in environment(stack, "gateway")["REDIS_URL"]


def test_a_stack_of_tcp_is_changed_by_the_next_make_up(own):
    """What an older make up wrote: the same programs with other URLs."""
    kept = remember(own, "before the sockets")
    service = own.directory / "services/gateway"
    script = service.read_text()
    url = environment(own, "gateway")["REDIS_URL"]
    service.write_text(script.replace(url, own.redis_url("gateway")))
    own.restart("gateway")
    before = own.pid("gateway")
    assert make(own, "up").returncode == 0
    assert own.pid("gateway") != before
    assert environment(own, "gateway")["REDIS_URL"] == url
    assert own.client().get(f"/memory/{kept}").ok().json["content"] == "before the sockets"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the slack of others")
def test_the_timers_of_nats_are_coarse(own):
    slack = {
        name: {
            int(pathlib.Path(f"/proc/{thread}/timerslack_ns").read_text())
            for thread in os.listdir(f"/proc/{pid}/task")
        }
        for name, pid in pids(own).items()
    }
    assert slack.pop("nats") == {1_000_000}
    assert all(some == {50_000} for some in slack.values()), slack


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_as_root_every_part_has_a_user_of_its_own(own):
    users = {name: os.stat(f"/proc/{pid}").st_uid for name, pid in pids(own).items()}
    real = {}
    for name, pid in pids(own).items():
        fields = pathlib.Path(f"/proc/{pid}/status").read_text()
        real[name] = next(
            line.split()[1:] for line in fields.splitlines() if line.startswith("Uid:")
        )
        assert "0" not in real[name], (name, real[name], users)
    assert len({tuple(uids) for uids in real.values()}) == len(PARTS)


def test_a_strangers_port_is_an_error_before_anything_is_written(built, tmp_path):
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        stack = Stack(tmp_path / "stack")
        stack.ports["REDIS_PORT"] = str(stranger.getsockname()[1])
        done = make(stack, "up")
    assert done.returncode != 0
    assert "REDIS_PORT" in done.stderr
    assert "in use" in done.stderr
    assert not (tmp_path / "stack").exists()


@pytest.mark.parametrize(
    "given",
    [
        {"GATEWAY_PORT": "0"},
        {"GATEWAY_PORT": "70000"},
        {"GATEWAY_PORT": "08080"},
        {"NATS_PORT": "http"},
        {"ADMIN_PORT": "4200", "REDIS_PORT": "4200"},
        {"EXECUTOR": "61"},
        {"INGEST": "-1"},
    ],
)
def test_nonsense_is_an_error_before_anything_is_written(built, tmp_path, given):
    stack = Stack(tmp_path / "stack")
    done = make(stack, "up", **given)
    assert done.returncode != 0
    assert any(f"{name}={value}" in done.stderr for name, value in given.items())
    assert not (tmp_path / "stack").exists()


def test_settings_are_passed_on_and_kept(own):
    assert environment(own, "gateway")["ALLOW_ACTIONS_DEFAULT"] == "ping,health_check"
    before = pids(own)
    assert make(own, "up", SYNC_WAIT_MS="4321", REGION="it's \"here\"").returncode == 0
    assert pids(own)["gateway"] != before["gateway"]
    assert pids(own)["nats"] == before["nats"]
    assert make(own, "up").returncode == 0
    assert environment(own, "gateway")["SYNC_WAIT_MS"] == "4321"
    assert make(own, "up", ALLOW_ACTIONS_DEFAULT="").returncode == 0
    assert environment(own, "gateway")["ALLOW_ACTIONS_DEFAULT"] == ""
    assert (
        make(
            own, "up", ALLOW_ACTIONS_DEFAULT="ping,health_check", REGION="", SYNC_WAIT_MS="10000"
        ).returncode
        == 0
    )


def test_replicas_come_and_go(own):
    assert make(own, "up", INGEST="3", EXECUTOR="2").returncode == 0
    assert own.names() == sorted(PARTS + ["ingest-2", "ingest-3", "executor-2"])
    for _ in range(2):  # what failed before the last word does not count
        assert make(own, "up", LOG_LEVEL="loud").returncode != 0
        done = make(own, "up", LOG_LEVEL="info")
        assert done.returncode == 0, done.stderr
    assert make(own, "up", INGEST="1", EXECUTOR="1").returncode == 0
    assert own.names() == PARTS


def test_a_configuration_error_is_not_retried_and_is_shown(own):
    done = make(own, "up", LOG_LEVEL="loud")
    assert done.returncode != 0
    assert "LOG_LEVEL" in done.stderr
    wait_until(lambda: "exit 100" in make(own, "status").stdout, 20)
    assert "LOG_LEVEL" in make(own, "status").stdout
    assert make(own, "up", LOG_LEVEL="info").returncode == 0
    assert make(own, "status").returncode == 0


def test_the_key_of_claims_is_rotated(own):
    """Each worker has its own key, and after a rotation the one before beside it. The gateway,
    which uses the new one, starts after them."""
    secrets = own.directory / "secrets"

    def keys():
        return [
            bytes.fromhex((secrets / name).read_text().strip())
            for name in ("ACTOR_SIGNING_KEY", "ACTOR_SIGNING_KEY_PREVIOUS")
            if (secrets / name).exists()
        ]

    now, = keys()
    for program in PROGRAMS:
        found = environment(own, program)
        assert found["ACTOR_KEY"] == actor_key(program, now).hex()
        assert not {"ACTOR_SIGNING_KEY", "ACTOR_KEY_PREVIOUS", "ACTOR_PUBLIC_KEY"} & set(found)
    (secrets / "ACTOR_SIGNING_KEY").rename(secrets / "ACTOR_SIGNING_KEY_PREVIOUS")
    (secrets / "ACTOR_PUBLIC_KEY").write_text("22" * 32 + "\n")  # as the version before had made it
    done = make(own, "up")
    assert done.returncode == 0, done.stderr
    restarted = [
        line.split()[-1].rstrip(":")
        for line in done.stderr.replace(": its program", ":\n").splitlines()
        if "restarting" in line
    ]
    assert set(restarted) == {*PROGRAMS, "gateway"}, done.stderr
    assert restarted[-1] == "gateway", done.stderr
    new, before = keys()
    assert before == now != new
    for program in PROGRAMS:
        found = environment(own, program)
        assert found["ACTOR_KEY"] == actor_key(program, new).hex()
        assert found["ACTOR_KEY_PREVIOUS"] == actor_key(program, before).hex()
        assert found["ACTOR_PUBLIC_KEY"] == "22" * 32
    assert not {name for name in environment(own, "gateway") if name.startswith("ACTOR_KEY")}
    remember(own, "after the rotation")
    assert own.client().search("rotation", scope="user:1").ok().json["results"]
    for name in ("ACTOR_SIGNING_KEY_PREVIOUS", "ACTOR_PUBLIC_KEY"):
        (secrets / name).unlink()
    assert make(own, "up").returncode == 0
    assert "ACTOR_KEY_PREVIOUS" not in environment(own, "ingest")
    remember(own, "with the new key alone")


def test_down_and_up_keep_the_data(own):
    kept = remember(own, "kept over a restart")
    own.down()
    assert own.names() == []
    for port in own.ports.values():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(port))) != 0
    own.up()
    assert own.client().get(f"/memory/{kept}").ok().json["content"] == "kept over a restart"


def test_a_stack_moves_to_other_ports(own):
    kept = remember(own, "kept while the ports change")
    own.down()
    own.ports = dict(zip(own.ports, map(str, free_ports(len(own.ports))), strict=True))
    own.up()
    assert own.env["DATABASE_URL"].endswith(f":{own.ports['POSTGRES_PORT']}/gantry")
    assert own.client().get(f"/memory/{kept}").ok().json["content"] == "kept while the ports change"
    assert own.gantry("audit", "verify")


def test_two_stacks_side_by_side_and_below_a_closed_folder(own, built):
    closed = pathlib.Path(tempfile.mkdtemp(prefix="gantry-closed-"))  # 0700, as /root is
    with Stack(closed / "a stack") as other:
        kept = remember(other, "in the other stack")
        lines = [line for line in make(other, "up").stdout.splitlines() if line.startswith("  . ")]
        for line, word in zip(lines, ("Memory ingested", "Alice likes green tea."), strict=True):
            assert (
                word
                in subprocess.run(
                    ["sh", "-c", line], cwd=ROOT, capture_output=True, text=True
                ).stdout
            )
        assert own.client().get(f"/memory/{kept}").status == 404
        assert own.api_key != other.api_key
    assert list(closed.iterdir()) == []
    closed.rmdir()
    own.wait_ready()


def test_the_five_programs_are_small(make_stack):
    stack = make_stack()

    def peak_kib(name):
        status = pathlib.Path(f"/proc/{stack.pid(name)}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0])

    peaks = {name: peak_kib(name) for name in ("gateway", "ingest", "search", "audit", "executor")}
    print(peaks, sum(peaks.values()), "KiB together")
    assert sum(peaks.values()) < 100 * 1024, peaks
