# SPDX-License-Identifier: MIT
"""What the pages say is what there is: routes, stages, files, folders, commands, links. (Lint
compares docs/configuration.md with the programs' tables.)"""

import fnmatch
import functools
import json
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
# Not ours, or made by whoever reads the page.
FOREIGN = {
    ".vscode/mcp.json",
    "claude_desktop_config.json",
    "opencode.json",
    "nsswitch.conf",
    "stripe_client.py",
    "/tmp/task.py",
    "/openapi.json",
    "tests/unit/test_NAME.c",
    "tests/fuzz/fuzz_NAME.c",
}
PLACES = [("workers/connector/", "Follow an action"), ("workers/executor/", "Follow a task")]

of_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@functools.cache
def files():
    """Of the tree; a clone may have others beside them."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    names = listed.stdout.split() if listed.returncode == 0 else []
    return names or [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]


def said_by(program, *words):
    return subprocess.run(
        [ROOT / "build/release" / program, *words], capture_output=True, text=True, check=True
    ).stdout


@functools.cache
def operations():
    """(method, path of the document) → the names of its query parameters."""
    document = json.loads(said_by("gantry-gateway", "--print-openapi"))
    return {
        (method.upper(), path): {
            parameter["name"]
            for parameter in operation.get("parameters", [])
            if parameter.get("in") == "query"
        }
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def is_route(path, known):
    """A part in capitals stands for an id."""
    own, other = path.split("/"), known.split("/")
    return len(own) == len(other) and all(
        a == b or (b.startswith("{") and a.isupper()) for a, b in zip(own, other, strict=True)
    )


@of_each_page
def test_routes_exist(page):
    wrong = []
    for method, path, query in re.findall(
        r"`(GET|POST|PUT|PATCH|DELETE) (/[^`?\s]*)\??([^`]*)`", page.read_text()
    ):
        if path.startswith("/console/"):
            continue
        names = set(re.findall(r"(\w+)=", query))
        if not any(
            method == one and is_route(path, known) and names <= queries
            for (one, known), queries in operations().items()
        ):
            wrong.append(f"{method} {path}?{query}")
    assert not wrong


def test_every_route_is_on_a_page():
    """At least its path: what a body means is in the OpenAPI document."""
    text = " ".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?<![\w.])/[\w{}/.-]*[\w}]", text))
    missing = {
        path
        for _, path in operations()
        if not any(is_route(one, path) or one == path for one in named)
    }
    assert not missing


def test_the_stages_are_those_of_the_gateway():
    source = (ROOT / "gateway/requests/request.c").read_text()
    stages = re.search(r"STAGES\[\] = \{(.*?)\n\};", source, re.S)[1]
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/http.md").read_text(), re.M)
    wanted = re.findall(r"\{ (\w+),", stages)
    assert wanted
    assert [name for name in table if name in wanted or name.startswith("check_")] == wanted


@of_each_page
def test_files_exist(page):
    wrong = [
        name
        for name in re.findall(
            r"`([\w./*-]+\.(?:c|h|sql|lua|py|json|conf|sh|awk|toml))`", page.read_text()
        )
        if name not in FOREIGN
        and not name.startswith("build/")
        and not any(fnmatch.fnmatch(f, name) or fnmatch.fnmatch(f, f"*/{name}") for f in files())
    ]
    wrong += [
        name
        for name in re.findall(
            r"`((?:common|gateway|workers|cli|tests|deploy|nats|sql|docs)/[\w./-]*)`",
            page.read_text(),
        )
        if name not in FOREIGN and "NAME" not in name and not (ROOT / name).exists()
    ]
    assert not wrong


@of_each_page
def test_functions_exist(page):
    """`name()`."""
    text = "\n".join(
        (ROOT / name).read_text(errors="replace")
        for name in files()
        if name.endswith((".c", ".h", ".sql", ".sh", ".lua"))
    )
    wrong = [
        name
        for name in set(re.findall(r"`(\w+)\(\)`", page.read_text()))
        if not re.search(rf"\b{name}\b", text)
    ]
    assert not wrong


def walk():
    """Each stop of the overview's walks, with its title."""
    text = (ROOT / "docs/overview.md").read_text()
    for section in re.split(r"^## ", text, flags=re.M):
        if not section.startswith("Follow "):
            continue
        for stop in re.findall(r"^\d+\. (.*)", section, re.M):
            yield section.split("\n")[0], stop


