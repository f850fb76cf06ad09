# SPDX-License-Identifier: MIT
"""RFC 6962 trees and C2SP signed notes, written from the documents alone.

The second implementation against which common/crypto/merkle*.c and common/crypto/note.c are tested:
recursion as in the RFC's definitions, nothing shared with the C code.
"""
import base64
import hashlib


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf_hash(data):
    return sha256(b"\x00" + data)


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def _split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


class Tree:
    """A tree over leaf hashes; subtree hashes are remembered by range."""

    def __init__(self, hashes):
        self.hashes = list(hashes)
        self.memo = {}

    def mth(self, lo, hi):
        if lo == hi:
            return sha256(b"")
        if hi - lo == 1:
            return self.hashes[lo]
        if (lo, hi) not in self.memo:
            k = _split(hi - lo)
            self.memo[lo, hi] = node_hash(self.mth(lo, lo + k), self.mth(lo + k, hi))
        return self.memo[lo, hi]

    def root(self, size=None):
        return self.mth(0, len(self.hashes) if size is None else size)

    def path(self, m, lo, hi):
        if hi - lo == 1:
            return []
        k = _split(hi - lo)
        if m < k:
            return self.path(m, lo, lo + k) + [self.mth(lo + k, hi)]
        return self.path(m - k, lo + k, hi) + [self.mth(lo, lo + k)]

    def inclusion(self, index, size):
        return self.path(index, 0, size)

    def subproof(self, m, lo, hi, whole):
        if m == hi - lo:
            return [] if whole else [self.mth(lo, hi)]
        k = _split(hi - lo)
        if m <= k:
            return self.subproof(m, lo, lo + k, whole) + [self.mth(lo + k, hi)]
        return self.subproof(m - k, lo + k, hi, False) + [self.mth(lo, lo + k)]

    def consistency(self, old, new):
        return self.subproof(old, 0, new, True)


def verify_inclusion(leaf, index, size, proof, root):
    """By recursion downwards, unlike the loop of RFC 9162 that the C code follows."""

    def walk(m, n, rest):
        if n == 1:
            if rest:
                raise ValueError("proof too long")
            return leaf
        if not rest:
            raise ValueError("proof too short")
        k = _split(n)
        if m < k:
            return node_hash(walk(m, k, rest[:-1]), rest[-1])
        return node_hash(rest[-1], walk(m - k, n - k, rest[:-1]))

    if index >= size:
        raise ValueError("no such leaf in the tree")
    if walk(index, size, list(proof)) != root:
        raise ValueError("proof does not lead to the root")


def verify_consistency(old_size, old_root, new_size, new_root, proof):
    def walk(m, n, rest, whole):
        """(old, new) roots of a subtree of n leaves of which the old tree has the first m."""
        if m == n:
            if whole:
                if rest:
                    raise ValueError("proof too long")
                return old_root, old_root
            if len(rest) != 1:
                raise ValueError("proof of the wrong length")
            return rest[0], rest[0]
        if not rest:
            raise ValueError("proof too short")
        k = _split(n)
        if m <= k:
            old, new = walk(m, k, rest[:-1], whole)
            return old, node_hash(new, rest[-1])
        old, new = walk(m - k, n - k, rest[:-1], False)
        return node_hash(rest[-1], old), node_hash(rest[-1], new)

    if walk(old_size, new_size, list(proof), True) != (old_root, new_root):
        raise ValueError("the new tree does not extend the old one")


class Note:
    """A C2SP signed note with one Ed25519 signature, and its tlog-checkpoint body."""

    def __init__(self, text):
        body, _, signatures = text.partition("\n\n")
        self.body = body + "\n"
        self.origin, size, root = body.split("\n")[:3]
        self.size, self.root = int(size), base64.b64decode(root, validate=True)
        assert str(self.size) == size
        assert len(self.root) == 32
        assert signatures.endswith("\n")
        self.signatures = {}
        for line in signatures[:-1].split("\n"):
            dash, name, value = line.split(" ")
            assert dash == "\u2014", line
            value = base64.b64decode(value, validate=True)
            self.signatures[name, value[:4]] = value[4:]

    def verify(self, vkey):
        """vkey is "name+hex key id+base64(1 byte algorithm, public key)"."""
        from nacl.signing import VerifyKey

        name, key_id, key = vkey.split("+", 2)
        key = base64.b64decode(key, validate=True)
        assert key[0] == 1
        assert len(key) == 33
        assert sha256(name.encode() + b"\n" + key)[:4] == bytes.fromhex(key_id)
        VerifyKey(key[1:]).verify(self.body.encode(), self.signatures[name, bytes.fromhex(key_id)])
        return self


def known_answers(limit=300):
    """What tests/unit/merkle_known.h says, computed anew."""
    tree = Tree(leaf_hash(b"leaf %d" % i) for i in range(limit))
    roots, inclusion, consistency = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    for size in range(limit + 1):
        roots.update(tree.root(size))
        for index in range(size):
            proof = tree.inclusion(index, size)
            verify_inclusion(tree.hashes[index], index, size, proof, tree.root(size))
            inclusion.update(bytes([len(proof)]) + b"".join(proof))
        for old in range(1, size + 1):
            proof = tree.consistency(old, size)
            verify_consistency(old, tree.root(old), size, tree.root(size), proof)
            consistency.update(bytes([len(proof)]) + b"".join(proof))
    known = {"ROOTS_0_TO_300": roots.hexdigest(), "INCLUSION_0_TO_300": inclusion.hexdigest(),
             "CONSISTENCY_0_TO_300": consistency.hexdigest()}
    for size in (1, 2, 3, 7, 8, 255, 256, 257, 300):
        known["ROOT_%d" % size] = tree.root(size).hex()
    return known


if __name__ == "__main__":
    for name, value in known_answers().items():
        print("#define KNOWN_%s \\\n    \"%s\"" % (name, value))
