"""Where alerts may be sent to: the gate for camera addresses, with narrower rules.

An alert tells where a person was, so it goes out encrypted, unless the target is on a network that an administrator
of the machine has allowed. As with cameras, what was checked is what is connected to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.camera_url import CameraUrlError, CheckedUrl, Resolver, UrlPolicy, check_camera_url

__all__ = ["WebhookPolicy", "WebhookUrlError", "check_webhook_url"]

_SCHEME = re.compile(r"https?:", re.IGNORECASE)


class WebhookUrlError(ValueError):
    """Alerts may not be sent to this address; the message is one plain sentence."""


@dataclass(frozen=True, slots=True)
class WebhookPolicy:
    """What addresses are allowed besides public ones with https. Link-local and metadata addresses never are.

    Attributes:
        allow_private: private networks, also without TLS.
        allow_loopback: this machine, also without TLS.
    """

    allow_private: bool = False
    allow_loopback: bool = False


def check_webhook_url(url: str, policy: WebhookPolicy, *, resolve: Resolver | None = None) -> CheckedUrl:
    """Parse an address, resolve its name, and decide whether it may be used.

    Raises:
        WebhookUrlError: with the reason as one sentence.
    """
    if not _SCHEME.match(url):
        raise WebhookUrlError("A webhook's address begins with https://.")
    try:
        checked = check_camera_url(url, UrlPolicy(policy.allow_private, policy.allow_loopback), resolve=resolve)
    except CameraUrlError as error:
        sentence = str(error).replace("camera_allow_", "webhook_allow_").replace("camera address", "webhook's address")
        raise WebhookUrlError(sentence) from None
    if not checked.host.isascii():
        raise WebhookUrlError("Write the host's name in its ASCII form, which begins with xn--.")
    if checked.username is not None:
        raise WebhookUrlError("A webhook's address holds no login; the signature shows that a message is ours.")
    if not checked.tls and checked.public:
        raise WebhookUrlError("Alerts go to a public address with https only.")
    return checked
