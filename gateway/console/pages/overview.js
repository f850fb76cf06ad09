// SPDX-License-Identifier: MIT
// overview - how the workspace's requests and the programs fare, live.
//
// Counts come as totals; what is shown is the difference between two answers. Each question with a
// key is an event of the audit log, so it is asked every 5 s, and not while the page is hidden.

import { h, Page, Failure, Waiting, Badge, Empty, Table, Time, count, duration } from './ui.js';
import { call, poll, may, query } from './api.js';
import { Chart } from './chart.js';

const EVERY_MS = 5000;
const SLOTS = 60;
// Streams of the workspace: the member of the answer, the tile's name and its note.
const QUEUES = [['memory', 'Memory queue', 'commands not yet stored'], ['audit', 'Audit queue', 'events not yet in the log']];
const LETTERS_MS = 30000;
const LETTERS = 100; // a page: of more is said that there are more

// The duration below which the share lies, from counts of ranges; null when there are none.
export function quantile(bounds, counts, share) {
    const all = counts.reduce((sum, one) => sum + one, 0);
    let below = 0;
    if (all === 0)
        return null;
    for (let i = 0; i < counts.length; i++) {
        if (below + counts[i] >= share * all) {
            const low = i > 0 ? bounds[i - 1] : 0;
            const high = i < bounds.length ? bounds[i] : bounds[bounds.length - 1];
            return low + (high - low) * (share * all - below) / counts[i];
        }
        below += counts[i];
    }
    return null;
}

function sample(before, now, seconds) {
    const since = before ? now.durations.map((value, i) => value - before.durations[i]) : now.durations;
    const bounds = now.duration_bounds_ms;
    return {
        rate: before ? (now.count - before.count) / seconds : null,
        p50: before ? quantile(bounds, since, 0.5) : null,
        p95: before ? quantile(bounds, since, 0.95) : null,
    };
}

function Tile({ name, value, note, tone }) {
    return h('div', { class: 'tile ' + (tone || '') }, h('dt', null, name), h('dd', null, value, note && h('span', { class: 'small' }, note)));
}

