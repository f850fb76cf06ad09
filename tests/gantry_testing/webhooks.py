# SPDX-License-Identifier: MIT
"""What a receiver of Standard Webhooks does, written from the specification: a second
implementation of what gantry-connector signs."""

import base64
import hashlib
import hmac
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def signatures(headers):
    return [tuple(one.split(",", 1)) for one in headers["webhook-signature"].split(" ")]


def content(request):
    head = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}."
    return head.encode() + request.body


def by_secret(request, secret):
    """Whether one of its signatures is by this whsec_ or, for whpk_, by its private key."""
    if secret.startswith("whpk_"):
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(secret[5:]))
        for version, text in signatures(request.headers):
            try:
                if version == "v1a":
                    key.verify(base64.b64decode(text), content(request))
                    return True
            except InvalidSignature:
                pass
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = hmac.new(key, content(request), hashlib.sha256).digest()
    return any(
        version == "v1" and hmac.compare_digest(base64.b64decode(text), wanted)
        for version, text in signatures(request.headers)
    )


def sign(secret, message_id, timestamp, body):
    """webhook-signature of a sender."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def arrived(services, path, secret=None):
    """The deliveries at https://plain.example/PATH: verified, as documents, with their ids."""
    found = []
    for request in services.asked(f"plain.example/{path}"):
        if secret:
            assert by_secret(request, secret), request.headers
        found.append({"id": request.headers["webhook-id"], **json.loads(request.body)})
    return found
