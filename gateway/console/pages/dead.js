// SPDX-License-Identifier: MIT
// dead - what could not be carried out: jobs of the state dead, and where messages of the other workers are.
//
// The gateway may not read streams (docs/security.md), so the letters themselves are the operator's.

import { h, Page, Failure, Waiting, Empty, Table, Time, Copy, Badge } from './ui.js';
import { call, session } from './api.js';

const COMMANDS = [
    ['Read', 'gantry dlq list', 'what is there: number, workspace, program, reason, how often it was tried'],
    ['Read one', 'gantry dlq show NUMBER', 'its subject, headers and content'],
    ['Replay', 'gantry dlq replay NUMBER', 'sends it again where it came from, and removes it'],
    ['Discard', 'gantry dlq discard NUMBER', 'removes it for good'],
];

export class DeadLetters extends Page {
    componentDidMount() {
        this.attempt(async () => this.setState({ page: await call('GET', '/ai/jobs?status=dead&limit=50') }));
    }
    render(_, { page, problem }) {
        return h('div', null, h('h1', null, 'Dead letters'),
            h('p', null, 'A message that no program could carry out, whatever was tried, is put aside with its reason. Nothing is dropped.'),
            h('section', { 'aria-labelledby': 'jobs' }, h('h2', { id: 'jobs' }, 'Dead jobs of ' + session.who.tenant_id), h(Failure, { problem }), this.jobs(page, problem)),
            h('section', { 'aria-labelledby': 'letters' }, h('h2', { id: 'letters' }, 'Letters of all programs'),
                h('p', null, 'They hold what was sent, and the gateway may read no stream: so they are read on the machine, by the operator’s command.'),
                h('ul', { class: 'items' }, COMMANDS.map(([name, command, what]) =>
                    h('li', null, h('h3', null, name), h('code', { class: 'secret' }, command), h('p', { class: 'small' }, what), h(Copy, { text: command, label: 'Copy: ' + command }))))));
    }
    jobs(page, problem) {
        if (!page)
            return !problem && h(Waiting, { what: 'dead jobs' });
        if (page.jobs.length === 0)
            return h(Empty, { title: 'No job is dead.' }, 'Nothing is to be done.');
        return h(Table, { caption: 'Dead jobs', head: ['Action', 'State', 'Queued', 'Error'], rows: page.jobs.map((job) =>
            h('tr', { key: job.job_id }, h('th', { scope: 'row' }, h('a', { href: '#/jobs/' + job.job_id }, job.action)), h('td', null, h(Badge, { state: job.status })),
                h('td', null, h(Time, { at: job.enqueued_at })), h('td', null, job.error || ''))) });
    }
}
