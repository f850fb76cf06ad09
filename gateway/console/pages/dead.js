// SPDX-License-Identifier: MIT
// dead - what no program could carry out: read it, send it again, discard it.

import { h, Page, Failure, Waiting, Empty, Table, Time, Choice, Confirm, Pairs, Json, count } from './ui.js';
import { call, query, session } from './api.js';

const PROGRAMS = ['ingest', 'search', 'audit', 'executor'];

function bytes(number) {
    return count(number) + ' bytes';
}

export class DeadLetters extends Page {
    componentDidMount() {
        this.read();
    }
    read(cursor) {
        const { program, items = [] } = this.state;
        return this.attempt(async () => {
            const page = await call('GET', '/ai/dead-letters' + query({ program, limit: 25, cursor }));
            this.setState({ items: cursor ? [...items, ...page.items] : page.items, next: page.next_cursor });
        });
    }
    open(seq) {
        this.attempt(async () => this.setState({ letter: await call('GET', '/ai/dead-letters/' + seq), said: null }));
    }
    async change(letter, verb) {
        this.setState({ asking: null });
        const done = await this.attempt(async () => {
            if (verb === 'replay')
                await call('POST', '/ai/dead-letters/' + letter.seq + '/replay');
            else
                await call('DELETE', '/ai/dead-letters/' + letter.seq);
            this.setState({ letter: null, said: 'Letter ' + letter.seq + (verb === 'replay' ? ' was sent again: if it fails again, it comes back here.' : ' is discarded.') });
        });
        if (done)
            this.read();
    }
    render(_, { items, next, letter, program = '', problem, said, asking, busy }) {
        return h('div', null, h('h1', null, 'Dead letters'),
            h('p', null, 'A message that no program could carry out, whatever was tried, is put aside here with its reason, for 30 days.'),
            said && h('p', { class: 'notice', role: 'status' }, said), h(Failure, { problem }),
            letter && this.one(letter, busy),
            h('section', { 'aria-labelledby': 'letters' }, h('h2', { id: 'letters' }, 'Letters of ' + session.who.tenant_id),
                h('div', { class: 'fields' }, h(Choice, { label: 'Program', value: program, options: [['', 'all'], ...PROGRAMS.map((one) => [one, one])],
                    onValue: (value) => this.setState({ program: value, items: null, letter: null }, () => this.read()) })),
                this.list(items, program, problem),
                next && h('div', { class: 'buttons' }, h('button', { type: 'button', disabled: busy, onClick: () => this.read(next) }, 'Later letters'))),
            asking && h(Confirm, { title: 'Discard letter ' + asking.seq + '?', action: 'Discard it', onYes: () => this.change(asking, 'discard'), onNo: () => this.setState({ asking: null }) },
                h('p', null, 'What was sent is lost for good. The audit log keeps that it was discarded, and by whom.')));
    }
    list(items, program, problem) {
        if (!items)
            return !problem && h(Waiting, { what: 'dead letters' });
        if (items.length === 0)
            return h(Empty, { title: program ? 'This program has given up nothing.' : 'There is no dead letter.' }, 'Nothing is to be done.');
        return h(Table, { caption: 'Dead letters', head: ['Number', 'Given up', 'By', 'Reason', 'Tried', 'Size', 'Read'], rows: items.map((one) =>
            h('tr', { key: one.seq }, h('th', { scope: 'row' }, String(one.seq)), h('td', null, h(Time, { at: one.time })), h('td', null, one.program),
                h('td', null, one.reason), h('td', null, one.deliveries + ' ×'), h('td', null, bytes(one.size)),
                h('td', null, h('button', { type: 'button', 'aria-label': 'Read letter ' + one.seq, onClick: () => this.open(one.seq) }, 'Read')))) });
    }
    one(letter, busy) {
        const payload = 'payload' in letter;
        return h('section', { 'aria-labelledby': 'letter' },
            h('div', { class: 'title-line' }, h('h2', { id: 'letter' }, 'Letter ', String(letter.seq)),
                h('button', { type: 'button', onClick: () => this.setState({ letter: null }) }, 'Close')),
            h(Pairs, { pairs: [['Reason', letter.reason], ['Given up by', letter.program], ['Given up', h(Time, { at: letter.time })], ['Tried', letter.deliveries + ' times'],
                ['Published on', h('code', null, letter.subject)], ['Message id', letter.msg_id ? h('code', null, letter.msg_id) : 'none']] }),
            h('h3', null, payload ? 'Payload' : 'Payload, which is not JSON, in base64'),
            payload ? h(Json, { value: letter.payload }) : h('pre', { tabindex: 0 }, letter.payload_base64),
            h('div', { class: 'buttons' },
                h('button', { type: 'button', class: 'primary', disabled: busy, onClick: () => this.change(letter, 'replay') }, 'Send it again'),
                h('button', { type: 'button', class: 'danger', disabled: busy, onClick: () => this.setState({ asking: letter }) }, 'Discard it …')));
    }
}
