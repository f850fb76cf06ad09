// SPDX-License-Identifier: MIT
// events - GET /ai/events, where the gateway has it: pages read anew when something ended, instead of
// waiting for their next turn. The header with the key rules out EventSource; a stream of fetch does.

import { session, callStream } from './api.js';

const PATH = '/ai/events';
const AGAIN_MS = 5000;

// How often to ask all the same, where events come and where they do not.
export function everyMs() {
    return session.offers.has(PATH) ? 30000 : 5000;
}

// Calls fn after events of these names, at most once in 300 ms. Returns stop().
export function onEvents(names, fn) {
    const control = new AbortController();
    let timer = 0;
    function soon() {
        if (!timer)
            timer = setTimeout(() => { timer = 0; fn(); }, 300);
    }
    async function read() {
        const reader = (await callStream(PATH, control.signal)).pipeThrough(new TextDecoderStream()).getReader();
        let rest = '';
        for (;;) {
            const { value, done } = await reader.read();
            if (done)
                return;
            const lines = (rest + value).split('\n');
            rest = lines.pop();
            for (const line of lines)
                if (line.startsWith('event:') && names.includes(line.slice(6).trim()))
                    soon();
        }
    }
    // What happened while there was no stream is seen by asking.
    async function follow() {
        try {
            await read();
        } catch {
            // the pages ask by themselves, too
        }
        if (control.signal.aborted || !session.key)
            return;
        soon();
        setTimeout(follow, AGAIN_MS);
    }
    if (session.offers.has(PATH))
        follow();
    return () => {
        control.abort();
        clearTimeout(timer);
    };
}
