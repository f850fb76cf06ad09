// SPDX-License-Identifier: MIT
// audit - the log's checkpoint, whether it grew out of one that is held, and the timeline of events.

import { h, Page, Component, Failure, Waiting, Badge, Empty, Table, Time, TextField, TextArea, Choice, Pairs, count, duration, download } from './ui.js';
import { call, callText, query } from './api.js';
import { readCheckpoint, readVerifierKey, checkSignature, rootsOfConsistency, fromHex, toHex } from './proof.js';

const KEY_PLACE = 'gantry.vkey';
const STATUSES = ['success', 'failed', 'denied', 'unknown', 'allowed', 'requires_approval'];

export function heldVerifier() {
    return sessionStorage.getItem(KEY_PLACE) || '';
}

// One step of a check: state is good, bad or open.
export function Steps({ steps }) {
    return h('div', { role: 'status' }, h('ul', { class: 'steps' }, steps.map(([state, text]) =>
        h('li', { class: state }, h('span', { class: 'hidden' }, { good: 'Good: ', bad: 'Wrong: ', open: 'Not checked: ' }[state]), text))));
}

const SIGNATURE = {
    good: ['good', 'The checkpoint is signed by the key that you gave (Ed25519).'],
    bad: ['bad', 'The signature does not fit the checkpoint: it was changed, or made by somebody else.'],
    absent: ['bad', 'The checkpoint has no signature of the key that you gave.'],
    unsupported: ['open', 'This browser cannot check Ed25519: take gantry audit verify for the signature.'],
};

export async function signatureStep(checkpoint) {
    const held = heldVerifier();
    if (!held)
        return ['open', 'The signature: give the log’s verifier key on the audit page. It is not taken from this server, which would vouch for itself.'];
    return SIGNATURE[await checkSignature(checkpoint, readVerifierKey(held))];
}

class Checkpoint extends Component {
    componentDidMount() {
        this.read();
    }
    async read() {
        try {
            const checkpoint = readCheckpoint(await callText('/ai/audit/checkpoint'));
            this.setState({ checkpoint, steps: [await signatureStep(checkpoint)], problem: null });
        } catch (problem) {
            this.setState({ problem });
        }
    }
    keep(text) {
        sessionStorage.setItem(KEY_PLACE, text.trim());
        this.setState({ vkey: text });
        this.read();
    }
    // Both were signed; the proof must lead from the one's root to the other's.
    async compare(event) {
        event.preventDefault();
        this.setState({ problem: null, compared: null });
        try {
            const held = readCheckpoint(this.state.held.replace(/\r/g, ''));
            const now = readCheckpoint(await callText('/ai/audit/checkpoint'));
            const compared = [await signatureStep(held)];
            if (held.origin !== now.origin) {
                compared.push(['bad', 'It is of another log: ' + held.origin]);
            } else if (held.size > now.size) {
                compared.push(['bad', 'It covers ' + count(held.size) + ' events, the log now has ' + count(now.size) + ': events are missing.']);
            } else if (held.size === now.size) {
                compared.push(toHex(held.root) === toHex(now.root) ? ['good', 'The log is exactly what it was.'] : ['bad', 'The root is another one: events were changed.']);
            } else if (held.size > 0) {
                const proof = await call('GET', '/ai/audit/consistency' + query({ from: held.size, to: now.size }));
                const roots = await rootsOfConsistency(held.size, now.size, held.root, proof.consistency.map(fromHex));
                const good = roots && toHex(roots[0]) === toHex(held.root) && toHex(roots[1]) === toHex(now.root);
                compared.push(good ? ['good', 'The log of ' + count(now.size) + ' events begins with the ' + count(held.size) + ' that you hold: none was changed or taken out.']
                    : ['bad', 'The proof does not lead from the one to the other: events that you hold were changed or taken out.']);
            }
            this.setState({ compared, checkpoint: now });
        } catch (problem) {
            this.setState({ problem });
        }
    }
    render(_, { checkpoint, steps, problem, vkey = heldVerifier(), held = '', compared }) {
        return h('section', { 'aria-labelledby': 'checkpoint' },
            h('div', { class: 'title-line' }, h('h2', { id: 'checkpoint' }, 'Checkpoint'),
                checkpoint && h('button', { type: 'button', onClick: () => download('checkpoint-' + checkpoint.size, checkpoint.text) }, 'Download the checkpoint')),
            h(Failure, { problem }),
            !checkpoint ? !problem && h(Waiting, { what: 'the checkpoint' }) : h('div', null,
                h(Pairs, { pairs: [['Log', checkpoint.origin], ['Events', count(checkpoint.size)], ['Root', h('code', null, toHex(checkpoint.root))]] }),
                h(Steps, { steps })),
            h(TextField, { label: 'Verifier key', wide: true, value: vkey, placeholder: 'gantry/…+…+…', onValue: (text) => this.keep(text),
                hint: 'GANTRY_AUDIT_VKEY, as the operator gave it to you; kept for this tab.' }),
            h('details', null, h('summary', null, 'Compare with a checkpoint that you hold'),
                h('form', { onSubmit: (event) => this.compare(event) },
                    h(TextArea, { label: 'Held checkpoint', rows: 6, value: held, required: true, hint: 'The whole text of one that you downloaded earlier.', onValue: (text) => this.setState({ held: text }) }),
                    h('div', { class: 'buttons' }, h('button', { type: 'submit', disabled: !held }, 'Compare'))),
                compared && h(Steps, { steps: compared })));
    }
}

