"""A small OpenID Connect provider on loopback: discovery, keys, authorization code with PKCE, and lies on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "tapetum", "provider-secret"

Claims = dict[str, Any]


@dataclass
class OidcProvider:
    """What it answers can be changed while it runs.

    Attributes:
        person: the claims of who is logged in there; None refuses.
        redirect_url: the only one it sends people back to.
        sign: makes the ID token of its claims; by default as it should be.
        asked: queries that came to the authorization endpoint.
        codes: that were given out and not yet used, with the query.
    """

    redirect_url: str
    person: Claims | None
    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first", "use": "sig"}))
    metadata: Claims = field(default_factory=dict)
    sign: Callable[[Claims], str] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)

    def signed(self, claims: Claims) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def claims(self, asked: dict[str, str]) -> Claims:
        now = int(time.time())
        times = {"iat": now, "exp": now + 300}
        return {"iss": self.issuer, "aud": CLIENT_ID, "nonce": asked["nonce"], **times, **(self.person or {})}

    def discovery(self) -> Claims:
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return {
            "issuer": self.issuer,
            "code_challenge_methods_supported": ["S256"],
            **{name: f"{self.issuer}/{path}" for name, path in paths.items()},
            **self.metadata,
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser goes after the login there."""
        assert asked["redirect_uri"] == self.redirect_url
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        self.asked.append(asked)
        if self.person is None:
            return f"{self.redirect_url}?{urlencode({'error': 'access_denied', 'state': asked['state']})}"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{self.redirect_url}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, Claims]:
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        given = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        wrong = (
            "code"
            if asked is None
            else "verifier"
            if challenge.decode().rstrip("=") != asked["code_challenge"]
            else "client"
            if given != f"{CLIENT_ID}:{CLIENT_SECRET}"
            else "redirect"
            if form.get("redirect_uri") != self.redirect_url
            else None
        )
        if wrong is not None or asked is None:
            self.refusals.append(str(wrong))
            return 400, {"error": "invalid_grant"}
        sign = self.sign or self.signed
        id_token = sign(self.claims(asked))
        return 200, {"access_token": "an-access-token", "token_type": "Bearer", "id_token": id_token}


@contextmanager
def oidc_provider(redirect_url: str, person: Claims | None, *, host: str = "127.0.0.1") -> Iterator[OidcProvider]:
    """Run one until the end of the block; `host` is another name of this machine, and so another site to browsers."""
    provider = OidcProvider(redirect_url, person)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/.well-known/openid-configuration":
                self._say(200, provider.discovery())
            elif parts.path == "/keys":
                self._say(200, {"keys": [provider.key.as_dict(private=False)]})
            elif parts.path == "/authorize":
                self.send_response(302)
                self.send_header("location", provider.authorize(_flat(parts.query)))
                self.send_header("content-length", "0")
                self.end_headers()
            else:
                self._say(404, {})

        def do_POST(self) -> None:
            form = _flat(self.rfile.read(int(self.headers["content-length"])).decode())
            self._say(*provider.token(form, self.headers.get("authorization", "")))

        def _say(self, status: int, body: Claims) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _flat(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}
