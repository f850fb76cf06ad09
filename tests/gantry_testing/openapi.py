# SPDX-License-Identifier: MIT
"""Holds real answers against the OpenAPI document: the client of the tests asks here for each."""
import functools
import json
import pathlib
import re
import subprocess

try:
    import jsonschema
except ImportError:  # the package is in the group "test" of deploy/dependencies
    jsonschema = None

ROOT = pathlib.Path(__file__).resolve().parents[2]
seen = set()  # (method, path template, status) of answers that were checked


@functools.lru_cache
def document():
    """As the built gateway prints it, which is what it serves."""
    printed = subprocess.run(
        [ROOT / "build/gantry-gateway", "--print-openapi"], capture_output=True, check=True
    )
    return json.loads(printed.stdout)


@functools.lru_cache
def _templates():
    """Longest first, and without parameters before with: /memory/forget is no /memory/{id}."""
    paths = sorted(document()["paths"], key=lambda path: (path.count("{"), -len(path)))
    return [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path) + "/?"), path) for path in paths]


@functools.lru_cache
def _validator(pointer):
    schema = {"$ref": "#" + pointer, **{key: document()[key] for key in ("components", "paths")}}
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def _resolve(node, pointer):
    while "$ref" in node:
        pointer = node["$ref"][1:]
        node = document()
        for step in pointer.split("/")[1:]:
            node = node[step.replace("~1", "/").replace("~0", "~")]
    return node, pointer


def check(method, path, status, content_type, body):
    """AssertionError, if the document does not allow this answer."""
    path = path.split("?")[0]
    if method == "OPTIONS" and status == 204:  # a preflight of CORS, of any path
        return
    if (
        jsonschema is None or path == "/metrics" or path.startswith("/debug/")
    ):  # the operator's port
        return
    if path in ("/docs", "/console") or path.startswith("/console/"):  # pages, for people
        return
    template = next(
        (template for pattern, template in _templates() if pattern.fullmatch(path)), None
    )
    operation = template and document()["paths"][template].get(method.lower())
    if not operation:
        assert status in (400, 404, 405, 413, 431, 503), (
            f"{method} {path} {status} is not in the document"
        )
        return
    name = str(status) if str(status) in operation["responses"] else "default"
    escaped = template.replace("~", "~0").replace("/", "~1")
    assert status >= 400 or name != "default", (
        f"{method} {template}: {status} is not in the document"
    )
    response, pointer = _resolve(
        operation["responses"][name], f"/paths/{escaped}/{method.lower()}/responses/{name}"
    )
    content = response.get("content")
    if not content:
        assert body == b"", f"{method} {template} {status}: a body, where the document has none"
    else:
        kind = (content_type or "").split(";")[0]
        media = next(
            (kind_there for kind_there in content if kind_there.split(";")[0] == kind), None
        )
        assert media, f"{method} {template} {status}: {content_type} is not in the document"
        if kind.endswith("json"):
            schema = pointer + f"/content/{media.replace('/', '~1')}/schema"
            problem = next(iter(_validator(schema).iter_errors(json.loads(body))), None)
            assert not problem, (
                f"{method} {template} {status}: {problem.message} at {list(problem.absolute_path)}"
            )
    seen.add((method.lower(), template, status))
