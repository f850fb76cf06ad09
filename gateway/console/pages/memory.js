// SPDX-License-Identifier: MIT
// memory - search in three modes, the list of memories, adding one, forgetting a scope.

import { h, Page, Failure, Waiting, Empty, Time, TextField, TextArea, Choice, Confirm, count } from './ui.js';
import { call, may, query as queryText } from './api.js';
import { Marked } from './marks.js';

const MODES = [
    ['hybrid', 'Meaning and words'],
    ['vector', 'Meaning'],
    ['text', 'Words'],
];

const EXPLAINED = {
    hybrid: 'Both scores, each against the best that the search found, weighted and added: docs/memory.md has the formula.',
    vector: '1 − the cosine distance of the two texts’ vectors: 1 is the same meaning.',
    text: 'BM25 r as r / (1 + r): how rare and how frequent the words of the query are in it.',
};

function splitTags(text) {
    return text.split(',').map((one) => one.trim()).filter(Boolean);
}

function scoreRow(name, value, text) {
    return [h('span', null, name),
        h('meter', { min: 0, max: 1, value: Math.max(0, Math.min(1, value)), 'aria-label': name + ' ' + value.toFixed(2) }),
        h('span', null, text)];
}

// Why a result is where it is.
function Scores({ item, mode }) {
    return h('div', { class: 'scores' },
        ...scoreRow('Score', item.score, item.score.toFixed(3) + (mode === 'hybrid' ? ': both, weighted' : '')),
        ...(item.similarity_score == null ? [] : scoreRow('Meaning', item.similarity_score,
            item.similarity_score.toFixed(3) + (item.cosine_distance == null ? '' : ', cosine distance ' + item.cosine_distance.toFixed(3)))),
        ...(item.text_score == null ? [] : scoreRow('Words', item.text_score / (1 + item.text_score), 'BM25 ' + item.text_score.toFixed(3))));
}

export function Tags({ tags }) {
    return tags.length > 0 && h('span', { class: 'tags' }, tags.map((one) => h('span', { class: 'tag' }, one)));
}

function Item({ item, query, mode }) {
    return h('li', null,
        h(Marked, { text: item.content, query }),
        mode && h(Scores, { item, mode }),
        h('p', { class: 'small' }, item.rank && item.rank + '. ', h('a', { href: '#/memory/' + item.id, 'aria-label': 'Open the memory: ' + item.content.slice(0, 40) }, 'Open'), ' · ', item.scope, ' · ', item.source, ' · ', h(Time, { at: item.created_at }), ' ', h(Tags, { tags: item.tags })));
}

