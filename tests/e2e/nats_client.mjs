// SPDX-License-Identifier: MIT
// A client as anybody would write it with the npm package "nats": an API key is the token. Ingests,
// searches and runs a task, and prints what came of it as JSON.
import { connect, headers, StringCodec } from "nats";
import { randomUUID } from "node:crypto";

const [url, key, workspace] = process.argv.slice(2);
const codec = StringCodec();
const subject = (name) => `gantry.v1.${workspace}.${name}`;
const keyId = key.slice(9, 21);

const nc = await connect({ servers: url, token: key, inboxPrefix: `_INBOX.${keyId}`, name: "npm" });
const js = nc.jetstream();

const memory = randomUUID();
const ack = await js.publish(
  subject("memory.ingest"),
  codec.encode(JSON.stringify({ scope: "npm", text: "The npm client likes green tea." })),
  { msgID: memory, timeout: 60000 },
);
const again = await js.publish(
  subject("memory.ingest"),
  codec.encode(JSON.stringify({ scope: "npm", text: "The npm client likes green tea." })),
  { msgID: memory, timeout: 60000 },
);

const ask = async (name, body) =>
  JSON.parse(codec.decode((await nc.request(subject(name), codec.encode(JSON.stringify(body)), { timeout: 60000 })).data));

let found;
for (let i = 0; i < 100; i++) {
  found = await ask("memory.search", { query: "green tea", scope: "npm" });
  if (found.results_count) break;
  await new Promise((done) => setTimeout(done, 100));
}

const job = randomUUID();
const events = nc.subscribe(subject("job.*.done"));
await nc.flush();
const task = await js.publish(
  subject("executor.run"),
  codec.encode(JSON.stringify({ task: { type: "ping" } })),
  { msgID: job, timeout: 60000 },
);
let event = null;
const timer = setTimeout(() => events.unsubscribe(), 60000);
for await (const message of events) {
  if (!message.subject.includes(job)) continue;
  event = { marked: message.headers?.get("Gantry-Event"), status: message.headers?.get("Gantry-Status"),
            body: JSON.parse(codec.decode(message.data)) };
  break;
}
clearTimeout(timer);
const state = await ask("jobs.get", { id: job });

let refused = null;
try {
  await nc.request("gantry.v1.someone-else.memory.search", codec.encode("{}"), { timeout: 2000 });
} catch (error) {
  refused = String(error.code ?? error.message);
}
console.log(JSON.stringify({ ack, again, found, task, event, state, refused, job }));
await nc.close();
