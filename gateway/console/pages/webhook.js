// SPDX-License-Identifier: MIT
// webhook - one of them: change, disable, rotate, test, delete; its deliveries, which can be sent again.

import { h, Page, Failure, Waiting, Empty, Table, Time, Choice, Pairs, Json, Badge, Confirm, count } from './ui.js';
import { call, query, poll } from './api.js';
import { Fields, Off, Secret, eventsOf, isOff, stateOf } from './webhooks.js';

const STATES = ['all', 'pending', 'delivered', 'failed'];
const QUESTIONS = {
    rotate: ['Rotate the secret?', 'Rotate', 'A new secret signs from now on; the present one signs as well for a day, so that the receiver can change over.'],
    delete: ['Delete the webhook?', 'Delete', 'Its deliveries and its secret go with it, and what waits is not sent.'],
};

export class Webhook extends Page {
    componentDidMount() {
        this.attempt(() => this.read());
        this.stop = poll(5000, () => this.state.hook && this.read().catch(() => {}));
    }
    path(tail = '') {
        return '/webhooks/' + encodeURIComponent(this.props.id) + tail;
    }
    async read() {
        const { which = 'all' } = this.state;
        const hook = await call('GET', this.path());
        const page = await call('GET', this.path('/deliveries') + query({ state: which === 'all' ? '' : which, limit: 25 }));
        if ((this.state.which || 'all') === which)
            this.setState({ hook, items: page.items, next: page.next_cursor });
    }
    earlier() {
        const { which = 'all', next, items } = this.state;
        this.stop(); // what is read anew is the first page
        this.attempt(async () => {
            const page = await call('GET', this.path('/deliveries') + query({ state: which === 'all' ? '' : which, limit: 25, cursor: next }));
            this.setState({ items: [...items, ...page.items], next: page.next_cursor });
        });
    }
    // Does it, says so, and reads what it became.
    act(method, tail, body, said) {
        return this.attempt(async () => {
            const done = await call(method, this.path(tail), body);
            this.setState({ said, ...(done && done.secret ? { secret: done } : {}) });
            await this.read();
        });
    }
    async change(event) {
        event.preventDefault();
        const { url, events, description, order } = this.state.form;
        const body = { url: url.trim(), events: eventsOf(events), description: description.trim(), ordered: order === 'ordered' };
        if (await this.act('PATCH', '', body, 'It is changed.'))
            this.setState({ form: null });
    }
    async confirmed(verb) {
        this.setState({ asking: null });
        if (verb === 'rotate')
            return this.act('POST', '/rotate', {}, 'The secret is another one now.');
        return this.attempt(async () => {
            this.stop();
            await call('DELETE', this.path());
            location.hash = '#/webhooks';
        });
    }
    edit(hook) {
        this.setState({ said: null, form: { url: hook.url, events: hook.events.join('\n'), description: hook.description, order: hook.ordered ? 'ordered' : '' } });
    }
    render(_, { hook, problem, said, secret, form, asking, busy }) {
        const head = h('div', { class: 'title-line' }, h('h1', null, 'Webhook'), h('a', { href: '#/webhooks' }, 'All webhooks'));
        if (!hook)
            return h('div', null, head, isOff(problem) ? h(Off, { onAgain: () => this.attempt(() => this.read()) })
                : h(Failure, { problem }), !problem && h(Waiting, { what: 'the webhook' }));
        return h('div', null, head, said && h('p', { class: 'notice', role: 'status' }, said), h(Failure, { problem }),
            secret && h(Secret, { what: 'The new secret', text: secret.secret, until: secret.previous_valid_until, onStored: () => this.setState({ secret: null }) }),
            h('section', { 'aria-labelledby': 'webhook' }, h('h2', { id: 'webhook' }, hook.description || 'Where it goes'), this.facts(hook),
                form ? this.form(form, busy) : this.buttons(hook, busy)),
            this.deliveries(hook, busy),
            asking && h(Confirm, { title: QUESTIONS[asking][0], action: QUESTIONS[asking][1], onYes: () => this.confirmed(asking), onNo: () => this.setState({ asking: null }) },
                h('p', null, QUESTIONS[asking][2])));
    }
    facts(hook) {
        return h(Pairs, { pairs: [['URL', h('code', null, hook.url)], ['State', h(Badge, { state: stateOf(hook) })], ['Events', hook.events.join(' ')],
            ['Order', hook.ordered ? 'one at a time, in the order of the log' : 'any'],
            ['Signature', hook.public_key ? h('span', null, hook.signature + ', public key ', h('code', null, hook.public_key)) : hook.signature],
            ['Pending', count(hook.pending)], ['Last delivered', h(Time, { at: hook.delivered_at })], ['Created', h(Time, { at: hook.created_at })],
            hook.previous_valid_until && ['The secret before signs until', h(Time, { at: hook.previous_valid_until })]] });
    }
    buttons(hook, busy) {
        const button = (text, onClick, kind) => h('button', { type: 'button', class: kind || '', disabled: busy, onClick }, text);
        return h('div', { class: 'buttons' }, button('Change', () => this.edit(hook)),
            hook.enabled ? button('Disable', () => this.act('PATCH', '', { enabled: false }, 'It is disabled: what happens meanwhile waits.'))
                : button('Enable', () => this.act('PATCH', '', { enabled: true }, 'It is enabled and goes on where it stopped.')),
            button('Send a test', () => this.act('POST', '/test', {}, 'A delivery of the type webhook.test is on its way.')),
            button('Rotate', () => this.setState({ asking: 'rotate' })), button('Delete', () => this.setState({ asking: 'delete' }), 'danger'));
    }
    form(form, busy) {
        return h('form', { onSubmit: (event) => this.change(event) },
            h('div', { class: 'fields' }, Fields({ ...form, onValues: (values) => this.setState({ form: { ...this.state.form, ...values } }) })),
            h('div', { class: 'buttons' }, h('button', { type: 'button', onClick: () => this.setState({ form: null }) }, 'Keep'),
                h('button', { type: 'submit', class: 'primary', disabled: busy }, 'Save')));
    }
    deliveries(hook, busy) {
        const { which = 'all', items, next } = this.state;
        return h('section', { 'aria-labelledby': 'deliveries' }, h('h2', { id: 'deliveries' }, 'Deliveries'),
            h('div', { class: 'fields' }, h(Choice, { label: 'State', value: which, options: STATES.map((name) => [name, name]),
                onValue: (value) => this.setState({ which: value, items: null }, () => this.attempt(() => this.read())) })),
            this.list(items, which, busy),
            next && h('div', { class: 'buttons' }, h('button', { type: 'button', disabled: busy, onClick: () => this.earlier() }, 'Earlier ones')));
    }
    list(items, which, busy) {
        if (!items)
            return h(Waiting, { what: 'the deliveries' });
        if (items.length === 0)
            return h(Empty, { title: which === 'all' ? 'Nothing was delivered yet.' : 'There is none in this state.' }, 'Send a test, or wait for one of its events.');
        return h(Table, { caption: 'Deliveries', head: ['Made', 'Type', 'State', 'Attempts', 'Last answer', 'Next attempt', 'Sent', 'Again'], rows: items.map((one) =>
            h('tr', { key: one.id }, h('th', { scope: 'row' }, h(Time, { at: one.created_at })), h('td', null, one.type),
                h('td', null, h(Badge, { state: one.state })), h('td', null, count(one.attempts)),
                h('td', null, [one.http_status, one.error].filter(Boolean).join(': ') || '–'), h('td', null, h(Time, { at: one.next_at })),
                h('td', null, h('details', null, h('summary', { 'aria-label': 'What is sent as ' + one.id }, 'Show'), h(Json, { value: one.payload }))),
                h('td', null, one.state !== 'pending' && h('button', { type: 'button', disabled: busy, 'aria-label': 'Send ' + one.id + ' again',
                    onClick: () => this.act('POST', '/deliveries/' + one.id + '/replay', {}, 'It is sent again, under its old id.') }, 'Replay')))) });
    }
}
