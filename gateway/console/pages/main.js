// SPDX-License-Identifier: MIT
// main - sign-in, the frame of the pages, and which page the address names (#/jobs/ID).

import { h, Component, Failure, TextField } from './ui.js';
import { render } from './preact.js';
import { session, may, signIn, signOut } from './api.js';
import { Overview } from './overview.js';
import { Jobs } from './jobs.js';
import { Job } from './job.js';
import { Memories } from './memory.js';
import { Memory } from './memory_one.js';
import { Audit } from './audit.js';
import { AuditEvent } from './audit_event.js';
import { Keys } from './keys.js';
import { DeadLetters } from './dead.js';
import { Approvals } from './approvals.js';
import { Webhooks } from './webhooks.js';
import { Webhook } from './webhook.js';

// What a role may not do is not offered. one: the page of a single item.
const PAGES = [
    { name: 'overview', title: 'Overview', page: Overview, scope: 'actions:preview' },
    { name: 'jobs', title: 'Jobs', page: Jobs, one: Job, scope: 'actions:preview' },
    { name: 'approvals', title: 'Approvals', page: Approvals, scope: 'actions:approve', path: '/ai/approvals' },
    { name: 'memory', title: 'Memory', page: Memories, one: Memory, scope: 'memory:read' },
    { name: 'audit', title: 'Audit', page: Audit, one: AuditEvent, scope: 'audit:read' },
    { name: 'webhooks', title: 'Webhooks', page: Webhooks, one: Webhook, scope: 'webhooks:manage', path: '/webhooks' },
    { name: 'keys', title: 'Keys', page: Keys, scope: 'keys:manage' },
    { name: 'dead', title: 'Dead letters', page: DeadLetters, scope: 'jobs:manage' },
];

function offered() {
    return PAGES.filter((page) => may(page.scope) && (!page.path || session.offers.has(page.path)));
}

class SignIn extends Component {
    render({ message, onDone }, { key = '', busy, problem }) {
        const submit = async (event) => {
            event.preventDefault();
            this.setState({ busy: true, problem: null });
            try {
                await signIn(key);
                onDone();
            } catch (failure) {
                this.setState({ busy: false, problem: failure });
            }
        };
        return h('main', { class: 'sign-in', id: 'main', tabindex: -1 },
            h('form', { class: 'card', onSubmit: submit },
                h('h1', null, 'Gantry console'),
                message && h('p', { role: 'status' }, message),
                h(TextField, { label: 'API key', type: 'password', value: key, required: true, wide: true,
                    placeholder: 'relay_sk_…', hint: 'Kept for this tab only. make up says where the first key is; an admin can create more.',
                    onValue: (text) => this.setState({ key: text }) }),
                h(Failure, { problem }),
                h('button', { type: 'submit', class: 'primary', disabled: busy }, busy ? 'Checking …' : 'Sign in')),
            h('p', { class: 'small' }, h('a', { href: '/docs' }, 'The HTTP interface')));
    }
}

function Frame({ page, onSignOut, children }) {
    return h('div', { class: 'frame' },
        h('a', { class: 'skip', href: '#main', onClick: (event) => { event.preventDefault(); focusMain(); } }, 'Skip to the page'),
        h('header', null,
            h('p', { class: 'brand' }, h('img', { src: '/console/icon.svg', alt: '', width: 26, height: 26 }), 'Gantry'),
            h('nav', { 'aria-label': 'Pages' }, h('ul', null, offered().map((one) =>
                h('li', null, h('a', { href: '#/' + one.name, 'aria-current': one === page ? 'page' : null }, one.title))))),
            h('p', { class: 'who' },
                h('span', null, session.who.tenant_id, ' · ', session.who.role, ' · ', h('code', null, session.who.key_id)),
                h('button', { type: 'button', onClick: onSignOut }, 'Sign out'))),
        h('main', { id: 'main', tabindex: -1 }, children));
}

function focusMain() {
    const main = document.getElementById('main');
    if (main)
        main.focus();
}

class App extends Component {
    componentDidMount() {
        session.onEnd = (message) => this.end(message);
        addEventListener('hashchange', () => this.setState({ hash: location.hash }, focusMain));
        if (session.key)
            this.resume();
    }
    async resume() {
        this.setState({ resuming: true });
        try {
            await signIn(session.key);
        } catch (problem) {
            this.setState({ message: problem.message });
        }
        this.setState({ resuming: false });
    }
    end(message) {
        signOut();
        this.setState({ message });
    }
    render(_, { message, resuming }) {
        if (resuming)
            return h('main', { class: 'sign-in', id: 'main' }, h('p', { role: 'status' }, 'Signing in …'));
        if (!session.who) {
            document.title = 'Sign in · Gantry';
            return h(SignIn, { message, onDone: () => this.setState({ message: null }) });
        }
        const [, name, ...rest] = location.hash.split('/');
        const pages = offered();
        const page = pages.find((one) => one.name === name) || pages[0];
        const id = page.name === name && page.one ? decodeURIComponent(rest.join('/')) : '';
        document.title = page.title + ' · Gantry';
        return h(Frame, { page, onSignOut: () => this.end('You are signed out.') },
            h(id ? page.one : page.page, { key: page.name + id, id }));
    }
}

render(h(App), document.getElementById('app'));
