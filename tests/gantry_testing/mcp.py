# SPDX-License-Identifier: MIT
"""POST /mcp as raw messages, of each revision."""

import itertools
import json

MODERN, NEWER, OLDER = "2026-07-28", "2025-11-25", "2025-06-18"
PREFIX = "io.modelcontextprotocol/"
ACCEPT = "application/json, text/event-stream"


class Mcp:
    def __init__(self, client, version=MODERN):
        self.client, self.version, self.ids = client, version, itertools.count(1)

    def message(self, method, params=None, meta=None):
        params = dict(params or {})
        if self.version == MODERN:
            params["_meta"] = {
                PREFIX + "protocolVersion": MODERN,
                PREFIX + "clientCapabilities": {},
                PREFIX + "clientInfo": {"name": "test", "version": "1"},
                **(meta or {}),
            }
        elif meta:
            params["_meta"] = meta
        return {"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params}

    def headers(self, message):
        headers = {"MCP-Protocol-Version": self.version, "Accept": ACCEPT}
        if self.version == MODERN:
            headers["Mcp-Method"] = message["method"]
            if message["method"] == "tools/call":
                headers["Mcp-Name"] = message["params"]["name"]
        return headers

    def send(self, message, **headers):
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request("POST", "/mcp", message, {**self.headers(message), **more})

    def ask(self, method, params=None, meta=None, **headers):
        """The result."""
        message = self.message(method, params, meta)
        answer = self.send(message, **headers).ok()
        assert answer.json["id"] == message["id"]
        assert "error" not in answer.json, answer.json
        return answer.json["result"]

    def tools(self):
        return {tool["name"]: tool for tool in self.ask("tools/list")["tools"]}

    def call(self, name, arguments=None, meta=None, **headers):
        return self.ask("tools/call", {"name": name, "arguments": arguments or {}}, meta, **headers)

    def good(self, name, arguments=None, meta=None, **headers):
        """The structured content of a call that went well; the text says the same."""
        result = self.call(name, arguments, meta, **headers)
        assert not result["isError"], result
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
        return result["structuredContent"]

    def stream(self, name, arguments=None, meta=None):
        """All messages of a call that is answered as a stream."""
        message = self.message("tools/call", {"name": name, "arguments": arguments or {}}, meta)
        answer = self.send(message).ok()
        assert answer.headers["Content-Type"] == "text/event-stream", answer
        events = [event for event in answer.body.decode().split("\n\n") if event]
        data = [
            line.removeprefix("data: ")
            for event in events
            for line in event.split("\n")
            if line.startswith("data: ")
        ]
        return [json.loads(one) for one in data]
