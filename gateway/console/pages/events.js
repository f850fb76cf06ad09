// SPDX-License-Identifier: MIT
// events - GET /ai/events, where the gateway has it: pages read anew when something ended, instead of
// waiting for their next turn. The header with the key rules out EventSource; a stream of fetch does.

import { session, callStream } from './api.js';

const PATH = '/ai/events';
const AGAIN_MS = 5000;

// Calls fn after each event, at most once in 300 ms. Returns stop().
export function onEvents(fn) {
    const control = new AbortController();
    let timer = 0;
    function soon() {
        if (!timer)
            timer = setTimeout(() => { timer = 0; fn(); }, 300);
    }
    async function follow() {
        try {
            const reader = (await callStream(PATH, control.signal)).pipeThrough(new TextDecoderStream()).getReader();
            for (;;) {
                const { value, done } = await reader.read();
                if (done)
                    break;
                if (/^data:/m.test(value))
                    soon();
            }
        } catch {
            // polling goes on
        }
        if (!control.signal.aborted) // the key may have ended meanwhile
            setTimeout(follow, AGAIN_MS);
    }
    if (session.offers.has(PATH))
        follow();
    return () => {
        control.abort();
        clearTimeout(timer);
    };
}
