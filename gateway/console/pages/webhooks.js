// SPDX-License-Identifier: MIT
// webhooks - events that are sent to servers of others, and below them the hooks of services.

import { h, Page, Failure, Waiting, Empty, Table, Time, TextField, TextArea, Choice, Copy, Badge, count } from './ui.js';
import { call, session } from './api.js';
import { onEvents } from './events.js';
import { Hooks } from './hooks.js';

const ORDERS = [['', 'several at a time, in any order'], ['ordered', 'one at a time, in the order of the log']];
const SIGNATURES = [['hmac', 'hmac: a secret that both know'], ['ed25519', 'ed25519: a public key, no shared secret']];

// A secret that was just made: it is gone when the page is left.
export function Secret({ what, text, until, onStored }) {
    return h('div', { class: 'notice warn', role: 'status' },
        h('p', null, h('strong', null, what + ', shown this once.'), ' Store it where it belongs: it cannot be read again.'),
        h('code', { class: 'secret', id: 'secret' }, text),
        until && h('p', { class: 'small' }, 'The secret before it is good until ', h(Time, { at: until }), '.'),
        h('div', { class: 'buttons' }, h(Copy, { text, label: 'Copy the secret' }),
            h('button', { type: 'button', onClick: onStored }, 'I have stored it')));
}

// Whether nothing answers for webhooks, which is no error of the page's.
export function isOff(problem) {
    return Boolean(problem) && problem.status === 503;
}

export function Off({ onAgain }) {
    return h('div', null,
        h(Empty, { title: 'Webhooks are off: no gantry-connector answers.' },
            'It sends the deliveries and keeps the secrets. An operator sets CONNECTOR_ENABLED=1 and starts it; then ask again.'),
        h('div', { class: 'buttons' }, h('button', { type: 'button', onClick: onAgain }, 'Ask again')));
}

export function stateOf(hook) {
    return hook.enabled ? 'enabled' : 'disabled (' + hook.disabled_reason + ')';
}

export function eventsOf(text) {
    return text.split(/[\s,]+/).filter(Boolean);
}

// What can be changed, as fields.
export function Fields({ url, events, description, order, onValues }) {
    return [
        h(TextField, { label: 'URL', type: 'url', value: url, required: true, wide: true, maxlength: 2048, placeholder: 'https://hooks.example.com/gantry',
            hint: 'Its host must be on the egress list of the workspace, which an operator keeps.', onValue: (text) => onValues({ url: text }) }),
        h(TextArea, { label: 'Events', value: events, required: true, rows: 3, hint: 'One a line: job.ended, approval.asked, memory.*, audit.*',
            onValue: (text) => onValues({ events: text }) }),
        h(TextField, { label: 'Description', value: description, maxlength: 256, onValue: (text) => onValues({ description: text }) }),
        h(Choice, { label: 'Order', value: order, options: ORDERS, onValue: (text) => onValues({ order: text }) }),
    ];
}

export class Webhooks extends Page {
    componentDidMount() {
        this.read();
        this.stop = onEvents(['webhook', 'missed'], () => this.state.items && this.read()); // one was disabled
    }
    read() {
        return this.attempt(async () => this.setState({ items: (await call('GET', '/webhooks')).items }));
    }
    async create(event) {
        event.preventDefault();
        const { url = '', events = '', description = '', order = '', signature = 'hmac' } = this.state;
        const body = { url: url.trim(), events: eventsOf(events), ordered: order === 'ordered', signature };
        if (description.trim())
            body.description = description.trim();
        const done = await this.attempt(async () =>
            this.setState({ made: await call('POST', '/webhooks', body), url: '', events: '', description: '' }));
        if (done)
            this.read();
    }
    render(_, { items, problem, made, busy, url = '', events = '', description = '', order = '', signature = 'hmac' }) {
        if (isOff(problem) && !items)
            return h('div', null, h('h1', null, 'Webhooks'), h(Off, { onAgain: () => this.read() }));
        return h('div', null, h('h1', null, 'Webhooks'),
            h('p', null, 'Events of the workspace go to servers of others, signed. Deliveries carry names and ids, never a text or a result.'),
            h(Failure, { problem }), made && this.made(made), this.warning(items),
            h('section', { 'aria-labelledby': 'list' }, h('h2', { id: 'list' }, 'Webhooks of ' + session.who.tenant_id), this.list(items, problem)),
            h('section', { 'aria-labelledby': 'create' }, h('h2', { id: 'create' }, 'Create a webhook'),
                h('form', { onSubmit: (event) => this.create(event) },
                    h('div', { class: 'fields' }, Fields({ url, events, description, order, onValues: (values) => this.setState(values) }),
                        h(Choice, { label: 'Signature', value: signature, options: SIGNATURES, onValue: (text) => this.setState({ signature: text }) })),
                    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary', disabled: busy }, 'Create the webhook')))),
            h(Hooks));
    }
    // Those that were disabled because of what their receivers answered.
    warning(items) {
        const off = (items || []).filter((hook) => !hook.enabled && hook.disabled_reason !== 'by_hand');
        return off.length > 0 && h('div', { class: 'notice warn', role: 'status' },
            h('p', null, off.length === 1 ? 'A webhook was disabled, because its receiver refuses its deliveries: '
                : count(off.length) + ' webhooks were disabled, because their receivers refuse their deliveries: ',
            off.map((hook) => h('span', { key: hook.id }, h('code', null, hook.url), ' (' + hook.disabled_reason + ') ')),
            'What happens meanwhile waits in the audit log. Look at it, and enable it when the receiver is mended.'));
    }
    made(hook) {
        const stored = () => this.setState({ made: null });
        if (hook.secret)
            return h(Secret, { what: 'The secret of ' + hook.url, text: hook.secret, onStored: stored });
        return h('div', { class: 'notice', role: 'status' }, h('p', null, 'The receiver verifies with the public key ', h('code', null, hook.public_key), '.'),
            h('div', { class: 'buttons' }, h(Copy, { text: hook.public_key, label: 'Copy the public key' })));
    }
    list(items, problem) {
        if (!items)
            return !problem && h(Waiting, { what: 'the webhooks' });
        if (items.length === 0)
            return h(Empty, { title: 'There is no webhook.' }, 'Create one below: it hears what happens from then on. An operator first puts its host on the egress list (gantry workspace egress).');
        return h(Table, { caption: 'Webhooks', head: ['URL', 'Events', 'State', 'Pending', 'Last delivered', 'Look'], rows: items.map((hook) =>
            h('tr', { key: hook.id }, h('th', { scope: 'row' }, h('code', null, hook.url)), h('td', null, hook.events.join(' ')),
                h('td', null, h(Badge, { state: stateOf(hook) })), h('td', null, count(hook.pending)), h('td', null, h(Time, { at: hook.delivered_at })),
                h('td', null, h('a', { href: '#/webhooks/' + hook.id, 'aria-label': 'Look at ' + hook.url + ' ' + hook.id }, 'Look')))) });
    }
}
