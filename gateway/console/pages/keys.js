// SPDX-License-Identifier: MIT
// keys - the workspace's API keys: create, rotate, revoke. A secret is shown once.

import { h, Page, Failure, Waiting, Badge, Empty, Table, Time, TextField, Choice, Copy, Confirm } from './ui.js';
import { call, session } from './api.js';

const ROLES = [
    ['viewer', 'viewer: reads memories and jobs'],
    ['developer', 'developer: also stores memories, runs actions'],
    ['admin', 'admin: also audit, deletion, keys'],
];

function stateOf(key) {
    if (key.revoked_at)
        return 'revoked';
    return key.expires_at && new Date(key.expires_at) < new Date() ? 'expired' : 'valid';
}

export class Keys extends Page {
    componentDidMount() {
        this.read();
    }
    read() {
        return this.attempt(async () => this.setState({ items: (await call('GET', '/keys')).items }));
    }
    async create(event) {
        event.preventDefault();
        const { name = '', role = 'viewer', days = '' } = this.state;
        const body = { role };
        if (name.trim())
            body.name = name.trim();
        if (days)
            body.expires_in_days = Number(days);
        const made = await this.attempt(async () => this.setState({ secret: await call('POST', '/keys', body), name: '', days: '' }));
        if (made)
            this.read();
    }
    async confirmed() {
        const { key, verb } = this.state.asking;
        this.setState({ asking: null });
        const path = '/keys/' + encodeURIComponent(key.key_id);
        const done = await this.attempt(async () => {
            if (verb === 'rotate')
                this.setState({ secret: await call('POST', path + '/rotate') });
            else
                await call('DELETE', path);
        });
        if (done)
            this.read();
    }
    render(_, { items, problem, secret, asking, busy, name = '', role = 'viewer', days = '' }) {
        return h('div', null, h('h1', null, 'Keys'), h(Failure, { problem }),
            secret && secret.key && h('div', { class: 'notice warn', role: 'status' },
                h('p', null, h('strong', null, 'The new key, shown this once.'), ' Store it where it belongs: it cannot be read again.'),
                h('code', { class: 'secret', id: 'secret' }, secret.key),
                secret.previous_valid_until && h('p', { class: 'small' }, 'The key before it is good until ', h(Time, { at: secret.previous_valid_until }), '.'),
                h('div', { class: 'buttons' }, h(Copy, { text: secret.key, label: 'Copy the key' }),
                    h('button', { type: 'button', onClick: () => this.setState({ secret: null }) }, 'I have stored it'))),
            h('section', { 'aria-labelledby': 'create' }, h('h2', { id: 'create' }, 'Create a key'),
                h('form', { onSubmit: (event) => this.create(event) },
                    h('div', { class: 'fields' },
                        h(TextField, { label: 'Name', value: name, hint: 'Who or what will use it.', maxlength: 256, onValue: (text) => this.setState({ name: text }) }),
                        h(Choice, { label: 'Role', value: role, options: ROLES, hint: 'No more than it needs.', onValue: (text) => this.setState({ role: text }) }),
                        h(TextField, { label: 'Days until it ends', type: 'number', min: 1, value: days, hint: 'Empty: it does not end.', onValue: (text) => this.setState({ days: text }) })),
                    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary', disabled: busy }, 'Create')))),
            h('section', { 'aria-labelledby': 'list' }, h('h2', { id: 'list' }, 'Keys of this workspace'), this.list(items, problem)),
            asking && h(Confirm, { title: (asking.verb === 'rotate' ? 'Rotate ' : 'Revoke ') + (asking.key.name || asking.key.key_id) + '?', word: asking.verb === 'revoke' ? asking.key.key_id : '',
                action: asking.verb === 'rotate' ? 'Rotate' : 'Revoke', onYes: () => this.confirmed(), onNo: () => this.setState({ asking: null }) },
            h('p', null, asking.verb === 'rotate' ? 'A new key takes its place; the present one stays good for a day, so that programs can change over.'
                : 'It is refused everywhere within a second, and cannot be made valid again.'),
            asking.key.key_id === session.who.key_id && h('p', null, h('strong', null, 'It is the key that you are signed in with.'))));
    }
    list(items, problem) {
        if (!items)
            return !problem && h(Waiting, { what: 'the keys' });
        if (items.length === 0)
            return h(Empty, { title: 'There is no key.' }, 'Create one above.');
        return h(Table, { caption: 'Keys', head: ['Key', 'Name', 'Role', 'State', 'Created', 'Ends', 'Last used', 'Change'], rows: items.map((key) => {
            const state = stateOf(key);
            return h('tr', { key: key.key_id },
                h('th', { scope: 'row' }, h('code', null, key.key_id), key.key_id === session.who.key_id && ' (this one)'),
                h('td', null, key.name), h('td', null, key.role),
                h('td', null, h(Badge, { state })), h('td', null, h(Time, { at: key.created_at })), h('td', null, h(Time, { at: key.expires_at })), h('td', null, h(Time, { at: key.last_used_at })),
                h('td', null, state === 'valid' && ['rotate', 'revoke'].map((verb) =>
                    h('button', { type: 'button', class: verb === 'revoke' ? 'danger' : '', 'aria-label': verb + ' ' + (key.name || key.key_id),
                        onClick: () => this.setState({ asking: { key, verb } }) }, verb === 'rotate' ? 'Rotate' : 'Revoke'))));
        }) });
    }
}
