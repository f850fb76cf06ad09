// SPDX-License-Identifier: MIT
// job - one job: its state, live until it ends, its output, and its end.

import { h, Page, Failure, Waiting, Badge, Pairs, Time, Json, Confirm, count, duration } from './ui.js';
import { call, poll, may, session } from './api.js';

const EVERY_MS = 1000;
const WAIT_S = 20; // of a gateway that can wait for the next state
const ENDED = ['completed', 'failed', 'cancelled', 'dead'];

function Output({ name, text, cut }) {
    return h('div', null, h('h3', null, name), text ? h('pre', { tabindex: 0, 'aria-label': name }, text) : h('p', { class: 'faint' }, 'Nothing.'),
        cut && h('p', { class: 'small' }, 'It was longer than is kept: the end is cut off.'));
}

export class Job extends Page {
    componentDidMount() {
        this.stop = poll(EVERY_MS, () => this.read());
    }
    async read() {
        try {
            const wait = this.state.job && session.offers.has('/ai/events') ? '?wait=' + WAIT_S : '';
            const job = await call('GET', '/ai/jobs/' + encodeURIComponent(this.props.id) + wait);
            this.setState({ job, problem: null });
            if (ENDED.includes(job.status))
                this.stop();
        } catch (problem) {
            this.setState({ problem });
            if (problem.status === 404)
                this.stop();
        }
    }
    cancel() {
        this.setState({ asking: false });
        this.attempt(async () => this.setState({ job: await call('DELETE', '/ai/jobs/' + encodeURIComponent(this.props.id)) }));
    }
    render({ id }, { job, problem, asking }) {
        return h('div', null,
            h('p', { class: 'small' }, h('a', { href: '#/jobs' }, 'All jobs')),
            h('div', { class: 'title-line' }, h('h1', null, job ? job.action : 'Job'),
                job && !ENDED.includes(job.status) && may('actions:execute') &&
                    h('button', { type: 'button', class: 'danger', onClick: () => this.setState({ asking: true }) }, 'Cancel the job')),
            h(Failure, { problem }),
            job ? this.details(job) : !problem && h(Waiting, { what: 'the job' }),
            asking && h(Confirm, { title: 'Cancel this job?', action: 'Cancel it', onYes: () => this.cancel(), onNo: () => this.setState({ asking: false }) },
                h('p', null, 'Its processes are ended within a second. What it has printed until then is kept.')));
    }
    details(job) {
        const result = job.result || {};
        const output = result.output || ('stdout' in result ? result : null);
        const usage = result.usage;
        return h('div', null,
            h('section', { 'aria-label': 'State' },
                h('p', { role: 'status' }, h(Badge, { state: job.status }), result.outcome && result.outcome !== 'ok' && [' ', result.outcome.replace(/_/g, ' ')]),
                job.error && h('p', null, job.error),
                h(Pairs, { pairs: [
                    ['Job', h('code', null, job.job_id)], ['Queued', h(Time, { at: job.enqueued_at })], ['Started', h(Time, { at: job.started_at })],
                    ['Ended', h(Time, { at: job.finished_at })], ['Took', duration(job.duration_ms)],
                    output && ['Exit code', output.exit_code == null ? '–' : String(output.exit_code)],
                    usage && ['Processor', duration(usage.cpu_ms)], usage && ['Memory at most', count(Math.round(usage.max_rss_bytes / 1024)) + ' KiB'],
                ] })),
            output ? h('section', { 'aria-labelledby': 'output' }, h('h2', { id: 'output' }, 'Output'),
                h(Output, { name: 'Standard output', text: output.stdout, cut: output.truncated }),
                output.stderr && h(Output, { name: 'Standard error', text: output.stderr }),
                output.result != null && h('div', null, h('h3', null, 'Result'), h(Json, { value: output.result })))
                : !ENDED.includes(job.status) && h(Waiting, { what: 'the output, which comes with the end' }));
    }
}
