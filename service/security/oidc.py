"""Login at an OpenID Connect provider: authorization code with PKCE, state and nonce, and an ID token that is checked.

What the provider says about somebody becomes a role and cameras only by the grants of the configuration; who matches
none is refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from service.security.access import Role
from service.settings import Settings, SettingsError

__all__ = ["CALLBACK_PATH", "Identity", "NothingGranted", "OidcError", "PendingLogin", "Provider", "provider_of"]

log = structlog.get_logger("tapetum.oidc")

# Asymmetric ones only: with a shared secret, whoever knows the public key could pass it off as one.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
_KINDS = frozenset({"RSA", "EC", "OKP"})
CALLBACK_PATH = "/login/oidc/callback"
_TIMEOUT_S = 10.0
_METADATA_KEPT_S = 3600.0
_ASK_AGAIN_S = 2.0  # while it does not answer, strangers cannot have it asked more often
_KEYS_AGAIN_S = 10.0  # a key that is not known is looked for at most so often
_LEEWAY_S = 60
_MAX_SUBJECT = 255  # the specification's


class OidcError(RuntimeError):
    """The login is refused; the message is a sentence for the one who logs in.

    Attributes:
        reason: for the log and the audit log; never a token or a code.
    """

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class NothingGranted(OidcError):  # noqa: N818 - a kind of OidcError
    """The provider knows who it is, and no grant is for them.

    Attributes:
        key: what an account of theirs is bound to.
    """

    def __init__(self, key: str) -> None:
        super().__init__("Your account has no access to Tapetum. Ask your administrator.", "no grant matches")
        self.key = key


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """What the browser that began a login has to bring back."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is for the provider, and what that grants here.

    Attributes:
        subject: never changes for one person at one issuer, while a name may.
        cameras: None for all.
    """

    issuer: str
    subject: str
    name: str
    role: Role
    cameras: frozenset[str] | None

    @property
    def key(self) -> str:
        """What an account is bound to."""
        return _key(self.issuer, self.subject)


def provider_of(settings: Settings) -> Provider | None:
    """The configured provider, None without one. Raises SettingsError naming the key."""
    if settings.oidc_issuer is None:
        if not settings.local_login:
            raise SettingsError("TAPETUM_LOCAL_LOGIN: without TAPETUM_OIDC_ISSUER nobody could log in any more")
        return None
    for name in ("oidc_client_id", "oidc_redirect_url", "oidc_grants"):
        if not getattr(settings, name):
            raise SettingsError(f"TAPETUM_{name.upper()}: needed where TAPETUM_OIDC_ISSUER is set")
    for name in ("oidc_issuer", "oidc_redirect_url"):
        if not _safe(getattr(settings, name)):
            raise SettingsError(f"TAPETUM_{name.upper()}: expected an https address, or http on this machine")
    if urlsplit(settings.oidc_redirect_url or "").path != CALLBACK_PATH:
        raise SettingsError(f"TAPETUM_OIDC_REDIRECT_URL: expected an address that ends in {CALLBACK_PATH}")
    return Provider(settings)


class Provider:
    """One provider. `begin` and `finish` raise OidcError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.issuer = settings.oidc_issuer or ""
        self._metadata: dict[str, Any] = {}
        self._metadata_s = self._failed_s = float("-inf")
        self._discovering = asyncio.Lock()
        self._keys: KeySet | None = None
        self._keys_s = float("-inf")

    async def begin(self) -> tuple[str, PendingLogin]:
        """The provider's address to send a browser to, and what that browser has to bring back."""
        pending = PendingLogin(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))
        metadata = await self._discovered()
        # Without a client: anybody may ask for this, and making one reads all certificates.
        url = prepare_grant_uri(
            metadata["authorization_endpoint"],
            self._settings.oidc_client_id,
            "code",
            redirect_uri=self._settings.oidc_redirect_url,
            scope=" ".join(self._settings.oidc_scopes),
            state=pending.state,
            nonce=pending.nonce,
            code_challenge=create_s256_code_challenge(pending.verifier),
            code_challenge_method="S256",
        )
        return str(url), pending

    async def finish(self, pending: PendingLogin, code: str, issuer: str | None) -> Identity:
        """Exchange the code and check what it brings.

        Args:
            issuer: that the answer names (RFC 9207), so that one provider's answer is not taken for another's.
        """
        metadata = await self._discovered()
        named = metadata.get("authorization_response_iss_parameter_supported") is True
        if issuer != self.issuer and (issuer is not None or named):
            raise _refused("the answer names another issuer")
        try:
            async with self._client() as client:
                token = await client.fetch_token(
                    metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=pending.verifier,
                )
        except OAuthError as error:
            raise _refused(f"token endpoint: {str(error.error)[:80]}") from None
        except (httpx.HTTPError, ValueError) as error:
            raise _away(error) from None
        id_token = token.get("id_token")
        if not isinstance(id_token, str):
            raise _refused("the answer holds no ID token")
        claims = await self._checked(id_token, pending.nonce, str(token.get("access_token", "")))
        return self._identity(claims)

    async def _checked(self, id_token: str, nonce: str, access_token: str) -> Mapping[str, Any]:
        """The claims of an ID token: signature, algorithm, issuer, audience, times and nonce are right."""
        try:
            try:
                found = jwt.decode(id_token, await self._key_set(), algorithms=ALGORITHMS)
            except InvalidKeyIdError:  # the provider may have changed its keys
                if time.monotonic() - self._keys_s < _KEYS_AGAIN_S:
                    raise
                found = jwt.decode(id_token, await self._key_set(again=True), algorithms=ALGORITHMS)
            claims = CodeIDToken(
                found.claims,
                found.header,
                options={
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self._settings.oidc_client_id},
                },
                params={
                    "nonce": nonce,
                    "client_id": self._settings.oidc_client_id,
                    "access_token": access_token,
                },
            )
            claims.validate(leeway=_LEEWAY_S)
        except JoseError as error:
            raise _refused(f"ID token: {error.error}: {getattr(error, 'claim', '')}") from None
        except (ValueError, TypeError, KeyError) as error:
            raise _refused(f"ID token: {type(error).__name__}") from None
        return dict(claims)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        settings = self._settings
        subject, name = claims["sub"], claims.get(settings.oidc_account_claim)
        if not isinstance(subject, str) or not 1 <= len(subject) <= _MAX_SUBJECT:
            raise _refused("the subject is none")
        values = _values(claims, settings.oidc_grant_claim)
        # The first in the configuration's order counts. Judged before the name: who has no grant any more is out.
        grant = next((grant for value, grant in settings.oidc_grants.items() if value in values), None)
        if grant is None:
            raise NothingGranted(_key(self.issuer, subject))
        if not isinstance(name, str):
            raise OidcError(
                "The login service does not say what your account is called. Tell your administrator.",
                f"no claim {settings.oidc_account_claim}",
            )
        cameras = None if grant.cameras == "*" else frozenset(grant.cameras)
        return Identity(self.issuer, subject, name, Role(grant.role), cameras)

    # -- the provider's addresses and keys ---------------------------------------------------------

    async def _discovered(self) -> dict[str, Any]:
        async with self._discovering:
            if time.monotonic() - self._metadata_s > _METADATA_KEPT_S:
                if time.monotonic() - self._failed_s < _ASK_AGAIN_S:
                    raise _away(TimeoutError())
                self._failed_s = time.monotonic()
                self._metadata, self._metadata_s = await self._discover(), time.monotonic()
                self._failed_s = float("-inf")
            return self._metadata

    async def _discover(self) -> dict[str, Any]:
        found = await self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise _refused("discovery names another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(found.get(name), str) or not _safe(found[name]):
                raise _refused(f"discovery: {name} is no https address")
        return found

    async def _key_set(self, *, again: bool = False) -> KeySet:
        if self._keys is None or again or time.monotonic() - self._keys_s > _METADATA_KEPT_S:
            found = await self._get((await self._discovered())["jwks_uri"])
            keys = [
                key
                for key in found.get("keys", [])
                if isinstance(key, dict) and key.get("kty") in _KINDS and key.get("use", "sig") == "sig"
            ]
            self._keys, self._keys_s = KeySet.import_key_set({"keys": keys}), time.monotonic()
        return self._keys

    async def _get(self, url: str) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
                answer = await client.get(url, headers={"accept": "application/json"})
                answer.raise_for_status()
                found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise _away(error) from None
        if not isinstance(found, dict):
            raise _refused("the provider's answer is no JSON object")
        return found

    def _client(self) -> AsyncOAuth2Client:
        secret = self._settings.oidc_client_secret
        return AsyncOAuth2Client(
            self._settings.oidc_client_id,
            secret.get_secret_value() if secret is not None else None,
            redirect_uri=self._settings.oidc_redirect_url,
            timeout=_TIMEOUT_S,
            trust_env=False,
        )


def _key(issuer: str, subject: str) -> str:
    return f"{issuer} {subject}"


def _values(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """The words of a claim, which is one or a list; a dot leads into an object, as in ``realm_access.roles``."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    listed = [found] if isinstance(found, str) else found
    return frozenset(one for one in listed if isinstance(one, str)) if isinstance(listed, list) else frozenset()


def _safe(url: str) -> bool:
    """Whether an address is encrypted, or of this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return True
    if parts.scheme != "http" or not parts.hostname:
        return False
    try:
        return parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


def _refused(reason: str) -> OidcError:
    return OidcError("The login service gave an answer that cannot be accepted. Try again.", reason)


def _away(error: Exception) -> OidcError:
    return OidcError("The login service does not answer. Try again shortly.", f"away: {type(error).__name__}")
