// SPDX-License-Identifier: MIT
// memory_one - one memory: text, facts, versions; edit and delete.

import { h, Page, Failure, Waiting, Table, Pairs, Time, Json, TextArea, TextField, Confirm, count } from './ui.js';
import { call, may } from './api.js';
import { Tags } from './memory.js';

export class Memory extends Page {
    componentDidMount() {
        this.read();
    }
    path() {
        return '/memory/' + encodeURIComponent(this.props.id);
    }
    read() {
        return this.attempt(async () => this.setState({ memory: await call('GET', this.path() + '?history=20') }));
    }
    edit() {
        const { memory } = this.state;
        this.setState({ editing: true, text: memory.content, tags: memory.tags.join(', '), said: null });
    }
    async save(event) {
        event.preventDefault();
        const { memory, text, tags } = this.state;
        const list = tags.split(',').map((one) => one.trim()).filter(Boolean);
        const body = {};
        if (text !== memory.content)
            body.text = text;
        if (list.join() !== memory.tags.join())
            body.tags = list;
        if (Object.keys(body).length === 0) {
            this.setState({ editing: false, said: 'Nothing was changed.' });
            return;
        }
        const done = await this.attempt(async () => {
            const answer = await call('PATCH', this.path(), body);
            this.setState({ editing: false, said: answer.status === 'accepted' ? 'Accepted: it will be changed soon.' : 'Changed.' });
        });
        if (done)
            this.read();
    }
    remove() {
        this.setState({ asking: false });
        this.attempt(async () => {
            await call('DELETE', this.path());
            location.hash = '#/memory';
        });
    }
    render(_, { memory, problem, editing, said, asking }) {
        return h('div', null,
            h('p', { class: 'small' }, h('a', { href: '#/memory' }, 'All memories')),
            h('div', { class: 'title-line' }, h('h1', null, 'Memory'),
                memory && !editing && h('span', { class: 'buttons' },
                    may('memory:write') && h('button', { type: 'button', onClick: () => this.edit() }, 'Edit'),
                    may('memory:delete') && h('button', { type: 'button', class: 'danger', onClick: () => this.setState({ asking: true }) }, 'Delete'))),
            said && h('p', { class: 'notice', role: 'status' }, said),
            h(Failure, { problem }),
            !memory ? !problem && h(Waiting, { what: 'the memory' }) : editing ? this.form() : this.details(memory),
            memory && this.versions(memory),
            asking && h(Confirm, { title: 'Delete this memory?', action: 'Delete it', onYes: () => this.remove(), onNo: () => this.setState({ asking: false }) },
                h('p', null, 'Its text, facts, vector and earlier versions are deleted. Nothing brings it back.')));
    }
    form() {
        const { text, tags, busy } = this.state;
        return h('section', { 'aria-labelledby': 'edit' }, h('h2', { id: 'edit' }, 'Edit'),
            h('form', { onSubmit: (event) => this.save(event) },
                h(TextArea, { label: 'Text', rows: 8, value: text, required: true, onValue: (value) => this.setState({ text: value }) }),
                h(TextField, { label: 'Tags', wide: true, hint: 'With commas between them.', value: tags, onValue: (value) => this.setState({ tags: value }) }),
                h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary', disabled: busy }, 'Save'),
                    h('button', { type: 'button', onClick: () => this.setState({ editing: false }) }, 'Leave it as it is'))));
    }
    details(memory) {
        const facts = memory.facts || [];
        return h('div', null,
            h('section', { 'aria-label': 'Text' }, h('p', { class: 'text' }, memory.content), h(Tags, { tags: memory.tags })),
            h('section', { 'aria-labelledby': 'about' }, h('h2', { id: 'about' }, 'About it'),
                h(Pairs, { pairs: [['Scope', memory.scope], ['Source', memory.source], ['Version', count(memory.version)], ['Created', h(Time, { at: memory.created_at })],
                    ['Ends', memory.expires_at ? h(Time, { at: memory.expires_at }) : 'never'], ['Id', h('code', null, memory.id)]] }),
                Object.keys(memory.metadata).length > 0 && h('div', null, h('h3', null, 'Metadata'), h(Json, { value: memory.metadata }))),
            h('section', { 'aria-labelledby': 'facts' }, h('h2', { id: 'facts' }, 'Facts'),
                facts.length === 0 ? h('p', { class: 'faint' }, 'None were given with it.')
                    : h(Table, { caption: 'Facts', head: ['Subject', 'Predicate', 'Object', 'Confidence'], rows: facts.map((one) =>
                        h('tr', null, h('th', { scope: 'row' }, one.subject), h('td', null, one.predicate), h('td', null, one.object), h('td', null, one.confidence == null ? '–' : String(one.confidence)))) })));
    }
    versions(memory) {
        const history = memory.history || [];
        return h('section', { 'aria-labelledby': 'history' }, h('h2', { id: 'history' }, 'Earlier versions'),
            history.length === 0 ? h('p', { class: 'faint' }, 'It was never changed.')
                : h('ol', { class: 'items' }, history.map((one) => h('li', { key: one.version }, h('p', { class: 'text' }, one.content),
                    h('p', { class: 'small' }, 'Version ', one.version, ', until ', h(Time, { at: one.changed_at }), ' ', h(Tags, { tags: one.tags }))))),
            memory.version > history.length + 1 && h('p', { class: 'small' }, 'The last ', history.length, ' are shown.'));
    }
}
