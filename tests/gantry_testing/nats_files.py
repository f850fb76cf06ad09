# SPDX-License-Identifier: MIT
"""A nats-server that runs with nats/server.conf as it is, with the streams and consumers of
nats/."""

import base64
import binascii
import contextlib
import glob
import json
import os
import re
import shutil
import struct

from . import servers
from .nats import Nats

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
USERS = [
    "operator",
    "gateway",
    "ingest",
    "search",
    "audit",
    "executor",
    "connector",
    "callout",
    "kick",
]

ACCOUNTS = [
    "GANTRY",
    "GATEWAY",
    "INGEST",
    "SEARCH",
    "AUDIT",
    "EXECUTOR",
    "CONNECTOR",
    "CLIENTS",
    "AUTH",
    "KICK",
    "SYS",
]


def account_nkey(public_key):
    """The text of an account's public key: base32 of a kind, the key and a CRC-16."""
    raw = b"\0" + public_key
    return base64.b32encode(raw + struct.pack("<H", binascii.crc_hqx(raw, 0))).decode().rstrip("=")


def _watch(block):
    """The account's block with its watcher; blocks of other things stay as they are."""
    account, text = block[1], block[0]
    user = f"{{ user: watch_{account}, password: pwatch_{account} }}\n"
    if account not in ACCOUNTS:
        return text
    return (
        text.replace("users: [", "users: [ " + user, 1)
        if "users: [" in text
        else text + f"        users: [ {user}]\n"
    )


class NatsServer(servers.Server):
    def url(self, user):
        return f"nats://{user}:p{user}@127.0.0.1:{self.port}"

    def connect(self, user="operator"):
        return contextlib.closing(Nats(self.url(user), inbox=f"_INBOX.{user}"))


@contextlib.contextmanager
def server(extra_users="", watched=False):
    """extra_users: users of the account CLIENTS, in the words of the configuration. watched: one
    more user in each account, watch_<account>, who may do there whatever the account can."""
    with servers.scratch() as directory:
        for path in glob.glob(os.path.join(ROOT, "nats/*.conf")):
            shutil.copy(path, directory)
        config = os.path.join(directory, "server.conf")
        with open(config) as f:
            text = f.read()
        with open(config, "w") as f:
            text = text.replace(
                "    CLIENTS {", "    CLIENTS {\n        users: [" + extra_users + "]"
            )
            f.write(
                re.sub(r"^    (\w+) \{\n.*?(?=^    \})", _watch, text, flags=re.M | re.S)
                if watched
                else text
            )
        callout = os.path.join(directory, "callout.conf")
        with open(callout) as f:
            text = f.read()
        with open(callout, "w") as f:  # nobody answers the callout here: all users are static
            names = "".join(f", {name}" for name in re.findall(r"user: (\w+)", extra_users))
            names += "".join(f", watch_{account}" for account in ACCOUNTS if watched)
            f.write(text.replace("callout, kick ]", f"callout, kick{names} ]"))
        port = servers.free_port()
        env = {
            "NATS_LISTEN": f'"127.0.0.1:{port}"',
            "NATS_HTTP": f'"127.0.0.1:{servers.free_port()}"',
            "NATS_STORE_DIR": f'"{directory}/store"',
            "JETSTREAM_KEY": '"0123456789abcdef0123456789abcdef"',
        }
        env["CALLOUT_ISSUER"] = account_nkey(bytes(32))
        env.update({f"NATS_PASSWORD_{user.upper()}": f"p{user}" for user in USERS})
        command = (
            ["env"]
            + [f"{k}={v}" for k, v in env.items()]
            + [servers.lend(directory, servers.nats_server(), "nats-server"), "-c", config]
        )
        running = NatsServer(command, port, directory, os.path.join(directory, "log"))
        running.start()
        try:
            yield running
        finally:
            running.stop()


def bodies(kind):
    for path in sorted(glob.glob(os.path.join(ROOT, "nats", kind, "*.json"))):
        with open(path) as f:
            yield path, f.read()


def provision(running, workspaces=()):
    """What `gantry provision` does, by hand."""
    with running.connect("operator") as client:
        for _, text in bodies("streams"):
            taken(client.api(f"STREAM.CREATE.{json.loads(text)['name']}", text))
        for path, text in bodies("consumers"):
            if not path.endswith(".template.json"):
                make_consumer(client, text)
        for workspace in workspaces:
            provision_workspace(client, workspace)


def provision_workspace(client, workspace):
    """What `gantry workspace create` does about consumers."""
    for path, text in bodies("consumers"):
        if path.endswith(".template.json"):
            make_consumer(client, text.replace("@WORKSPACE@", workspace))


def make_consumer(client, body):
    consumer = json.loads(body)
    stream, name = consumer["stream_name"], consumer["config"]["durable_name"]
    taken(client.api(f"CONSUMER.DURABLE.CREATE.{stream}.{name}", body))


def taken(answer):
    assert "error" not in answer, answer