export class Overview extends Page {
    componentDidMount() {
        this.samples = [];
        const stops = [poll(EVERY_MS, () => this.read())];
        if (may('jobs:manage'))
            stops.push(poll(LETTERS_MS, () => this.readLetters()));
        this.stop = () => stops.forEach((stop) => stop());
    }
    // The two do not wait for each other: a slow job list leaves the rest live.
    async read() {
        this.readJobs();
        try {
            const now = await call('GET', '/ai/overview');
            this.take(now);
            this.setState({ now, problem: null });
        } catch (problem) {
            this.setState({ problem });
        }
    }
    take(now) {
        const at = performance.now();
        const before = this.last && this.last.requests.since === now.requests.since && this.last.requests.count <= now.requests.count ? this.last.requests : null;
        this.samples = [...this.samples, sample(before, now.requests, (at - this.lastAt) / 1000)].slice(-SLOTS);
        this.last = now;
        this.lastAt = at;
    }
    async readJobs() {
        if (this.reading)
            return;
        this.reading = true;
        try {
            this.setState({ jobs: await call('GET', '/ai/jobs?limit=8'), jobsProblem: null });
        } catch (jobsProblem) {
            this.setState({ jobsProblem });
        }
        this.reading = false;
    }
    async readLetters() {
        try {
            const page = await call('GET', '/ai/dead-letters' + query({ limit: LETTERS }));
            this.setState({ letters: count(page.count) + (page.next_cursor ? ' and more' : '') });
        } catch {
            this.setState({ letters: '–' }); // their own page says why
        }
    }
    render(_, { now, problem, jobs, jobsProblem }) {
        return h('div', null, h('h1', null, 'Overview'), h(Failure, { problem }),
            now ? this.numbers(now, jobs) : !problem && h(Waiting, { what: 'the numbers' }),
            h('section', { 'aria-labelledby': 'latest' }, h('h2', { id: 'latest' }, 'Latest jobs'), this.latest(jobs, jobsProblem)));
    }
    numbers(now, jobs) {
        const all = now.requests;
        const newest = this.samples[this.samples.length - 1] || {};
        const series = (name) => this.samples.map((one) => one[name]);
        const p95 = quantile(all.duration_bounds_ms, all.durations, 0.95);
        return h('div', null,
            h('p', { class: 'status-line' }, h(Badge, { state: now.status }),
                Object.entries(now.dependencies).map(([name, state]) => h('span', { class: 'dependency' }, name, ' ', h(Badge, { state }))),
                now.full.length > 0 && h('span', { class: 'dependency' }, 'full: ', now.full.join(', '))),
            h('dl', { class: 'tiles' },
                h(Tile, { name: 'Requests', value: newest.rate == null ? '–' : newest.rate.toFixed(1) + '/s', note: count(all.count) + ' in all' }),
                h(Tile, { name: '95 % within', value: duration(newest.p95 == null ? p95 : newest.p95), note: 'half within ' + duration(quantile(all.duration_bounds_ms, all.durations, 0.5)) }),
                h(Tile, { name: 'Jobs waiting', value: jobs ? count(jobs.queue_depth) : '–' }),
                QUEUES.map(([name, title, note]) => h(Tile, { key: name, name: title, value: now.queues[name] == null ? '–' : count(now.queues[name]), note })),
                may('jobs:manage') && h(Tile, { name: 'Dead letters', value: this.state.letters || '–', note: h('a', { href: '#/dead' }, 'read them') }),
                h(Tile, { name: 'Refused', value: count(all.refused), note: 'answered 4xx' }),
                h(Tile, { name: 'Failed', value: count(all.failed), note: 'answered 5xx', tone: all.failed ? 'bad' : '' })),
            h('div', { class: 'columns' },
                h(Chart, { title: 'Requests a second', slots: SLOTS, series: [{ name: 'requests', values: series('rate') }], format: (value) => String(Math.round(value * 100) / 100) }),
                h(Chart, { title: 'Time to answer', slots: SLOTS, series: [{ name: 'half within', values: series('p50') }, { name: '95 % within', values: series('p95') }], format: duration })),
            h('p', { class: 'small' }, 'The workspace’s requests at this gateway', all.since && [' since ', h(Time, { at: all.since })], ', asked for every 5 s while this page is visible.'),
            h('section', { 'aria-labelledby': 'workers' }, h('h2', { id: 'workers' }, 'Programs'), this.workers(now)));
    }
    workers(now) {
        if (now.workers.length === 0)
            return h(Empty, { title: 'No worker tells of itself.' }, 'They report every 5 s: see make status, or the logs of the programs.');
        return h(Table, { caption: 'Programs', head: ['Program', 'Running', 'State'], rows: now.workers.map((one) =>
            h('tr', null, h('th', { scope: 'row' }, one.program), h('td', null, one.running),
                h('td', null, h(Badge, { state: one.healthy === one.running ? 'up' : one.healthy ? 'degraded' : 'down' })))) });
    }
    latest(jobs, problem) {
        if (problem || !jobs)
            return problem ? h(Failure, { problem }) : h(Waiting, { what: 'jobs' });
        if (jobs.jobs.length === 0)
            return h(Empty, { title: 'No job has run yet.' }, may('actions:execute') ? h('a', { href: '#/jobs' }, 'Run an action') : 'A key of the role developer can run one.');
        return h(Table, { caption: 'Latest jobs', head: ['Action', 'State', 'Queued', 'Took'], rows: jobs.jobs.map((job) =>
            h('tr', { key: job.job_id }, h('th', { scope: 'row' }, h('a', { href: '#/jobs/' + job.job_id }, job.action)), h('td', null, h(Badge, { state: job.status })),
                h('td', null, h(Time, { at: job.enqueued_at })), h('td', null, duration(job.duration_ms)))) });
    }
}
