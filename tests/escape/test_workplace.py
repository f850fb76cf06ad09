# SPDX-License-Identifier: MIT
"""The sandbox as a place to work: what is visible works, and what cannot work says why in one
line."""

import os
import shutil

import pytest

PYTHON = {
    "time_zone": (
        "import zoneinfo; print(zoneinfo.ZoneInfo('Asia/Tokyo'), "
        "len(zoneinfo.available_timezones()) > 300)",
        "Asia/Tokyo True\n",
    ),
    "time_zone_offset": (
        "import datetime, zoneinfo\nprint(datetime.datetime(2026, 7, 1, "
        "tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')))",
        "2026-07-01 00:00:00+02:00\n",
    ),
    "locale": (
        "import locale; print(locale.setlocale(locale.LC_ALL, ''), "
        "locale.getpreferredencoding().lower())",
        "C.UTF-8 utf-8\n",
    ),
    "home": (
        "import os, pathlib, tempfile; print(pathlib.Path.home(), tempfile.gettempdir(), "
        "os.path.expanduser('~/x'))",
        "/work /tmp /work/x\n",
    ),
    "file": (
        "import os, sys; print(__file__, sys.argv, os.path.exists(__file__), __name__)",
        "/tmp/task.py ['/tmp/task.py'] True __main__\n",
    ),
    "source": (
        "import inspect\ndef f(x):\n    return x * x\nprint(inspect.getsource(f))",
        "def f(x):\n    return x * x\n\n",
    ),
    "source_of_class": (
        "import inspect\nclass C:\n    y = 1\nprint(inspect.getsource(C))",
        "class C:\n    y = 1\n\n",
    ),
    "own_modules": ("import files, result as r\nprint(files.x, r.x)", "1 2\n"),
    "exit": ("print(1)\nexit()\nprint(2)", "1\n"),
    "asyncio": (
        "import asyncio\nasync def main():\n    p = await asyncio.create_subprocess_exec('cat', "
        "stdin=-1, stdout=-1)\n"
        "    print(await p.communicate(b'x'))\nasyncio.run(main())",
        "(b'x', None)\n",
    ),
    "asyncio_below": (
        "import subprocess\nsubprocess.run(['python3', '-c', 'import asyncio; "
        "asyncio.run(asyncio.sleep(0)); print(1)'])",
        "1\n",
    ),
    "asyncio_signal": (
        "import asyncio, os, signal\nasync def main():\n    got = asyncio.Event()\n"
        "    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, got.set)\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n    await got.wait()\n    "
        "print('woken')\nasyncio.run(main())",
        "woken\n",
    ),
    "spawn": (
        "import multiprocessing as m\ndef f(x):\n    return x * x\nif __name__ == '__main__':\n"
        "    with m.get_context('spawn').Pool(2) as p: print(p.map(f, [1, 2, 3]))",
        "[1, 4, 9]\n",
    ),
    "spawn_queue": (
        "import multiprocessing as m\ndef f(q):\n    q.put('up')\nif __name__ == '__main__':\n    "
        "c = m.get_context('spawn')\n"
        "    q = c.Queue(); p = c.Process(target=f, args=(q,)); p.start(); print(q.get()); p.join()",
        "up\n",
    ),
    "fork": (
        "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: print(p.map(abs, "
        "[-1]))",
        "[1]\n",
    ),
    "start_methods": (
        "import multiprocessing as m\nprint(m.get_all_start_methods())\n"
        "try: m.get_context('forkserver')\nexcept ValueError as e: print(e)\n"
        "import socket\nprint(hasattr(socket, 'SOCK_STREAM'))",
        "['fork', 'spawn']\nforkserver start method not available\nTrue\n",
    ),
    "executor": (
        "import concurrent.futures as f, multiprocessing as m\ndef g(x): return x + 1\n"
        "if __name__ == '__main__':\n"
        "    with f.ProcessPoolExecutor(2, mp_context=m.get_context('spawn')) as p:\n"
        "        print(list(p.map(g, [1, 2])))",
        "[2, 3]\n",
    ),
    "locks": (
        "import fcntl, struct\nf = open('lock', 'w')\nfcntl.lockf(f, fcntl.LOCK_EX)\n"
        "fcntl.flock(f, fcntl.LOCK_EX)\nl = struct.pack('hhqqi4x', fcntl.F_UNLCK, 0, 0, 0, 0)\n"
        "fcntl.fcntl(f, fcntl.F_OFD_SETLK, l)\nimport os; os.unlink('lock')\nprint('locked')",
        "locked\n",
    ),
    "descriptors": (
        "import fcntl, os\nr, w = os.pipe()\nn = fcntl.fcntl(w, fcntl.F_DUPFD, 50)\n"
        "m = fcntl.fcntl(w, fcntl.F_DUPFD_CLOEXEC, 60)\nos.set_blocking(w, False)\n"
        "print(n, m, fcntl.fcntl(n, fcntl.F_GETFD), fcntl.fcntl(m, fcntl.F_GETFD), "
        "os.get_blocking(n), fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 8192), "
        "fcntl.fcntl(r, fcntl.F_GETPIPE_SZ), fcntl.fcntl(r, fcntl.F_GETOWN))",
        "50 60 0 1 False 8192 8192 0\n",
    ),
    "bom": ("\ufeffprint('x')", "x\n"),
    "crlf": ("x = '''a\r\nb'''\r\nif x:\r\n    print(repr(x))\r\n", "'a\\nb'\n"),
    "bom_and_crlf": ("\ufeff# -*- coding: utf-8 -*-\r\nprint('é')\r\n", "é\n"),
    "stdin": ("print(input(), input())", "a b\n"),
}