@pytest.mark.parametrize(("title", "stop"), list(walk()))
def test_each_stop_of_the_walk(title, stop):
    """A name without a folder is in one that the stop has named before, or the only one."""
    folders, found = [], []
    for name in re.findall(r"`([\w./-]+\.(?:c|h|lua|sql))`", stop):
        program = next((place for place, begin in PLACES if title.startswith(begin)), "")
        near = [f"{folder}/{name}" for folder in folders]
        ending = [f for f in files() if f.endswith(f"/{name}")]
        ours = [f for f in ending if f.startswith(program)] if program else []
        path = next((f for f in [name, *near] if f in files()), None)
        if path is None:
            assert 1 in (len(ours), len(ending)), f"which {name}?"
            path = (ours if len(ours) == 1 else ending)[0]
        folders = [*map(str, pathlib.PurePath(path).parents[:-1]), *folders]
        found.append(ROOT / path)
    assert found
    for word in re.findall(r"`([A-Z_]{4,})`", stop):  # a table: `STAGES`, `STEPS`
        assert any(word in path.read_text() for path in found), word


def test_the_table_of_folders_is_what_lint_checks():
    overview, lint = (ROOT / "docs/overview.md").read_text(), (ROOT / "tests/lint.sh").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$", overview, re.M))
    layers = dict(re.findall(r"^layer (\w+) '([^']*)'", lint, re.M))
    assert set(layers) == {path.name for path in (ROOT / "common").iterdir()}
    assert set(layers) == set(rows)
    everything = set(layers)
    for folder, below in layers.items():
        said = {word.strip() for word in rows[folder].split(",")}
        if said == {"nothing"}:
            said = set()
        elif said == {"all"}:
            said = everything
        elif said == {"all but `policy` and `tasking`"}:
            said = everything - {"policy", "tasking"}
        allowed = everything if below == ".*" else set(filter(None, below.split("|")))
        assert said - {folder} == allowed - {folder}, folder


def test_every_folder_of_the_gateway_has_a_row():
    overview = (ROOT / "docs/overview.md").read_text()
    table = overview.split("| `gateway/…` | is |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == {
        path.name for path in (ROOT / "gateway").iterdir() if path.is_dir()
    }


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@of_each_page
def test_links_lead_somewhere(page):
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        name, _, part = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = page.parent / name if name else page
        if not target.exists():
            wrong.append(link)
        elif part:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            if part not in map(anchor, headings):
                wrong.append(link)
    assert not wrong


@functools.cache
def commands():
    """Of `gantry --help`: "group verb" → its options."""
    found = {}
    for line in re.findall(r"^  gantry (.*)$", said_by("gantry", "--help"), re.M):
        words = re.match(r"[a-z]+(?: [a-z]+(?= |$))?", line)[0]
        found[words] = set(re.findall(r"--([a-z-]+)", line)) | {"json", "help"}
    return found


@of_each_page
def test_commands_and_options_exist(page):
    wrong = []
    for line in re.findall(r"(?:`|^|[;|&(] ?)gantry ([a-z][^`\n;|&#]*)", page.read_text(), re.M):
        words = line.split()
        known = commands().get(" ".join(words[:2]), commands().get(words[0]))
        if known is None and len(words) == 1:  # a group, such as `gantry dlq`
            known = set().union(*(o for c, o in commands().items() if c.split()[0] == words[0]))
        options = set(re.findall(r"(?<!\S)--([a-z][a-z-]+)", line))
        if not known or not options <= known:
            wrong.append(line)
    assert not wrong


def test_exit_codes():
    codes = dict(
        re.findall(r"EXIT_(\w+) = (\d+)", (ROOT / "common/base/rc.h").read_text())
    )
    assert codes == {"OK": "0", "NO": "1", "USAGE": "2", "CONFIG": "100", "TEMP": "111"}
    for text in (said_by("gantry", "--help"), (ROOT / "docs/command-line.md").read_text()):
        told = re.search(r"Exit codes(?:\*\*)?: ((?:.*\n?){2}?)(?:- |gantry)", text)[1]
        assert re.findall(r"\d+", told) == ["0", "1", "2", "100", "111"]


@of_each_page
def test_metrics_exist(page):
    """`gantry_…`; a name with … or * stands for several."""
    text = "\n".join(
        (ROOT / name).read_text(errors="replace")
        for name in files()
        if name.startswith(("common/", "gateway/", "workers/")) and name.endswith((".c", ".h"))
    )
    ours = {n for n in re.findall(r"`(gantry_[a-z_]+[a-z])(?:\{[^`]*\})?`", page.read_text())}
    ours.discard("gantry_testing")
    roles = set(re.findall(r"\bgantry_\w+", (ROOT / "sql/roles.sql").read_text()))
    known = set(re.findall(r"\w+", text)) | roles
    wrong = {
        n
        for n in ours
        if n not in known
        and re.sub(r"_(bucket|sum|count)$", "", n) not in known
        and n.removeprefix("gantry_worker_") not in known
        and n.removeprefix("gantry_gateway_") not in known
    }
    assert not wrong