export class Memories extends Page {
    componentDidMount() {
        this.list();
    }
    list(cursor) {
        const { scope = '', items = [] } = this.state;
        return this.attempt(async () => {
            const page = await call('GET', '/memory' + queryText({ scope, limit: 20, cursor }));
            this.setState({ items: cursor ? [...items, ...page.items] : page.items, next: page.next_cursor, found: null });
        });
    }
    search(event) {
        event.preventDefault();
        const { words = '', mode = 'hybrid', scope = '', tags = '', k = '10' } = this.state;
        if (!words.trim()) {
            this.list();
            return;
        }
        const body = { query: words, mode, k: Number(k) || 10 };
        if (scope)
            body.scope = scope;
        if (splitTags(tags).length > 0)
            body.tags = splitTags(tags);
        this.attempt(async () => this.setState({ found: await call('POST', '/webhook/memory/search', body) }));
    }
    async add(event) {
        event.preventDefault();
        const { newScope = '', newText = '', newTags = '' } = this.state;
        const body = { scope: newScope, text: newText, source: 'console' };
        if (splitTags(newTags).length > 0)
            body.tags = splitTags(newTags);
        const added = await this.attempt(async () => {
            const answer = await call('POST', '/webhook/memory/ingest', body);
            this.setState({ said: answer.status === 'accepted' ? 'Accepted: it will be stored soon.' : answer.deduplicated ? 'This text was there already: its tags were united.' : 'Stored.',
                newText: '', newTags: '' });
        });
        if (added)
            this.list();
    }
    async forget() {
        const scope = this.state.scope;
        this.setState({ asking: false });
        const done = await this.attempt(async () => {
            const answer = await call('POST', '/memory/forget', { scope });
            this.setState({ said: answer.status === 'accepted' ? 'Accepted: the scope will be forgotten soon.' : count(answer.deleted) + ' memories of ' + scope + ' are deleted.' });
        });
        if (done)
            this.list();
    }
    render(_, state) {
        const { problem, said, adding, asking, scope = '' } = state;
        return h('div', null,
            h('div', { class: 'title-line' }, h('h1', null, 'Memory'),
                may('memory:write') && h('button', { type: 'button', 'aria-expanded': String(Boolean(adding)), onClick: () => this.setState({ adding: !adding }) }, adding ? 'Close the form' : 'Add a memory')),
            said && h('p', { class: 'notice', role: 'status' }, said),
            adding && this.addForm(state),
            this.searchForm(state),
            h(Failure, { problem }),
            h('section', { 'aria-labelledby': 'found' }, this.results(state)),
            asking && h(Confirm, { title: 'Forget everything in ' + scope + '?', word: scope, action: 'Forget it', onYes: () => this.forget(), onNo: () => this.setState({ asking: false }) },
                h('p', null, 'Every memory of this scope is deleted: texts, facts, earlier versions, vectors, and what is still on its way. Nothing brings it back.')));
    }
    addForm({ newScope = '', newText = '', newTags = '', busy }) {
        return h('section', { 'aria-labelledby': 'add' }, h('h2', { id: 'add' }, 'Add a memory'),
            h('form', { onSubmit: (event) => this.add(event) },
                h(TextArea, { label: 'Text', value: newText, required: true, onValue: (text) => this.setState({ newText: text }) }),
                h('div', { class: 'fields' },
                    h(TextField, { label: 'Scope of the memory', value: newScope, required: true, hint: 'Whose or what memory this is, such as user:1.', onValue: (text) => this.setState({ newScope: text }) }),
                    h(TextField, { label: 'Tags of the memory', value: newTags, hint: 'With commas between them.', onValue: (text) => this.setState({ newTags: text }) })),
                h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary', disabled: busy }, 'Store it'))));
    }
    searchForm({ words = '', mode = 'hybrid', scope = '', tags = '', k = '10', busy }) {
        return h('section', { 'aria-labelledby': 'search' }, h('h2', { id: 'search' }, 'Search'),
            h('form', { role: 'search', onSubmit: (event) => this.search(event) },
                h(TextField, { label: 'What to look for', type: 'search', wide: true, value: words, onValue: (text) => this.setState({ words: text }) }),
                h('fieldset', null, h('legend', null, 'By'), h('div', { class: 'radios' }, MODES.map(([name, text]) =>
                    h('label', null, h('input', { type: 'radio', name: 'mode', value: name, checked: mode === name, onChange: () => this.setState({ mode: name }) }), text)))),
                h('div', { class: 'fields' },
                    h(TextField, { label: 'Scope', value: scope, hint: 'Empty: the whole workspace.', onValue: (text) => this.setState({ scope: text }) }),
                    h(TextField, { label: 'Tags', value: tags, hint: 'That it must have all of.', onValue: (text) => this.setState({ tags: text }) }),
                    h(Choice, { label: 'Results', value: k, options: ['5', '10', '20', '50'].map((one) => [one, one]), onValue: (text) => this.setState({ k: text }) })),
                h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary', disabled: busy }, words.trim() ? 'Search' : 'List'),
                    may('memory:delete') && h('button', { type: 'button', class: 'danger', disabled: !scope || busy, onClick: () => this.setState({ asking: true }) }, scope ? 'Forget ' + scope : 'Forget a scope'),
                    may('memory:delete') && !scope && h('span', { class: 'small' }, 'Name the scope above to forget all of it.'))));
    }
    results({ found, items, next, scope = '', busy, problem }) {
        if (found)
            return [h('h2', { id: 'found', role: 'status' }, found.results_count === 0 ? 'Nothing found' : count(found.results_count) + ' found'),
                found.results_count === 0
                    ? h(Empty, { title: 'No memory passes.' }, 'Try other words, another mode, or fewer filters.')
                    : [h('p', { class: 'small' }, EXPLAINED[found.mode]),
                        h('ol', { class: 'items' }, found.results.map((item) => h(Item, { key: item.id, item, query: found.query, mode: found.mode })))]];
        return [h('h2', { id: 'found' }, 'Newest'),
            !items ? !problem && h(Waiting, { what: 'the memories' })
                : items.length === 0 ? h(Empty, { title: scope ? 'This scope has no memory.' : 'There is no memory yet.' }, may('memory:write') ? 'Add one: the button is above.' : 'A key of the role developer can store one.')
                    : h('ul', { class: 'items' }, items.map((item) => h(Item, { key: item.id, item }))),
            next && h('div', { class: 'buttons' }, h('button', { type: 'button', disabled: busy, onClick: () => this.list(next) }, 'Older memories'))];
    }
}