@pytest.mark.parametrize("name", PYTHON)
def test_python(submit, name):
    code, expected = PYTHON[name]
    answer = submit(
        "code.python", code, stdin="a\nb\n", files={"files.py": "x = 1", "result.py": "x = 2"}
    )
    output = answer["output"]
    assert (answer["outcome"], output["stdout"], output["stderr"]) == ("ok", expected, ""), answer
    assert output["result"]["files"] == {}


SHELL = {
    "locale": (
        "printf 'aé漢' | wc -m; x=漢字; echo ${#x}; echo é | tr -d 'é' | wc -l; [[ é =~ ^.$ ]] && "
        "echo one",
        "3\n2\n1\none\n",
    ),
    "home": (
        "set -u; echo $HOME $TMPDIR $LANG $PATH; cd; pwd; echo ~",
        "/work /tmp C.UTF-8 /usr/bin:/bin\n/work\n/work\n",
    ),
    "time_zone": (
        "TZ=Asia/Tokyo date -d @0 +%H%Z; TZ=America/New_York date -d @0 +%H%Z",
        "09JST\n19EST\n",
    ),
    "crlf": ("x=1\r\nif true; then\r\n  echo $x\r\nfi\r\nexit 0\r\n", "1\n"),
    "bom": ("\ufeffecho x\n", "x\n"),
    "bom_and_crlf": ("\ufeffset -eu\r\ncat <<END\r\nline\r\nEND\r\n", "line\n"),
    "asyncio": (
        "cat >b.py <<'C'\nimport asyncio\nasync def main(): "
        "print('ran')\nasyncio.run(main())\nC\npython3 b.py; rm b.py",
        "ran\n",
    ),
    "no_caches": (
        "echo 'x = 1' >m.py; python3 -c 'import m; print(m.x)'; ls -A; rm m.py",
        "1\nm.py\n",
    ),
    "characters": (
        "x=$(printf 'aé漢'); printf '%s\\n' $x | awk '{print length, substr($0, 2, 1), toupper($0)}';"
        " printf %s $x | wc -m; printf %s $x | sed 's/./-/g'; echo; printf %s $x | grep -o . | wc -l",
        "3 é AÉ漢\n3\n---\n3\n",
    ),
    "tools": (
        "echo b a | tr ' ' '\\n' | sort | paste -sd, ; seq 3 | awk '{s+=$1} END {print s}'; echo "
        "'{\"a\":1}' | jq .a",
        "a,b\n6\n1\n",
    ),
}


@pytest.mark.parametrize("name", SHELL)
def test_shell(submit, name):
    code, expected = SHELL[name]
    answer = submit("code.shell", code)
    assert (answer["outcome"], answer["output"]["stdout"], answer["output"]["stderr"]) == (
        "ok",
        expected,
        "",
    ), answer


def test_the_environment_is_the_documented_one(submit):
    output = submit("code.python", "import os; result = dict(os.environ)")["output"]
    assert output["result"]["value"] == {
        "HOME": "/work",
        "TMPDIR": "/tmp",
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PWD": "/work",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CURL_HOME": "/etc",
        "OPENSSL_CONF": "/etc/openssl.cnf",
    }


