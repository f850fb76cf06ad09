// SPDX-License-Identifier: MIT
// api - the calls to the gateway, and the key that they are made with.
//
// The key lies in sessionStorage: it ends with the tab, and is never in a URL.

const KEY_PLACE = 'gantry.key';

export const session = {
    key: sessionStorage.getItem(KEY_PLACE) || '',
    who: null, // the answer of /whoami
    offers: new Set(), // paths that this gateway has
    onEnd: () => {}, // called when the key is refused
};

export function may(scope) {
    return session.who !== null && session.who.scopes.includes(scope);
}

// What went wrong, in the words of the problem document.
export class Problem extends Error {
    constructor(status, doc) {
        super(doc.detail || doc.title || 'The request failed.');
        this.status = status;
        this.doc = doc;
    }
}

function unreachable(error) {
    return new Problem(0, {
        title: 'The gateway does not answer',
        detail: 'The request got no answer: ' + error.message + '. The page asks again by itself where it is live.',
    });
}

async function problemOf(response) {
    let doc;
    try {
        doc = await response.json();
    } catch {
        doc = { title: 'Unexpected answer', detail: 'The answer has the status ' + response.status + ' and is no problem document.' };
    }
    return new Problem(response.status, doc);
}

async function send(method, path, body, headers) {
    const options = { method, headers: { 'X-API-Key': session.key, ...headers }, cache: 'no-store' };
    if (body !== undefined) {
        options.headers['Content-Type'] = 'application/json';
        options.body = JSON.stringify(body);
    }
    let response;
    try {
        response = await fetch(path, options);
    } catch (error) {
        throw unreachable(error);
    }
    if (response.ok)
        return response;
    const problem = await problemOf(response);
    if (response.status === 401 && session.who)
        session.onEnd('The key is not valid any more: it was revoked, or has expired.');
    throw problem;
}

// The JSON of the answer; null of an empty one.
export async function call(method, path, body, headers) {
    const response = await send(method, path, body, headers);
    return response.status === 204 ? null : response.json();
}

export async function callText(path) {
    return (await send('GET', path)).text();
}

// The answer as it comes, for streams.
export async function callStream(path, signal, headers) {
    const response = await fetch(path, { headers: { 'X-API-Key': session.key, ...headers }, cache: 'no-store', signal });
    if (!response.ok)
        throw await problemOf(response);
    return response.body;
}

// "?a=1&b=2" of those that are set.
export function query(params) {
    const text = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== '' && value != null)).toString();
    return text ? '?' + text : '';
}

export async function signIn(key) {
    session.key = key.trim();
    try {
        const who = await call('GET', '/whoami');
        const document = await call('GET', '/openapi.json');
        session.offers = new Set(Object.keys(document.paths));
        session.who = who;
    } catch (problem) {
        session.key = '';
        throw problem;
    }
    sessionStorage.setItem(KEY_PLACE, session.key);
}

export function signOut() {
    session.key = '';
    session.who = null;
    sessionStorage.clear();
}

// Calls fn at once and then every ms, one at a time, while the page is visible. Returns stop().
export function poll(ms, fn) {
    let timer = 0;
    let stopped = false;
    async function turn() {
        if (!document.hidden)
            await fn();
        if (!stopped)
            timer = setTimeout(turn, ms);
    }
    turn();
    return () => {
        stopped = true;
        clearTimeout(timer);
    };
}
