// SPDX-License-Identifier: MIT
// audit_event - one event of the log, and the proof, checked here, that it is in it as it is shown.

import { h, Page, Failure, Waiting, Badge, Pairs, Time, Json } from './ui.js';
import { call, callText, query } from './api.js';
import { Steps, signatureStep } from './audit.js';
import { readCheckpoint, leafHash, rootOfInclusion, fromHex, toHex } from './proof.js';

const SHOWN = ['action', 'target', 'actor', 'actor_type', 'key_id', 'decision', 'status', 'http_status', 'error_reason', 'request_id', 'program', 'region', 'client'];

export class AuditEvent extends Page {
    componentDidMount() {
        this.attempt(async () => this.setState({ event: await call('GET', '/ai/audit/events/' + encodeURIComponent(this.props.id)) }));
    }
    verify() {
        const { event } = this.state;
        const steps = [];
        const say = (good, yes, no) => steps.push(good ? ['good', yes] : ['bad', no]);
        return this.attempt(async () => {
            this.setState({ steps: null });
            const checkpoint = readCheckpoint(await callText('/ai/audit/checkpoint'));
            const leaf = await leafHash(event);
            say(toHex(leaf) === event.leaf_hash, 'The event as shown has the hash ' + toHex(leaf).slice(0, 16) + '… of its leaf (SHA-256).', 'The event as shown has another hash than its leaf: it was changed.');
            const proof = await call('GET', '/ai/audit/' + event.leaf_index + '/proof' + query({ tree_size: checkpoint.size }));
            const root = await rootOfInclusion(event.leaf_index, checkpoint.size, leaf, proof.audit_path.map(fromHex));
            say(root !== null && toHex(root) === toHex(checkpoint.root),
                'From that hash, ' + proof.audit_path.length + ' hashes lead to the root of the checkpoint of ' + checkpoint.size + ' events: it is number ' + event.leaf_index + '.',
                'The proof leads to another root than the checkpoint’s: the event is not in this log.');
            steps.push(await signatureStep(checkpoint));
            this.setState({ steps });
        });
    }
    render(_, { event, problem, busy, steps }) {
        return h('div', null,
            h('p', { class: 'small' }, h('a', { href: '#/audit' }, 'All events')),
            h('h1', null, event ? event.action : 'Event'),
            h(Failure, { problem }),
            !event ? !problem && h(Waiting, { what: 'the event' }) : h('div', null,
                h('section', { 'aria-labelledby': 'what' }, h('h2', { id: 'what' }, 'What happened'),
                    h(Pairs, { pairs: [['When', h(Time, { at: event.time })], ...SHOWN.filter((name) => event[name] != null).map((name) =>
                        [name.replace(/_/g, ' '), name === 'status' || name === 'decision' ? h(Badge, { state: event[name] }) : String(event[name])])] }),
                    event.payload && h('div', null, h('h3', null, 'Payload'), h(Json, { value: event.payload }))),
                h('section', { 'aria-labelledby': 'proof' }, h('h2', { id: 'proof' }, 'Is it in the log?'),
                    h('p', null, 'It is leaf ', String(event.leaf_index), ' of the log. Your browser can work out by itself that this event, as it is shown here, is in the tree that the signed checkpoint names.'),
                    h('button', { type: 'button', class: 'primary', disabled: busy, onClick: () => this.verify() }, 'Verify it here'),
                    steps && h(Steps, { steps })),
                h('section', { 'aria-labelledby': 'all' }, h('h2', { id: 'all' }, 'All its members'), h(Json, { value: event }))));
    }
}
