# SPDX-License-Identifier: MIT
"""The official Python SDK as a client: lists and calls every tool; prints what came, as JSON.

Run by test_mcp_clients.py in an environment that has the package mcp: URL MODE CALLS."""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

URL, MODE, CALLS = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])


async def main():
    headers = {"Authorization": "Bearer " + os.environ["GANTRY_API_KEY"]}
    async with httpx2.AsyncClient(headers=headers, timeout=90) as http:
        transport = streamable_http_client(URL, http_client=http)
        async with Client(transport, mode=MODE) as client:
            listed = await client.list_tools()
            out = {
                "version": client.protocol_version,
                "server": getattr(client.server_info, "name", None),
            }
            out["tools"] = [tool.name for tool in listed.tools]
            out["results"], out["progress"] = {}, 0
            kept = {}

            async def progress(done, total, message):
                out["progress"] += 1

            for name, arguments in CALLS:
                arguments = {key: kept.get(str(value), value) for key, value in arguments.items()}
                result = await client.call_tool(name, arguments, progress_callback=progress)
                content = result.structured_content
                out["results"][name] = {"error": result.is_error, "content": content}
                out["results"][name]["text"] = result.content[0].text
                kept.update(
                    {
                        "$" + key: value
                        for key, value in (content or {}).items()
                        if key in ("id", "job_id")
                    }
                )
            print(json.dumps(out))


asyncio.run(main())