export class Audit extends Page {
    componentDidMount() {
        this.read();
    }
    read(cursor) {
        const { action, status, actor, from, to, items = [] } = this.state;
        return this.attempt(async () => {
            const page = await call('GET', '/ai/audit' + query({ action, status, actor, from, to, limit: 25, cursor }));
            this.setState({ items: cursor ? [...items, ...page.items] : page.items, next: page.next_cursor });
        });
    }
    render(_, { items, next, busy, problem, action = '', status = '', actor = '', from = '', to = '' }) {
        const set = (name) => (value) => this.setState({ [name]: value });
        return h('div', null, h('h1', null, 'Audit'), h(Checkpoint),
            h('section', { 'aria-labelledby': 'events' }, h('h2', { id: 'events' }, 'Events'),
                h('form', { onSubmit: (event) => { event.preventDefault(); this.read(); } },
                    h('div', { class: 'fields' },
                        h(TextField, { label: 'Action', value: action, placeholder: 'memory.ingest', onValue: set('action') }),
                        h(Choice, { label: 'Status', value: status, options: [['', 'all'], ...STATUSES.map((one) => [one, one.replace('_', ' ')])], onValue: set('status') }),
                        h(TextField, { label: 'Actor', value: actor, hint: 'A key’s id, or what an event names.', onValue: set('actor') }),
                        h(TextField, { label: 'From', value: from, hint: 'A day or a time, UTC: 2026-11-28', onValue: set('from') }),
                        h(TextField, { label: 'To', value: to, onValue: set('to') })),
                    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary', disabled: busy }, 'Show'))),
                h(Failure, { problem }),
                !items ? !problem && h(Waiting, { what: 'the events' })
                    : items.length === 0 ? h(Empty, { title: 'No event passes.' }, 'Take fewer filters, or an earlier day.')
                        : h(Table, { caption: 'Events', head: ['Time', 'Action', 'Status', 'Actor', 'Target', 'Took'], rows: items.map((one) =>
                            h('tr', { key: one.event_id + one.leaf_index }, h('th', { scope: 'row' }, h('a', { href: '#/audit/' + one.event_id }, h(Time, { at: one.time }))),
                                h('td', null, one.action), h('td', null, h(Badge, { state: one.status || one.decision || one.type })),
                                h('td', null, one.actor || one.key_id || one.actor_type || '–'), h('td', null, one.target || ''), h('td', null, duration(one.duration_ms)))) }),
                next && h('div', { class: 'buttons' }, h('button', { type: 'button', disabled: busy, onClick: () => this.read(next) }, 'Older events'))));
    }
}
