# SPDX-License-Identifier: MIT
"""Who may do what in NATS, written from the contract and not from nats/server.conf, and the whole
list of subjects to try."""

STREAMS = ["MEMORY", "TASKS", "AUDIT", "DEAD", "CONNECTOR"]
COMMANDS = {  # contract, section 5: subject -> scope
    "memory.search": "memory:read",
    "memory.get": "memory:read",
    "memory.list": "memory:read",
    "memory.ingest": "memory:write",
    "memory.patch": "memory:write",
    "memory.delete": "memory:delete",
    "memory.forget": "memory:delete",
    "audit.append": "audit:write",
    "audit.list": "audit:read",
    "audit.checkpoint": "audit:read",
    "audit.proof": "audit:read",
    "audit.consistency": "audit:read",
    "executor.run": "actions:execute",
    "connector.run": "actions:execute",
    "jobs.cancel": "actions:execute",
    "jobs.list": "actions:preview",
    "jobs.get": "actions:preview",
    "actions.list": "actions:preview",
}
EVENTS = {
    "memory": "memory:write",
    "audit": "audit:write",
    "job": "actions:preview",
}  # family of .done -> scope
VIEWER = {"actions:preview", "memory:read"}
DEVELOPER = VIEWER | {"actions:execute", "memory:write", "audit:write"}
ROLES = {
    "viewer": VIEWER,
    "developer": DEVELOPER,
    "admin": DEVELOPER | {"audit:read", "memory:delete"},
}

