"""How a webhook's receiver knows that a message is ours, whole, and not an old one sent again.

As Standard Webhooks says (https://www.standardwebhooks.com), for which receivers find libraries in most languages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

__all__ = ["check_secret", "fresh_secret", "signed"]

_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64  # bytes of a key


def fresh_secret() -> str:
    """256 random bits."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> str:
    """Raises ValueError for what is no secret: ``whsec_`` and 24 to 64 bytes in base64."""
    _key(secret)
    return secret


def signed(secret: str, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers of a message: its id, the time, and ``v1,`` with the HMAC-SHA256 of ``id.time.body`` in base64."""
    content = f"{message_id}.{at_s}.".encode() + body
    digest = base64.b64encode(hmac.new(_key(secret), content, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": f"v1,{digest}"}


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _LEAST <= len(key) <= _MOST:
        raise ValueError(f"secret: expected {_PREFIX} and {_LEAST} to {_MOST} random bytes in base64")
    return key