# A program of the host, what to do with it, and what it says. Not every host has every one.
VISIBLE = {
    "file": ("printf 'plain\\n' >a; file -b a; rm a", "ASCII text\n"),
    "perl": (
        "perl -MJSON::PP -MList::Util=sum -e 'print encode_json([sum(1, 2)]), qq(\\n)'",
        "[3]\n",
    ),
    "gcc": (
        "printf '#include <stdio.h>\\nint main(void) { puts(\"built\"); }' >a.c; gcc -o a a.c && "
        "./a; rm -f a a.c",
        "built\n",
    ),
    "openssl": (
        "openssl req -new -x509 -nodes -newkey rsa:2048 -subj /CN=x -keyout k -out c 2>/dev/null; "
        "openssl x509 -in c -noout -subject | tr -d ' '; rm -f k c",
        "subject=CN=x\n",
    ),
    "git": (
        "git init -q -b main r && git -C r -c user.name=a -c user.email=a@b commit -q "
        "--allow-empty -m first && "
        "git -C r log --format=%s; rm -rf r",
        "first\n",
    ),
    "make": ("printf 'all:\\n\\t@echo made\\n' | make -f -", "made\n"),
    "node": (
        'node -e \'console.log(require("child_process").execSync("echo below").toString().trim())\'',
        "below\n",
    ),
    "bc": ("echo '6 * 7' | bc", "42\n"),
    "tput": ("TERM=xterm tput cols", "80\n"),
    "iconv": ("printf é | iconv -f utf-8 -t latin1 | od -An -tx1", " e9\n"),
    "curl": ("printf x >a; curl file:///work/a; rm a", "x"),
}


@pytest.mark.parametrize("program", VISIBLE)
def test_what_is_visible_works(submit, program):
    if not shutil.which(program, path="/usr/bin"):
        pytest.skip("not on this machine")
    code, expected = VISIBLE[program]
    answer = submit("code.shell", code)
    assert (answer["outcome"], answer["output"]["stdout"]) == ("ok", expected), answer


@pytest.mark.parametrize("path, code, expected", [
    ("/etc/services", "import socket; print(socket.getservbyname('ssh'))", "22\n"),
    ("/etc/protocols", "import socket; print(socket.getprotobyname('udp'))", "17\n"),
    ("/etc/mime.types", "import mimetypes; print(mimetypes.guess_extension('image/webp'))", ".webp\n"),
])
def test_tables_of_the_host(submit, path, code, expected):
    if not os.path.exists(path):
        pytest.skip("not on this machine")
    answer = submit("code.python", code)
    assert (answer["outcome"], answer["output"]["stdout"]) == ("ok", expected), answer


def test_a_traceback_has_source_lines(submit):
    output = submit("code.python", "def f():\n    return 1 / 0\n\nf()\n")["output"]
    assert output["stderr"].startswith(
        'Traceback (most recent call last):\n  File "/tmp/task.py", line 4, in <module>\n    f()\n'
    )
    assert "    return 1 / 0\n" in output["stderr"]
    assert "/task/" not in output["stderr"]
    output = submit("code.python", "x = (\n")["output"]
    assert 'File "/tmp/task.py", line 1\n    x = (\n' in output["stderr"]


@pytest.mark.parametrize(
    "code, line",
    [
        (
            "import urllib.request; urllib.request.urlopen('http://example.com')",
            "urllib.error.URLError: <urlopen error [Errno -2] there is no network in a sandbox: "
            "cannot look up example.com>",
        ),
        (
            "import urllib.request; urllib.request.urlopen('http://192.0.2.1')",
            "urllib.error.URLError: <urlopen error [Errno 100] Network is down>",
        ),
        (
            "import socket; socket.gethostbyname('example.com')",
            "socket.gaierror: [Errno -5] there is no network in a sandbox: cannot look up "
            "example.com",
        ),
        (
            "import socket; socket.create_connection(('192.0.2.1', 80))",
            "OSError: [Errno 100] Network is down",
        ),
        ("import multiprocessing as m; m.Manager()", "EOFError"),
    ],
)
def test_no_network_is_said_in_one_line(submit, code, line):
    answer = submit("code.python", code)
    assert answer["outcome"] == "nonzero_exit"
    assert answer["output"]["stderr"].splitlines()[-1] == line


@pytest.mark.skipif(not shutil.which("curl", path="/usr/bin"), reason="not on this machine")
@pytest.mark.parametrize("address", ["http://example.com", "https://192.0.2.1/x", "ftp://localhost"])
def test_no_network_is_said_by_curl_in_one_line(submit, address):
    output = submit("code.shell", f"curl {address}")["output"]
    assert output["stderr"] == "curl: (5) Could not resolve proxy: there-is-no-network-here\n"
    assert output["exit_code"] == 5


def test_no_network_is_said_by_bash(submit):
    output = submit("code.shell", "exec 3<>/dev/tcp/192.0.2.1/80")["output"]
    assert "Network is down" in output["stderr"]