ID = "0190a0b0-c0d0-7000-8000-abcdef012345"
API = [
    "$JS.API.INFO",
    "$JS.API.ACCOUNT.PURGE.GANTRY",
    "$JS.API.SERVER.REMOVE",
    "$JS.API.META.LEADER.STEPDOWN",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.CREATE.MINE",
]
API += [
    f"$JS.API.STREAM.{verb}.{stream}"
    for stream in STREAMS
    for verb in (
        "INFO",
        "UPDATE",
        "DELETE",
        "PURGE",
        "SNAPSHOT",
        "RESTORE",
        "MSG.GET",
        "MSG.DELETE",
        "LEADER.STEPDOWN",
        "PEER.REMOVE",
    )
]
API += [
    f"$JS.API.CONSUMER.{verb}.{stream}"
    for stream in STREAMS
    for verb in ("CREATE", "LIST", "NAMES")
]
API += [
    f"$JS.API.CONSUMER.{verb}.{stream}.{consumer}"
    for verb in ("CREATE", "DELETE", "INFO", "MSG.NEXT", "PAUSE", "LEADER.STEPDOWN")
    for stream, consumer in (
        ("MEMORY", "ingest_default"),
        ("AUDIT", "audit_default"),
        ("TASKS", "executor_default"),
        ("DEAD", "mine"),
        ("CONNECTOR", "connector_default"),
    )
]
API += [f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.mine" for stream in STREAMS]
API += [f"$JS.API.DIRECT.GET.{stream}" for stream in STREAMS]
ACKS = [
    f"$JS.ACK.{stream}.{consumer}.1.1.1.1.1"
    for stream, consumer in (
        ("MEMORY", "ingest_default"),
        ("AUDIT", "audit_default"),
        ("TASKS", "executor_default"),
        ("CONNECTOR", "connector_default"),
    )
]
ACKS += ["$JS.FC.MEMORY.ingest_default.x", "$KV.bucket.key", "$O.bucket.C.x", "$MQTT.msgs.x"]
SYSTEM = [
    "$SYS.REQ.USER.AUTH",
    "$SYS.REQ.SERVER.PING.CONNZ",
    "$SYS.REQ.SERVER.x.CONNZ",
    "gantry.sys.connz.x",
    "$SYS.REQ.SERVER.x.KICK",
    "$SYS.REQ.SERVER.x.VARZ",
    "$SYS.REQ.SERVER.x.LDM",
    "$SYS.REQ.SERVER.x.RELOAD",
    "$SYS.REQ.ACCOUNT.GANTRY.CONNZ",
    "$SYS.REQ.CLAIMS.UPDATE",
    "$SYS.REQ.ACCOUNT.GANTRY.CLAIMS.UPDATE",
    "$SYS.ACCOUNT.GANTRY.CONNECT",
]
INTERNAL = [
    "gantry.sys.allowlist.default",
    "gantry.sys.gateway.callout.gantry-callout-x",
    "gantry.sys.executor.x",
    "gantry.sys.executor.cancel",
    "gantry.sys.connector.actions.default",
    f"gantry.sys.jobs.default.{ID}",
    f"gantry.sys.webhooks.default.{ID}",
    "gantry.v2.default.memory.ingest",
    "gantry.v1",
    "anything",
]
INTERNAL += [
    f"gantry.sys.metrics.{program}.x"
    for program in ("gateway", "ingest", "search", "audit", "executor", "connector")
]
INBOXES = [
    f"_INBOX.{name}.x"
    for name in (
        "gateway",
        "ingest",
        "search",
        "audit",
        "executor",
        "connector",
        "callout",
        "kick",
        "operator",
        "AAAAAAAAAAAA",
    )
]
INBOXES += ["_INBOX.x", "_R_.x"]


def of_workspace(workspace):
    subjects = [
        f"gantry.v1.{workspace}.{tail}" for tail in [*COMMANDS, "audit.event", "audit.request"]
    ]
    subjects += [
        f"gantry.v1.{workspace}.audit.request.{program}"
        for program in ("gateway", "ingest", "search", "audit", "executor", "connector")
    ]
    subjects += [
        f"gantry.v1.{workspace}.secrets.{verb}" for verb in ("put", "get", "list", "delete")
    ]
    subjects += [f"gantry.v1.{workspace}.webhooks.{verb}" for verb in ("create", "list", "rotate")]
    subjects += [f"gantry.v1.{workspace}.hooks.{verb}" for verb in ("create", "list", "rotate")]
    subjects += [
        f"gantry.v1.{workspace}.{family}.{ID}.done" for family in ("memory", "audit", "job")
    ]
    subjects += [
        subject
        for family in ("memory", "audit", "job")
        for subject in (
            f"gantry.v1.{workspace}.answers.{family}",
            f"gantry.v1.{workspace}.{family}.{ID}.told",
        )
    ]
    subjects += [
        f"gantry.v1.{workspace}.dead.{program}"
        for program in ("gateway", "ingest", "search", "audit", "executor", "connector")
    ]
    return subjects + [f"gantry.v1.{workspace}.memory", f"gantry.v1.{workspace}.memory.ingest.x"]


UNIVERSE = (
    of_workspace("default") + of_workspace("other") + API + ACKS + SYSTEM + INTERNAL + INBOXES
)

# What each program may publish: its one job. "*" is one token, ">" the rest. Programs that pull may
# answer whoever asked (_R_ is what the server makes of a reply subject of another account, and only
# the operator hears their other inboxes), because the server would otherwise remember the reply
# subject of every delivery.
PROGRAMS = {
    "gateway": [
        *(f"gantry.v1.*.{tail}" for tail in COMMANDS),
        "gantry.v1.*.audit.event",
        "gantry.v1.*.secrets.*",
        "gantry.v1.*.webhooks.*",
        "gantry.v1.*.hooks.*",
        "gantry.sys.connector.hook",
        "gantry.v1.*.audit.request.gateway",
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.*",
        "$JS.API.CONSUMER.INFO.TASKS.*",
        "$JS.API.STREAM.MSG.GET.DEAD",
        "$JS.API.STREAM.MSG.DELETE.DEAD",
        "gantry.sys.metrics.gateway.*",
        "gantry.sys.gateway.>",
        "_INBOX.gateway.>",
    ],
    # A worker sends the commands of a list that came again on alone, to itself.
    "ingest": [
        *(f"gantry.v1.*.memory.{name}" for name in ("ingest", "patch", "delete", "forget")),
        "$JS.API.CONSUMER.NAMES.MEMORY",
        "$JS.API.CONSUMER.INFO.MEMORY.*",
        "$JS.API.CONSUMER.MSG.NEXT.MEMORY.*",
        "$JS.ACK.MEMORY.>",
        "$JS.API.STREAM.INFO.DEAD",
        "$JS.API.STREAM.MSG.GET.DEAD",
        "$JS.API.STREAM.MSG.DELETE.DEAD",
        "gantry.v1.*.memory.*.done",
        "gantry.v1.*.memory.*.told",
        "gantry.v1.*.answers.memory",
        "gantry.v1.*.audit.request.ingest",
        "gantry.v1.*.dead.ingest",
        "gantry.sys.metrics.ingest.*",
        "_INBOX.>",
    ],
    "search": [
        "gantry.v1.*.audit.request.search",
        "gantry.sys.metrics.search.*",
        "_INBOX.search.>",
    ],
    "audit": [
        "$JS.API.CONSUMER.NAMES.AUDIT",
        "$JS.API.CONSUMER.INFO.AUDIT.*",
        "$JS.API.CONSUMER.MSG.NEXT.AUDIT.*",
        "$JS.ACK.AUDIT.>",
        "$JS.API.STREAM.INFO.DEAD",
        "$JS.API.STREAM.INFO.AUDIT",
        "gantry.v1.*.audit.append",
        "gantry.v1.*.audit.*.done",
        "gantry.v1.*.audit.*.told",
        "gantry.v1.*.answers.audit",
        "gantry.v1.*.audit.request.audit",
        "gantry.v1.*.dead.audit",
        "gantry.sys.metrics.audit.*",
        "_INBOX.>",
        "_R_.>",
    ],
    "executor": [
        "$JS.API.CONSUMER.NAMES.TASKS",
        "$JS.API.CONSUMER.INFO.TASKS.*",
        "$JS.API.CONSUMER.MSG.NEXT.TASKS.*",
        "$JS.ACK.TASKS.>",
        "$JS.API.STREAM.INFO.DEAD",
        "gantry.v1.*.job.*.done",
        "gantry.v1.*.audit.request.executor",
        "gantry.v1.*.dead.executor",
        "gantry.sys.allowlist.*",
        "gantry.sys.executor.>",
        "gantry.sys.jobs.*.*",
        "gantry.sys.metrics.executor.*",
        "gantry.sys.connector.actions.*",
        "_INBOX.>",
        "_R_.>",
    ],
    "connector": [
        "$JS.API.CONSUMER.NAMES.CONNECTOR",
        "$JS.API.CONSUMER.INFO.CONNECTOR.*",
        "$JS.API.CONSUMER.MSG.NEXT.CONNECTOR.*",
        "$JS.ACK.CONNECTOR.>",
        "$JS.API.STREAM.INFO.DEAD",
        "gantry.v1.*.job.*.done",
        "gantry.v1.*.audit.request.connector",
        "gantry.v1.*.dead.connector",
        "gantry.sys.allowlist.*",
        "gantry.sys.jobs.*.*",
        "gantry.sys.webhooks.*.*",
        "gantry.sys.metrics.connector.*",
        "_INBOX.>",
        "_R_.>",
    ],
    "callout": ["_INBOX.callout.>"],
    "kick": [
        "$SYS.REQ.SERVER.PING.CONNZ",
        "gantry.sys.connz.*",
        "$SYS.REQ.SERVER.*.KICK",
        "_INBOX.kick.>",
    ],
}
LISTENS = {
    "gateway": [
        "gantry.v1.*.memory.*.done",
        "gantry.v1.*.audit.*.done",
        "gantry.v1.*.job.*.done",
        "gantry.v1.*.answers.memory",
        "gantry.v1.*.answers.audit",
        "gantry.sys.allowlist.*",
        "gantry.sys.metrics.>",
        "gantry.sys.gateway.>",
        "gantry.sys.jobs.*.*",
        "gantry.sys.webhooks.*.*",
    ],
    "ingest": [],
    "search": ["gantry.v1.*.memory.search", "gantry.v1.*.memory.get", "gantry.v1.*.memory.list"],
    "audit": [
        "gantry.v1.*.audit.list",
        "gantry.v1.*.audit.event",
        "gantry.v1.*.audit.checkpoint",
        "gantry.v1.*.audit.proof",
        "gantry.v1.*.audit.consistency",
    ],
    "executor": [
        "gantry.v1.*.jobs.cancel",
        "gantry.v1.*.jobs.list",
        "gantry.v1.*.jobs.get",
        "gantry.v1.*.actions.list",
        "gantry.sys.executor.>",
    ],
    "connector": [
        "gantry.v1.*.secrets.*",
        "gantry.v1.*.webhooks.*",
        "gantry.v1.*.hooks.*",
        "gantry.sys.connector.hook",
        "gantry.sys.connector.actions.*",
        "gantry.sys.executor.cancel",
    ],
    "callout": ["$SYS.REQ.USER.AUTH"],
    "kick": [],
}
WILDCARDS = [
    ">",
    "gantry.>",
    "gantry.v1.>",
    "gantry.v1.*.>",
    "*.v1.default.memory.ingest",
    "_INBOX.>",
    "_INBOX.*.>",
    "$JS.>",
    "$JS.API.>",
    "$JS.ACK.>",
    "$SYS.>",
    "gantry.v1.default.>",
    "gantry.v1.other.>",
    "gantry.v1.*.audit.request.*",
    "gantry.v1.*.dead.*",
    "gantry.v1.*.job.*.done.>",
    "$SYS.REQ.>",
]


def covered(subject, patterns):
    """Whether a subject (or a whole wildcard) lies within one of the patterns."""
    for pattern in patterns:
        want, have = pattern.split("."), subject.split(".")
        if want[-1] == ">":
            if len(have) < len(want):
                continue
            have, want = have[: len(want) - 1], want[:-1]
        if len(have) == len(want) and all(
            w == "*" and h != ">" or w == h for w, h in zip(want, have, strict=False)
        ):
            return True
    return False
