// SPDX-License-Identifier: MIT
// The official TypeScript SDK as a client: lists and calls every tool; prints what came, as JSON.
// node mcp_client.mjs PACKAGE URL MODE CALLS, with NODE_PATH's node_modules found from the working folder.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , line, url, mode, calls] = process.argv;
const require = createRequire(process.cwd() + "/");
const load = (name) => import(pathToFileURL(require.resolve(name)));

let Client, StreamableHTTPClientTransport;
let options = {};
if (line === "v1") {
  ({ Client } = await load("@modelcontextprotocol/sdk/client/index.js"));
  ({ StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js"));
} else {
  ({ Client, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client"));
  options = { versionNegotiation: { mode: mode === "legacy" ? "legacy" : { pin: mode } } };
}

const client = new Client({ name: "gantry-test", version: "1.0.0" }, options);
const transport = new StreamableHTTPClientTransport(new URL(url), {
  requestInit: { headers: { Authorization: "Bearer " + process.env.GANTRY_API_KEY } },
});
await client.connect(transport);
const out = { server: client.getServerVersion()?.name, results: {}, progress: 0 };
out.version = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
out.tools = (await client.listTools()).tools.map((tool) => tool.name);
const kept = {};
for (const [name, given] of JSON.parse(calls)) {
  const args = Object.fromEntries(Object.entries(given).map(([key, value]) => [key, kept[value] ?? value]));
  const onprogress = () => out.progress++;
  const parameters = { name, arguments: args };
  const result = line === "v1" ? await client.callTool(parameters, undefined, { onprogress })
                               : await client.callTool(parameters, { onprogress });
  out.results[name] = { error: result.isError ?? false, content: result.structuredContent, text: result.content[0].text };
  for (const key of ["id", "job_id"])
    if (result.structuredContent?.[key]) kept["$" + key] = result.structuredContent[key];
}
await client.close();
console.log(JSON.stringify(out));
