// SPDX-License-Identifier: MIT
// jobs - the workspace's jobs, live, and the form that runs an action.

import { h, Component, Page, Failure, Waiting, Badge, Empty, Table, Time, Choice, Json, count, duration } from './ui.js';
import { call, poll, may, query } from './api.js';
import { SchemaForm, paramsOf } from './form.js';
import { onEvents, everyMs } from './events.js';

const STATES = ['pending', 'running', 'completed', 'failed', 'cancelled', 'dead'];

// Choose an action, see what it would do, then run exactly that.
class RunAction extends Component {
    componentDidMount() {
        call('GET', '/ai/actions').then(
            (answer) => this.choose(answer.actions, (answer.actions.find((one) => one.allowed) || {}).action),
            (problem) => this.setState({ problem }));
    }
    choose(actions, name) {
        this.setState({ actions, name, values: {}, preview: null, problem: null });
    }
    async preview(action) {
        this.setState({ busy: true, problem: null, preview: null });
        try {
            const params = paramsOf(action.params, this.state.values);
            this.setState({ preview: await call('POST', '/ai/preview', { action: action.action, params }), busy: false });
        } catch (problem) {
            this.setState({ problem, busy: false });
        }
    }
    async run() {
        this.setState({ busy: true, problem: null });
        try {
            const queued = await call('POST', '/ai/execute', { preview_id: this.state.preview.preview_id });
            location.hash = '#/jobs/' + queued.job_ids[0];
        } catch (problem) {
            this.setState({ problem, busy: false });
        }
    }
    render(_, { actions, name, values, preview, problem, busy }) {
        if (!actions)
            return problem ? h(Failure, { problem }) : h(Waiting, { what: 'the actions' });
        const action = actions.find((one) => one.action === name);
        if (!action)
            return h(Empty, { title: 'This workspace is allowed no action.' }, 'The operator allows them: ', h('code', null, 'gantry workspace allow WORKSPACE ACTION…'));
        const submit = (event) => {
            event.preventDefault();
            this.preview(action);
        };
        return h('form', { onSubmit: submit },
            h(Choice, { label: 'Action', hint: action.description, value: name, onValue: (one) => this.choose(actions, one),
                options: actions.map((one) => [one.action, one.action + (one.allowed ? '' : ' (not allowed here)'), !one.allowed]) }),
            h(SchemaForm, { schema: action.params, values, onValues: (next) => this.setState({ values: next, preview: null }) }),
            h(Failure, { problem }),
            preview && h('div', { class: 'notice', role: 'status' },
                h('p', null, h('strong', null, 'It would: '), preview.summary),
                preview.warnings.length > 0 && h('ul', null, preview.warnings.map((one) => h('li', null, one))),
                h('details', null, h('summary', null, 'Parameters'), h(Json, { value: preview.params })),
                h('p', { class: 'small' }, 'Nothing has run. The preview is good until ', h(Time, { at: preview.expires_at }), ', once.')),
            h('div', { class: 'buttons' },
                h('button', { type: 'submit', class: preview ? '' : 'primary', disabled: busy }, 'Preview'),
                preview && h('button', { type: 'button', class: 'primary', disabled: busy || !preview.allowed, onClick: () => this.run() }, 'Run it'),
                !preview && h('span', { class: 'small' }, 'Shows what would be done, before anything is.')));
    }
}

export class Jobs extends Page {
    componentDidMount() {
        const stopPolling = poll(everyMs(), () => this.read());
        const stopEvents = onEvents(['job', 'missed'], () => this.read());
        this.stop = () => {
            stopPolling();
            stopEvents();
        };
    }
    // Pages after the first are kept as they were read.
    async read() {
        const status = this.state.status || '';
        if (this.reading)
            return;
        this.reading = true;
        try {
            const page = await call('GET', '/ai/jobs' + query({ status, limit: 25 }));
            if (status === (this.state.status || ''))
                this.setState({ page, problem: null });
        } catch (problem) {
            this.setState({ problem });
        }
        this.reading = false;
    }
    async more(cursor) {
        await this.attempt(async () => {
            const next = await call('GET', '/ai/jobs' + query({ status: this.state.status, limit: 25, cursor }));
            this.setState({ older: [...(this.state.older || []), ...next.jobs], cursor: next.next_cursor });
        });
    }
    filter(status) {
        this.setState({ status, page: null, older: [], cursor: undefined }, () => { this.reading = false; this.read(); });
    }
    render(_, { page, older = [], cursor, status = '', problem, running }) {
        const jobs = page ? [...page.jobs, ...older.filter((one) => !page.jobs.some((other) => other.job_id === one.job_id))] : [];
        const next = cursor === undefined ? page && page.next_cursor : cursor;
        return h('div', null,
            h('div', { class: 'title-line' }, h('h1', null, 'Jobs'),
                may('actions:execute') && h('button', { type: 'button', class: running ? '' : 'primary', 'aria-expanded': String(Boolean(running)),
                    onClick: () => this.setState({ running: !running }) }, running ? 'Close the form' : 'Run an action')),
            running && h('section', { 'aria-labelledby': 'run' }, h('h2', { id: 'run' }, 'Run an action'), h(RunAction)),
            h('section', { 'aria-label': 'Jobs' },
                h('div', { class: 'fields' },
                    h(Choice, { label: 'State', value: status, onValue: (one) => this.filter(one), options: [['', 'all'], ...STATES.map((one) => [one, one])] }),
                    h('p', { class: 'small field' }, page ? count(page.queue_depth) + ' waiting in the queue' : '')),
                h(Failure, { problem }),
                this.list(page, jobs, status, problem),
                next && h('div', { class: 'buttons' }, h('button', { type: 'button', onClick: () => this.more(next) }, 'Older jobs'))));
    }
    list(page, jobs, status, problem) {
        if (!page)
            return !problem && h(Waiting, { what: 'the jobs' });
        if (jobs.length === 0)
            return h(Empty, { title: status ? 'No job is in this state.' : 'No job has run yet.' },
                status ? 'Choose another state.' : may('actions:execute') ? 'Run an action: the button is above.' : 'A key of the role developer can run one.');
        return h(Table, { caption: 'Jobs', head: ['Action', 'State', 'Queued', 'Took', 'Error'], rows: jobs.map((job) =>
            h('tr', { key: job.job_id },
                h('th', { scope: 'row' }, h('a', { href: '#/jobs/' + job.job_id }, job.action)),
                h('td', null, h(Badge, { state: job.status })), h('td', null, h(Time, { at: job.enqueued_at })),
                h('td', null, duration(job.duration_ms)), h('td', null, job.error || ''))) });
    }
}
