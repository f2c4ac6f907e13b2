"""One message to one target on the network, which may do whatever it likes with the connection."""

from __future__ import annotations

import asyncio
import functools
import ssl
import time

import httpx2

from pipeline.camera_url import CheckedUrl
from service.alerts.signature import signed
from service.alerts.webhook import Webhook
from service.alerts.webhook_address import WebhookPolicy, WebhookUrlError, check_webhook_url

__all__ = ["RESOLVING_S", "TOTAL_S", "post"]

CONNECT_S = 5.0
TOTAL_S = 10.0  # for everything but the name, also for a target that sends a byte now and then
RESOLVING_S = 15.0  # what the system's resolver takes at most
_USER_AGENT = "Tapetum-Webhook/1"


def post(webhook: Webhook, message_id: str, body: bytes, policy: WebhookPolicy) -> str | None:
    """Send a signed message. Blocks for `TOTAL_S` and the resolving of the name at most.

    The name is resolved and judged now, and what is connected to are the addresses that were judged. Redirects are
    not followed, and of the answer only the status is read.

    Returns:
        None when the target took it (2xx), else a sentence that says why not.
    """
    try:
        checked = check_webhook_url(webhook.url, policy)
    except WebhookUrlError as error:
        return str(error)
    headers = {
        **signed(webhook.secret, message_id, int(time.time()), body),
        "Content-Type": "application/json",
        "User-Agent": _USER_AGENT,
    }
    try:
        status = asyncio.run(_first_answer(checked, body, headers))
    except (TimeoutError, httpx2.TimeoutException):
        return f"The target did not answer within {TOTAL_S:g} s."
    except (httpx2.HTTPError, OSError) as error:  # of TLS too
        return f"The connection failed ({type(error).__name__})."
    if 200 <= status < 300:
        return None
    redirected = ", and redirects are not followed" if 300 <= status < 400 else ""
    return f"The target answered {status}{redirected}."


async def _first_answer(checked: CheckedUrl, body: bytes, headers: dict[str, str]) -> int:
    """The status that the first address which can be reached answers with."""
    async with asyncio.timeout(TOTAL_S):
        for address in checked.addresses[:-1]:
            try:
                return await _answer(checked, address, body, headers)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await _answer(checked, checked.addresses[-1], body, headers)


async def _answer(checked: CheckedUrl, address: str, body: bytes, headers: dict[str, str]) -> int:
    place = f"[{address}]" if ":" in address else address
    url = f"{'https' if checked.tls else 'http'}://{place}:{checked.port}{checked.target}"
    named = checked.host not in checked.addresses
    usual = checked.port == (443 if checked.tls else 80)
    host = checked.origin.rpartition(":")[0] if usual else checked.origin
    async with (
        httpx2.AsyncClient(
            trust_env=False,  # a proxy would connect to whatever it finds under the name
            follow_redirects=False,
            timeout=httpx2.Timeout(TOTAL_S, connect=CONNECT_S),
            verify=_trusted() if checked.tls else False,
        ) as client,
        client.stream(
            "POST",
            url,
            content=body,
            headers={**headers, "Host": host},
            extensions={"sni_hostname": checked.host} if named else {},
        ) as response,
    ):
        return response.status_code


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The system's and certifi's authorities; reading them takes longer than a message."""
    return httpx2.create_ssl_context()
