// SPDX-License-Identifier: MIT
// hooks - addresses by which services that cannot send a key have one command carried out.

import { h, Page, Failure, Waiting, Empty, Table, Time, TextField, TextArea, Choice, Confirm } from './ui.js';
import { call } from './api.js';
import { Secret } from './webhooks.js';

const SCHEMES = [['github', 'github'], ['standard', 'standard: Standard Webhooks'], ['stripe', 'stripe'], ['slack', 'slack'], ['hmac', 'hmac: the body in a header']];
const COMMANDS = ['memory.ingest', 'audit.append', 'executor.run'].map((name) => [name, name]);
const TEMPLATE = '{\n  "scope": "github",\n  "text": "{/body/issue/title}: {/body/issue/body|}"\n}';

function read(label, text) {
    try {
        return JSON.parse(text);
    } catch (error) {
        throw new Error(label + ' is not JSON: ' + error.message);
    }
}

export class Hooks extends Page {
    componentDidMount() {
        this.read();
    }
    read() {
        return this.attempt(async () => this.setState({ items: (await call('GET', '/hooks')).items }));
    }
    body() {
        const { scheme = 'github', command = 'memory.ingest', template = TEMPLATE, only = '', purpose = '', given = '', header = '' } = this.state;
        const body = { scheme, command, template: read('Template', template) };
        if (only.trim())
            body.only = read('Only', only);
        if (purpose.trim())
            body.description = purpose.trim();
        if (given)
            body.secret = given;
        if (scheme === 'hmac')
            body.header = header.trim();
        return body;
    }
    async create(event) {
        event.preventDefault();
        const done = await this.attempt(async () => this.setState({ made: await call('POST', '/hooks', this.body()), purpose: '', given: '' }));
        if (done)
            this.read();
    }
    async confirmed() {
        const { asking } = this.state;
        this.setState({ asking: null });
        if (await this.attempt(() => call('DELETE', '/hooks/' + encodeURIComponent(asking.id))))
            this.read();
    }
    async rotate() {
        const { turning, next = '' } = this.state;
        this.setState({ turning: null, next: '' });
        const body = next ? { secret: next } : {};
        if (await this.attempt(async () => this.setState({ made: await call('POST', '/hooks/' + encodeURIComponent(turning.id) + '/rotate', body) })))
            this.read();
    }
    render(_, { items, problem, made, asking, turning, next = '', busy }) {
        return h('div', null,
            h('section', { 'aria-labelledby': 'hooks' }, h('h2', { id: 'hooks' }, 'Hooks for services'),
                h('p', null, 'A service that cannot send a key posts to such an address and proves by its signature who it is; one command is carried out.'),
                h(Failure, { problem }), made && this.made(made), this.list(items, problem)),
            h('section', { 'aria-labelledby': 'create-hook' }, h('h2', { id: 'create-hook' }, 'Create a hook'), this.form(busy)),
            turning && h(Confirm, { title: 'Rotate the secret?', action: 'Rotate', onYes: () => this.rotate(), onNo: () => this.setState({ turning: null, next: '' }) },
                h('p', null, 'What the service signs for ', h('code', null, turning.path), ' with the present secret is taken for another day, so that it can change over.'),
                h(TextField, { label: 'New secret of the service', type: 'password', value: next, hint: 'Only if the service makes it (Stripe, Slack). Empty: one is made.', onValue: (text) => this.setState({ next: text }) })),
            asking && h(Confirm, { title: 'Delete the hook?', action: 'Delete', onYes: () => this.confirmed(), onNo: () => this.setState({ asking: null }) },
                h('p', null, 'What the service sends to ', h('code', null, asking.path), ' is refused from then on.')));
    }
    made(hook) {
        const stored = () => this.setState({ made: null });
        return h('div', null,
            h('p', { class: 'notice', role: 'status' }, 'The service sends to ', h('code', null, location.origin + hook.path), '.'),
            hook.secret && h(Secret, { what: 'The secret of the hook', text: hook.secret, until: hook.previous_valid_until, onStored: stored }),
            !hook.secret && hook.previous_valid_until && h('p', { class: 'small' }, 'The secret before is taken until ', h(Time, { at: hook.previous_valid_until }), '.'));
    }
    list(items, problem) {
        if (!items)
            return !problem && h(Waiting, { what: 'the hooks' });
        if (items.length === 0)
            return h(Empty, { title: 'There is no hook.' }, 'Create one below, and give its address and secret to the service.');
        return h(Table, { caption: 'Hooks', head: ['Address', 'Scheme', 'Command', 'Description', 'Created', 'Change'], rows: items.map((hook) =>
            h('tr', { key: hook.id }, h('th', { scope: 'row' }, h('code', null, hook.path)), h('td', null, hook.scheme), h('td', null, hook.command),
                h('td', null, hook.description || '–'), h('td', null, h(Time, { at: hook.created_at })),
                h('td', null, h('button', { type: 'button', 'aria-label': 'Rotate the secret of ' + hook.path, onClick: () => this.setState({ turning: hook }) }, 'Rotate'), ' ',
                    h('button', { type: 'button', class: 'danger', 'aria-label': 'Delete ' + hook.path, onClick: () => this.setState({ asking: hook }) }, 'Delete')))) });
    }
    form(busy) {
        const { scheme = 'github', command = 'memory.ingest', template = TEMPLATE, only = '', purpose = '', given = '', header = '' } = this.state;
        const set = (name) => (value) => this.setState({ [name]: value });
        return h('form', { onSubmit: (event) => this.create(event) },
            h('div', { class: 'fields' },
                h(Choice, { label: 'Scheme', value: scheme, options: SCHEMES, hint: 'How the service signs.', onValue: set('scheme') }),
                h(Choice, { label: 'Command', value: command, options: COMMANDS, hint: 'The key needs its scope, too.', onValue: set('command') }),
                scheme === 'hmac' && h(TextField, { label: 'Header', value: header, required: true, hint: 'The one that has the signature, in hexadecimal digits.', onValue: set('header') }),
                h(TextField, { label: 'What it is for', value: purpose, maxlength: 256, onValue: set('purpose') }),
                h(TextField, { label: 'Secret of the service', type: 'password', value: given, hint: 'Only if the service makes it (Stripe, Slack). Empty: one is made.', onValue: set('given') }),
                h(TextArea, { label: 'Template', value: template, required: true, rows: 5, hint: 'The body of the command, as JSON; {/body/…} and {/headers/…} are filled in.', onValue: set('template') }),
                h(TextArea, { label: 'Only', value: only, rows: 2, hint: 'What is taken, as JSON: {"/headers/x-github-event": ["issues"]}. Empty: everything.', onValue: set('only') })),
            h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary', disabled: busy }, 'Create the hook')));
    }
}
