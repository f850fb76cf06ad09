// SPDX-License-Identifier: MIT
// approvals - actions that wait for somebody's word. The page is offered by gateways that have the route
// /ai/approvals; what they answer is shown as it is.

import { h, Page, Failure, Waiting, Empty, Json } from './ui.js';
import { call } from './api.js';

export class Approvals extends Page {
    componentDidMount() {
        this.attempt(async () => this.setState({ answer: await call('GET', '/ai/approvals') }));
    }
    render(_, { answer, problem }) {
        const items = answer && (answer.items || answer.approvals || []);
        return h('div', null, h('h1', null, 'Approvals'), h(Failure, { problem }),
            !answer && !problem && h(Waiting, { what: 'what waits' }),
            items && items.length === 0 && h(Empty, { title: 'Nothing waits for an approval.' }, 'Actions that need one appear here when somebody asks for them.'),
            items && items.map((one) => h('section', { key: one.id }, h(Json, { value: one }))));
    }
}
