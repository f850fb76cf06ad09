// SPDX-License-Identifier: MIT
// proof - the audit log's mathematics, done here and not believed: RFC 6962 trees by SHA-256, C2SP
// checkpoints by Ed25519. Tree sizes beyond 2^53 do not occur.

const LEAF = 0;
const NODE = 1;

export function fromHex(text) {
    return Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
}

export function toHex(bytes) {
    return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function fromBase64(text) {
    return Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
}

function join(...parts) {
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
        all.set(part, at);
        at += part.length;
    }
    return all;
}

async function sha256(...parts) {
    return new Uint8Array(await crypto.subtle.digest('SHA-256', join(...parts)));
}

function node(left, right) {
    return sha256([NODE], left, right);
}

// RFC 8785: members sorted by their UTF-16 code units; JSON.stringify writes the rest as it demands.
export function canonical(value) {
    if (Array.isArray(value))
        return '[' + value.map(canonical).join(',') + ']';
    if (value === null || typeof value !== 'object')
        return JSON.stringify(value);
    return '{' + Object.keys(value).sort().map((name) => JSON.stringify(name) + ':' + canonical(value[name])).join(',') + '}';
}

// The leaf of an event: all its members but the two that tell its place.
export async function leafHash(event) {
    const { leaf_index: _index, leaf_hash: _hash, ...leaf } = event;
    return sha256([LEAF], new TextEncoder().encode(canonical(leaf)));
}

// RFC 9162 2.1.3.2: the root that the path leads to, or null when the path has another length.
export async function rootOfInclusion(index, size, leaf, path) {
    let fn = index;
    let sn = size - 1;
    let root = leaf;
    if (index >= size)
        return null;
    for (const step of path) {
        if (sn === 0)
            return null;
        if (fn % 2 === 1 || fn === sn) {
            root = await node(step, root);
            while (fn % 2 === 0 && fn !== 0) {
                fn = Math.floor(fn / 2);
                sn = Math.floor(sn / 2);
            }
        } else {
            root = await node(root, step);
        }
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
    }
    return sn === 0 ? root : null;
}

// RFC 9162 2.1.4.2: the two roots that a consistency proof leads to, or null.
export async function rootsOfConsistency(from, to, fromRoot, steps) {
    if (from === to)
        return steps.length === 0 ? [fromRoot, fromRoot] : null;
    if (from === 0 || from > to)
        return null;
    const path = Number.isInteger(Math.log2(from)) ? [fromRoot, ...steps] : steps;
    let fn = from - 1;
    let sn = to - 1;
    while (fn % 2 === 1) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
    }
    if (path.length === 0)
        return null;
    let [older] = path;
    let newer = older;
    for (const step of path.slice(1)) {
        if (sn === 0)
            return null;
        if (fn % 2 === 1 || fn === sn) {
            older = await node(step, older);
            newer = await node(step, newer);
            while (fn % 2 === 0 && fn !== 0) {
                fn = Math.floor(fn / 2);
                sn = Math.floor(sn / 2);
            }
        } else {
            newer = await node(newer, step);
        }
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
    }
    return sn === 0 ? [older, newer] : null;
}

// C2SP tlog-checkpoint: origin, size, root, an empty line, signatures. An Error says what is wrong.
export function readCheckpoint(text) {
    const end = text.indexOf('\n\n');
    const lines = text.slice(0, end).split('\n');
    if (end < 0 || lines.length < 3 || !/^(0|[1-9][0-9]*)$/.test(lines[1]))
        throw new Error('This is not a checkpoint: it has an origin, a size and a root in three lines, an empty line, and signatures.');
    const signatures = text.slice(end + 2).split('\n').map((line) => /^\u2014 (\S+) (\S+)$/.exec(line)).filter(Boolean)
        .map(([, name, value]) => ({ name, bytes: fromBase64(value) }));
    return { text, signed: text.slice(0, end + 1), origin: lines[0], size: Number(lines[1]), root: fromBase64(lines[2]), signatures };
}

// C2SP verifier key: NAME+HASH+KEY.
export function readVerifierKey(text) {
    const parts = /^(\S+)\+([0-9a-f]{8})\+(\S+)$/.exec(text.trim());
    if (!parts)
        throw new Error('This is no verifier key: it has the form NAME+HASH+KEY (GANTRY_AUDIT_VKEY in the stack’s env file).');
    const bytes = fromBase64(parts[3]);
    if (bytes.length !== 33 || bytes[0] !== 1)
        throw new Error('This verifier key is of another kind than Ed25519.');
    return { name: parts[1], hash: parts[2], key: bytes.slice(1) };
}

// 'good', 'bad', 'absent' (no signature of that key), 'unsupported' (the browser lacks Ed25519).
export async function checkSignature(checkpoint, verifier) {
    const own = checkpoint.signatures.find((one) => one.name === verifier.name && toHex(one.bytes.slice(0, 4)) === verifier.hash);
    if (!own)
        return 'absent';
    let key;
    try {
        key = await crypto.subtle.importKey('raw', verifier.key, 'Ed25519', false, ['verify']);
    } catch {
        return 'unsupported';
    }
    return await crypto.subtle.verify('Ed25519', key, own.bytes.slice(4), new TextEncoder().encode(checkpoint.signed)) ? 'good' : 'bad';
}
