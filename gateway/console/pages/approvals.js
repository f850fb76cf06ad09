// SPDX-License-Identifier: MIT
// approvals - actions that wait for somebody's word: exactly what would run, and the decision. Whoever asked
// for an action is offered none.

import { h, Page, Failure, Waiting, Empty, Table, Time, Choice, TextArea, Pairs, Json, Badge } from './ui.js';
import { call, query, session } from './api.js';
import { onEvents } from './events.js';

const STATES = ['waiting', 'approved', 'denied', 'expired', 'cancelled', 'failed', 'all'];

export class Approvals extends Page {
    componentDidMount() {
        this.read();
        this.stop = onEvents(['approval', 'missed'], () => this.read());
    }
    componentWillUnmount() {
        this.stop();
    }
    read(cursor) {
        const { state = 'waiting', items = [] } = this.state;
        return this.attempt(async () => {
            const page = await call('GET', '/ai/approvals' + query({ state, limit: 25, cursor }));
            this.setState({ items: cursor ? [...items, ...page.items] : page.items, next: page.next_cursor });
        });
    }
    open(id) {
        this.attempt(async () => this.setState({ one: await call('GET', '/ai/approvals/' + id), comment: '', said: null }));
    }
    // The hash is that of what is on the page: another one is refused.
    async decide(one, decision) {
        const { comment } = this.state;
        await this.attempt(async () => {
            const body = { decision, hash: one.hash, ...(comment ? { comment } : {}) };
            const done = await call('POST', '/ai/approvals/' + one.id, body);
            this.setState({ one: null, said: one.action + ' is ' + done.state + '.' });
        });
        this.read();
    }
    render(_, { items, next, one, state = 'waiting', problem, said, busy }) {
        return h('div', null, h('h1', null, 'Approvals'),
            h('p', null, 'The policy of the workspace wants somebody else to look at these actions before they run.'),
            said && h('p', { class: 'notice', role: 'status' }, said), h(Failure, { problem }),
            one && this.one(one, busy),
            h('section', { 'aria-labelledby': 'approvals' }, h('h2', { id: 'approvals' }, 'Actions of ' + session.who.tenant_id),
                h('div', { class: 'fields' }, h(Choice, { label: 'State', value: state, options: STATES.map((name) => [name, name]),
                    onValue: (value) => this.setState({ state: value, items: null, one: null }, () => this.read()) })),
                this.list(items, state, problem),
                next && h('div', { class: 'buttons' }, h('button', { type: 'button', disabled: busy, onClick: () => this.read(next) }, 'Earlier ones'))));
    }
    list(items, state, problem) {
        if (!items)
            return !problem && h(Waiting, { what: 'approvals' });
        if (items.length === 0)
            return h(Empty, { title: state === 'waiting' ? 'Nothing waits for an approval.' : 'There is none in this state.' }, 'Actions that need one appear here when somebody asks for them.');
        return h(Table, { caption: 'Approvals', head: ['Asked for', 'Action', 'By key', 'State', 'Until', 'Look'], rows: items.map((item) =>
            h('tr', { key: item.id }, h('th', { scope: 'row' }, h(Time, { at: item.requested_at })), h('td', null, item.action), h('td', null, h('code', null, item.requested_by)),
                h('td', null, h(Badge, { state: item.state })), h('td', null, h(Time, { at: item.expires_at })),
                h('td', null, h('button', { type: 'button', 'aria-label': 'Look at ' + item.action + ' ' + item.id, onClick: () => this.open(item.id) }, 'Look')))) });
    }
    one(item, busy) {
        const { comment = '' } = this.state;
        const policy = item.policy;
        return h('section', { 'aria-labelledby': 'approval' },
            h('div', { class: 'title-line' }, h('h2', { id: 'approval' }, item.action),
                h('button', { type: 'button', onClick: () => this.setState({ one: null }) }, 'Close')),
            h(Pairs, { pairs: [['State', h(Badge, { state: item.state })], ['Asked for by', h('code', null, item.requested_by + ' (' + item.role + ')')],
                ['Asked for', h(Time, { at: item.requested_at })], ['Until', h(Time, { at: item.expires_at })], ['Scope', item.scope || 'none'],
                ['Because of', policy.reasons.join('; ') + ' (policy version ' + policy.version + ')'],
                ['Decided', item.decided_by ? h('span', null, h('code', null, item.decided_by), item.comment ? ': ' + item.comment : '') : 'not yet'],
                ['Hash', h('code', null, item.hash)]] }),
            h('h3', null, item.params ? 'Parameters, exactly as they would run' : 'The parameters are not kept any more'),
            item.params && h(Json, { value: item.params }),
            item.state === 'waiting' && (item.own
                ? h('p', { class: 'notice' }, 'You asked for this: somebody else decides.')
                : h('div', null,
                    h('div', { class: 'fields' }, h(TextArea, { label: 'Comment', hint: 'Kept with the decision.', value: comment, onValue: (value) => this.setState({ comment: value }) })),
                    h('div', { class: 'buttons' },
                        h('button', { type: 'button', class: 'primary', disabled: busy, onClick: () => this.decide(item, 'approve') }, 'Approve'),
                        h('button', { type: 'button', class: 'danger', disabled: busy, onClick: () => this.decide(item, 'deny') }, 'Deny')))));
    }
}
