# SPDX-License-Identifier: MIT
"""Chromium without a window, driven through its DevTools protocol.

One process; each page has storage of its own. A page notes what its console and its policy
complained of (page.complaints), so that a test can demand that there is nothing."""
import atexit
import base64
import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import websocket

from .wait import PATIENCE, wait_until

PROGRAMS = ("chromium-headless-shell", "chromium")
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27}

# What runs in each page before its own scripts: the policy's violations, for the test.
WATCH = """
window.violations = [];
addEventListener('securitypolicyviolation', (event) =>
    violations.push(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sourceFile + ':' + event.lineNumber));
"""

# The control with this label, or the button, link or heading with this text.
FIND = """
window.findByText = (selector, text) => [...document.querySelectorAll(selector)].filter((one) => one.offsetParent !== null)
    .find((one) => one.textContent.trim() === text) || [...document.querySelectorAll(selector)]
    .filter((one) => one.offsetParent !== null).find((one) => one.textContent.includes(text));
window.findLabelled = (label) => {
    const found = findByText('label', label);
    return found && (found.control || document.getElementById(found.htmlFor));
};
"""


class BrowserError(AssertionError):
    pass


def deaf_to_interfaces():
    """A filter of system calls for what this process becomes: no netlink sockets. Chromium hears
    there of each interface that comes or goes, as with the containers that other tests start, and
    gives up what it is loading (ERR_NETWORK_CHANGED): pages stay empty. Without one it takes the
    network to be there."""
    number = {"x86_64": 41, "aarch64": 198}.get(os.uname().machine)
    if not number:
        return
    load, equal, end, allow, refuse = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000
    steps = [
        (load, 0, 0, 0),  # the call's number
        (equal, 0, 3, number),  # socket()
        (load, 0, 0, 16),  # its first argument
        (equal, 0, 1, socket.AF_NETLINK),
        (end, 0, 0, refuse | 97),  # EAFNOSUPPORT
        (end, 0, 0, allow),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    libc, no_new_privileges, seccomp, by_filter = ctypes.CDLL(None, use_errno=True), 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(seccomp, by_filter, program, 0, 0):
        raise OSError(ctypes.get_errno(), "no filter of system calls")


class Browser:
    def __init__(self):
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if not program:
            raise OSError("neither " + " nor ".join(PROGRAMS) + " is installed")
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="gantry-browser-"))
        self.process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--remote-debugging-port=0",
                f"--user-data-dir={self.home}",
                "--no-first-run",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-default-browser-check",
                "--hide-scrollbars",
                "--lang=en-GB",
                "--force-color-profile=srgb",
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self.home), "TZ": "UTC"},
            start_new_session=True,
            preexec_fn=deaf_to_interfaces,
        )
        self.socket = None
        atexit.register(self.close)
        port_file = self.home / "DevToolsActivePort"
        wait_until(
            lambda: port_file.exists() and len(port_file.read_text().splitlines()) == 2,
            30,
            "the browser's port",
        )
        port, path = port_file.read_text().splitlines()
        self.socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}{path}", timeout=30 * PATIENCE, suppress_origin=True
        )
        self.number, self.pages = 0, {}

    def send(self, method, params=None, session=None):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]
            page = self.pages.get(answer.get("sessionId"))
            if page:
                page.on_event(answer)

    def page(self, url, width=1280, height=900, dark=False):
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send(
            "Target.createTarget", {"url": "about:blank", "browserContextId": context}
        )["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})[
            "sessionId"
        ]
        page = self.pages[session] = Page(self, session, context)
        page.open(url, width, height, dark)
        return page

    def close(self):
        """All of it: Debian's program is a script, and what it starts outlives it."""
        if self.socket:
            self.socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30 * PATIENCE)
        shutil.rmtree(self.home, ignore_errors=True)
        atexit.unregister(self.close)

    def left(self):
        """Its processes that still run."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if str(self.home).encode() in entry.read_bytes():
                    found.append(entry.parent.name)
        return found


class Page:
    def __init__(self, browser, session, context):
        self.browser, self.session, self.context = browser, session, context
        self.complaints, self.failures = [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH + FIND})

    def open(self, url, width, height, dark):
        self.size(width, height)
        self.send(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]},
        )
        self.go(url)

    def size(self, width, height=900):
        self.width = width
        self.send("Emulation.setDeviceMetricsOverride",
                  {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def send(self, method, params=None):
        return self.browser.send(method, params, self.session)

    def go(self, url):
        failure = self.send("Page.navigate", {"url": url}).get("errorText")
        if failure:
            raise BrowserError(f"{url}: {failure}")
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def on_event(self, event):
        params = event["params"]
        if event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            entry = params["entry"]
            if entry["source"] != "network":  # a refused request is an answer, which the page shows
                self.complaints.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")
        elif event["method"] == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(
                "exception: " + details.get("exception", {}).get("description", details["text"])
            )
        elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in (
            "error",
            "warning",
            "assert",
        ):
            self.complaints.append(
                "console: "
                + " ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"])
            )
        elif event["method"] == "Network.loadingFailed" and params["type"] in ("Script", "Stylesheet"):
            self.failures.append(f"{params['type']}: {params['errorText']}")
        elif event["method"] == "Page.javascriptDialogOpening":
            self.complaints.append("dialog: " + params["message"])

    def run(self, script):
        """The value of an expression, a promise's when it is one."""
        answer = self.send(
            "Runtime.evaluate",
            {
                "expression": script,
                "awaitPromise": True,
                "returnByValue": True,
                "userGesture": True,
            },
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(
                f"{script[:200]}: "
                f"{details.get('exception', {}).get('description', details['text'])}"
            )
        return answer["result"].get("value")

    def wait(self, script, seconds=20):
        """Until the expression is true; the page's text is in the error."""
        deadline = time.monotonic() + seconds * PATIENCE
        while True:
            try:
                value = self.run(script)
            except BrowserError:
                value = None
            if value:
                return value
            if time.monotonic() > deadline:
                raise BrowserError(
                    f"not within {seconds * PATIENCE} s: {script}\ncomplaints: "
                    f"{self.complaints}\nnot loaded: {self.failures}\n{self.text()[:3000]}"
                )
            time.sleep(0.02)

    def text(self):
        return self.run("document.body ? document.body.innerText : ''")

    def wait_text(self, text, seconds=20):
        self.wait(f"document.body.innerText.includes({json.dumps(text)})", seconds)

    def click(self, text, selector="button, a, summary, label"):
        self.wait(
            f"(() => {{ const one = findByText({json.dumps(selector)}, {json.dumps(text)}); if "
            f"(!one || one.disabled) return false;"
            " one.scrollIntoView({ block: 'center' }); one.click(); return true; })()"
        )

    def fill(self, label, value):
        """Set a control by its label, as typing or choosing would."""
        self.wait(f"findLabelled({json.dumps(label)}) != null")
        self.run(f"""(() => {{
            const one = findLabelled({json.dumps(label)});
            const kind = one.tagName === 'SELECT' ? HTMLSelectElement : one.tagName === 'TEXTAREA' ? HTMLTextAreaElement : HTMLInputElement;
            Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(one, {json.dumps(value)});
            one.dispatchEvent(new Event('input', {{ bubbles: true }}));
            one.dispatchEvent(new Event('change', {{ bubbles: true }}));
        }})()""")

    def press(self, key, text=None):
        shared = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        if key == "Enter":
            shared["text"] = "\r"
        self.send("Input.dispatchKeyEvent", {"type": "keyDown", **shared})
        self.send("Input.dispatchKeyEvent", {"type": "keyUp", **shared})

    def type(self, text):
        self.send("Input.insertText", {"text": text})

    def screenshot(self, path):
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        height = self.run(
            "Math.min(4000, Math.max(document.documentElement.scrollHeight, innerHeight))"
        )
        shot = self.send(
            "Page.captureScreenshot",
            {
                "format": "png",
                "captureBeyondViewport": True,
                "clip": {"x": 0, "y": 0, "width": self.width, "height": height, "scale": 1},
            },
        )
        path.write_bytes(base64.b64decode(shot["data"]))

    def assert_quiet(self):
        """Nothing was blocked, thrown or complained of."""
        violations = self.run("window.violations") or []
        assert not violations, (violations, self.complaints)
        assert not self.complaints, (violations, self.complaints)

    def close(self):
        self.browser.send("Target.disposeBrowserContext", {"browserContextId": self.context})
        self.browser.pages.pop(self.session, None)
