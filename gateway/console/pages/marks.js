// SPDX-License-Identifier: MIT
// marks - which words of a text a search's words are found in.

import { h } from './ui.js';

const WORD = /([\p{L}\p{N}_]+)/u;
const ENDINGS = /(ing|ed|es|s|e)$/;

function stem(word) {
    const low = word.toLowerCase();
    return low.length > 4 ? low.replace(ENDINGS, '') : low;
}

// The text in parts, those words marked that the query has too, whatever their common endings.
export function Marked({ text, query }) {
    const wanted = new Set((query || '').split(WORD).filter((part) => WORD.test(part)).map(stem));
    if (wanted.size === 0)
        return h('p', { class: 'text' }, text);
    return h('p', { class: 'text' }, text.split(WORD).map((part) => WORD.test(part) && wanted.has(stem(part)) ? h('mark', null, part) : part));
}
