# SPDX-License-Identifier: MIT
"""For schemathesis (SCHEMATHESIS_HOOKS=gantry_hooks): what a JSON Schema cannot say of a request.

An idempotency key is for one request: each that is sent gets a new one, in the header or in the
body, never two that differ. And of what the document allows, only these may be refused, each of
them by what the request says of something else: a cursor or a tree that there is not, parameters
that the action's own schema (GET /ai/actions) does not have, a policy that is none, and what no
JSON of ours may hold at any depth. The document knows two ways to show a key; the run's own is in
one of them, and what is made up for the other would have every request refused.
"""

import os
import re
import uuid

import schemathesis

EXPLAINED = [
    re.compile(one)
    for one in (
        r"^cursor: must be (the )?next_cursor of (a|the) page",
        r"^cursor: is not a next_cursor of this list",
        r"^(tree_size|from|to|leaf_index): ",
        r"^(params|actions\[\d+\]\.params|task)(\.|:|$)",
        r"^action: there is no action ",
        r"^/(policy|rules|risk|approval)(/|:)",  # a policy, whose rules docs/policy.md has
        r": integer beyond 2\^53",
        r": U\+0000 in a string",
        r"nested deeper than",
        r": looks like a credential",
    )
]


@schemathesis.hook
def before_call(context, case, kwargs):
    own = str(uuid.uuid4())
    if (case.path_parameters or {}).get("key_id"):  # those of the run are not to be revoked by it
        case.path_parameters["key_id"] = "000000000000"
    body = case.body if isinstance(case.body, dict) else {}
    actions = body.get("actions") if isinstance(body.get("actions"), list) else []
    for one in [body, *actions]:
        if (
            isinstance(one, dict)
            and isinstance(one.get("client_request_id"), str)
            and 0 < len(one["client_request_id"]) <= 128
        ):
            one["client_request_id"] = own if one is body else str(uuid.uuid4())
    for name in list(case.headers or {}):
        if name.lower() == "idempotency-key" and isinstance(case.headers[name], str):
            case.headers[name] = own
        if name.lower() == "authorization":  # made up, beside the run's own key: answered 401
            del case.headers[name]


@schemathesis.hook
def after_call(context, case, response):
    """One line for each answer, for the test that looks at the whole run."""
    with open(os.environ["ST_ANSWERS"], "a") as answers:
        operation = f"{case.operation.method.upper()} {case.operation.path}"
        answers.write(f"{response.status_code} {operation}\n")


@schemathesis.check
def positive_data_is_accepted(ctx, response, case):
    meta = case.meta
    if (
        response.status_code not in (400, 415, 422)
        or not meta
        or meta.generation.mode.value != "positive"
    ):
        return
    problem = response.json()
    if "jsonrpc" in problem:  # what the protocol refuses stands in its own specification
        return
    said = [f"{one['field']}: {one['detail']}" for one in problem.get("errors", [])] or [
        problem["detail"]
    ]
    left = [one for one in said if not any(rule.search(one) for rule in EXPLAINED)]
    assert not left, f"{response.status_code} for a request that the document allows: {left}"
