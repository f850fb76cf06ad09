// SPDX-License-Identifier: MIT
// ui - the parts that all pages use. Text goes into the page as text, never as markup.

import { h, Component } from './preact.js';

export { h, Component };

let lastId = 0;
export function newId() {
    return 'i' + ++lastId;
}

// An error in the words of its problem document.
export function Failure({ problem }) {
    if (!problem)
        return null;
    const doc = problem.doc || { title: 'The console made a mistake', detail: problem.message };
    const tail = [doc.code, problem.status || '', doc.request_id && 'request ' + doc.request_id].filter(Boolean).join(' · ');
    return h('div', { class: 'failure', role: 'alert' },
        h('p', null, h('strong', null, doc.title || 'Error'), ': ', doc.detail),
        doc.errors && doc.errors.length > 0 &&
            h('ul', null, doc.errors.map((one) => h('li', null, h('code', null, one.field || 'body'), ': ', one.detail))),
        tail && h('p', { class: 'small' }, tail));
}

// Nothing there: says what to do next.
export function Empty({ title, children }) {
    return h('div', { class: 'empty' }, h('p', null, h('strong', null, title)), h('p', null, children));
}

export function Waiting({ what }) {
    return h('p', { class: 'waiting', role: 'status' }, 'Reading ' + what + ' …');
}

const TONES = {
    enabled: 'good', delivered: 'good', completed: 'good', success: 'good', allowed: 'good', ready: 'good', up: 'good', ok: 'good',
    valid: 'good', expired: 'warn', running: 'busy', pending: 'busy', accepted: 'busy', degraded: 'warn', requires_approval: 'warn', waiting: 'warn', waiting_approval: 'warn', approved: 'good', unknown: 'warn',
    cancelled: 'plain', stopped: 'warn',
    failed: 'bad', dead: 'bad', denied: 'bad', down: 'bad', not_ready: 'bad', draining: 'warn',
};

export function Badge({ state }) {
    return h('span', { class: 'badge ' + (TONES[state] || (/^disabled/.test(state) ? 'warn' : 'plain')) }, String(state).replace(/_/g, ' '));
}

const FORMAT = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

export function Time({ at }) {
    if (!at)
        return h('span', { class: 'faint' }, '–');
    return h('time', { datetime: at, title: at }, FORMAT.format(new Date(at)));
}

export function duration(ms) {
    if (ms == null)
        return '–';
    if (ms < 1000)
        return (ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms)) + ' ms';
    return (ms / 1000).toFixed(ms < 10000 ? 2 : 1) + ' s';
}

export function count(number) {
    return new Intl.NumberFormat().format(number);
}

// A labelled control: children is the function that makes it from the ids.
export function Field({ label, hint, wide, control }) {
    const id = 'f-' + label.toLowerCase().replace(/[^a-z0-9]+/g, '-');
    return h('div', { class: 'field' + (wide ? ' wide' : '') },
        h('label', { for: id }, label),
        control({ id, 'aria-describedby': hint ? id + '-hint' : null }),
        hint && h('p', { class: 'hint', id: id + '-hint' }, hint));
}

export function TextField({ label, hint, wide, value, onValue, ...rest }) {
    return h(Field, { label, hint, wide,
        control: (ids) => h('input', { type: 'text', autocomplete: 'off', spellcheck: false, ...rest, ...ids, value,
            onInput: (event) => onValue(event.target.value) }) });
}

export function TextArea({ label, hint, value, onValue, ...rest }) {
    return h(Field, { label, hint, wide: true,
        control: (ids) => h('textarea', { rows: 4, spellcheck: false, ...rest, ...ids, value,
            onInput: (event) => onValue(event.target.value) }) });
}

export function Choice({ label, hint, value, options, onValue }) {
    return h(Field, { label, hint,
        control: (ids) => h('select', { ...ids, value, onChange: (event) => onValue(event.target.value) },
            options.map(([name, text, disabled]) => h('option', { value: name, selected: name === value, disabled }, text))) });
}

// Copies a text, and says so.
export class Copy extends Component {
    render({ text, label }, { done }) {
        const copy = async () => {
            try {
                await navigator.clipboard.writeText(text);
                this.setState({ done: 'Copied' });
            } catch {
                this.setState({ done: 'The browser refused: select the text and copy it' });
            }
        };
        return h('span', { class: 'copy' }, h('button', { type: 'button', onClick: copy }, label || 'Copy'),
            h('span', { role: 'status', class: 'small' }, done || ''));
    }
}

// Asks before something that cannot be undone. word: what must be typed; none = a click is enough.
export class Confirm extends Component {
    // preact may use its element again for the next one, which must not find it open.
    componentDidMount() {
        this.base.showModal();
    }
    componentWillUnmount() {
        this.base.close();
    }
    render({ title, children, action, word, onYes, onNo }, { typed = '' }) {
        const id = 'confirm-title';
        const submit = (event) => {
            event.preventDefault();
            if (!word || typed === word)
                onYes();
        };
        return h('dialog', { 'aria-labelledby': id, onCancel: (event) => { event.preventDefault(); onNo(); } },
            h('form', { onSubmit: submit },
                h('h2', { id }, title), children,
                word && h(TextField, { label: 'Type ' + word + ' to confirm', value: typed,
                    onValue: (text) => this.setState({ typed: text }) }),
                h('div', { class: 'buttons' },
                    h('button', { type: 'button', onClick: onNo }, 'Keep'),
                    h('button', { type: 'submit', class: 'danger', disabled: Boolean(word) && typed !== word }, action))));
    }
}

// A table; head: names of columns. On a narrow page each row is a block whose cells carry their
// column's name: the roles say that it is a table all the same.
export function Table({ caption, head, rows }) {
    for (const row of rows) {
        row.attributes = { role: 'row', ...row.attributes };
        row.children.forEach((cell, i) => {
            cell.attributes = { role: cell.nodeName === 'th' ? 'rowheader' : 'cell', 'data-label': head[i], ...cell.attributes };
        });
    }
    return h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': caption },
        h('table', { role: 'table' }, h('caption', { class: 'hidden' }, caption),
            h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, head.map((name) => h('th', { scope: 'col', role: 'columnheader' }, name)))),
            h('tbody', { role: 'rowgroup' }, rows)));
}

// Names and values.
export function Pairs({ pairs }) {
    return h('dl', { class: 'pairs' }, pairs.filter(Boolean).map(([name, value]) =>
        h('div', null, h('dt', null, name), h('dd', null, value))));
}

export function Json({ value }) {
    return h('pre', { tabindex: 0 }, JSON.stringify(value, null, 2));
}

export function download(name, text) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// A component that reads something when it is mounted; its state has busy and problem.
export class Page extends Component {
    async attempt(work) {
        this.setState({ busy: true, problem: null });
        try {
            await work();
            this.setState({ busy: false });
            return true;
        } catch (problem) {
            this.setState({ busy: false, problem });
            return false;
        }
    }
    componentWillUnmount() {
        if (this.stop)
            this.stop();
    }
}
