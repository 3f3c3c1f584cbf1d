"""The client of an OpenID Connect provider: its metadata, and the claims for a code."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from anomify.auth.id_token import KeyUnknown, verified_claims
from anomify.clock import now
from anomify.config import Settings
from anomify.errors import Denied, UpstreamFailed
from anomify.outbound.deadline import CallLimits
from anomify.outbound.http_client import EVERYWHERE, HttpReply, Outbound

log = logging.getLogger(__name__)

DISCOVERY_PATH = "/.well-known/openid-configuration"
# The operator has set the address, so it may be private; the limits apply to every call.
LIMITS = CallLimits(connect_seconds=3, read_seconds=5, total_seconds=10, body_bytes=256 * 1024)
TRUST_SECONDS = 3_600.0
# The shortest time between two reads of the keys because of a token with an unknown key.
LOOK_AGAIN_SECONDS = 30.0
OK = 200
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class OidcProvider:
    """A provider and our client registration with it. May be shared by threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        outbound: Outbound | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take issuer and client from the settings; the first sign-in reads the metadata."""
        self.issuer = settings.oidc_issuer or ""
        self._client_id = settings.oidc_client_id or ""
        secret = settings.oidc_client_secret
        self._client_secret = secret.get_secret_value() if secret else None
        self._scope = " ".join(settings.oidc_scopes)
        self._outbound = outbound or Outbound(EVERYWHERE, limits=LIMITS)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._found: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def authorization_url(self, redirect_uri: str, *, state: str, nonce: str, verifier: str) -> str:
        """Return the URL to which a browser is redirected for signing in."""
        url, _ = self._client(redirect_uri).create_authorization_url(
            self._discovered()["authorization_endpoint"],
            state=state,
            code_verifier=verifier,
            nonce=nonce,
        )
        return str(url)

    def claims_of(
        self, code: str, redirect_uri: str, *, nonce: str, verifier: str
    ) -> Mapping[str, Any]:
        """Return the verified claims for the code that the browser returned with.

        An address that is not in the token is read separately. Raises `Denied` if the provider
        refuses the code or its token is not valid, and `UpstreamFailed` if it does not answer.
        """
        found = self._discovered()
        client = self._client(redirect_uri, found)
        try:
            answered = client.fetch_token(
                found["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
            )
        except AuthlibBaseError as refusal:
            log.warning("%s refused a code: %s", self.issuer, refusal.error)
            raise Denied(
                "The other server did not confirm that you signed in there. Try again.",
                code="oidc_refused",
            ) from None
        access_token = answered.get("access_token")
        if not isinstance(access_token, str):
            access_token = None
        claims = self._verified(str(answered.get("id_token", "")), nonce, access_token)
        if "email" not in claims and access_token and "userinfo_endpoint" in found:
            return {**self._userinfo(found["userinfo_endpoint"], access_token, claims), **claims}
        return claims

    def _verified(self, text: str, nonce: str, access_token: str | None) -> Mapping[str, Any]:
        for is_last in (False, True):
            try:
                return verified_claims(
                    text,
                    self._published_keys(is_fresh=is_last),
                    issuer=str(self._discovered()["issuer"]),
                    client_id=self._client_id,
                    nonce=nonce,
                    access_token=access_token,
                    moment=now(),
                )
            except KeyUnknown:
                log.info("%s signed with a key that is not known yet", self.issuer)
        raise Denied("The reply of the other server could not be verified.", code="oidc_refused")

    def _userinfo(
        self, url: str, access_token: str, claims: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        claimed = _object(self._outbound.call("GET", url, None, headers), url)
        # It has to be about the user who signed in.
        return claimed if claimed.get("sub") == claims["sub"] else {}

    def _client(self, redirect_uri: str, found: Mapping[str, Any] | None = None) -> OAuth2Client:
        methods = (found or {}).get("token_endpoint_auth_methods_supported")
        posts = isinstance(methods, list) and "client_secret_basic" not in methods
        method = "client_secret_post" if posts and self._client_secret else None
        return OAuth2Client(
            _Transport(self._outbound),
            client_id=self._client_id,
            client_secret=self._client_secret,
            token_endpoint_auth_method=method,
            scope=self._scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )

    def _discovered(self) -> Mapping[str, Any]:
        with self._lock:
            if self._found and self._monotonic() - self._found[0] < TRUST_SECONDS:
                return self._found[1]
        url = self.issuer.rstrip("/") + DISCOVERY_PATH
        found = self._get(url)
        if str(found.get("issuer", "")).rstrip("/") != self.issuer.rstrip("/"):
            raise _misled(f"{url} names another issuer than oidc_issuer")
        for name in NEEDED:
            self._check_endpoint(name, found.get(name))
        if "userinfo_endpoint" in found:
            self._check_endpoint("userinfo_endpoint", found["userinfo_endpoint"])
        with self._lock:
            self._found = (self._monotonic(), found)
        return found

    def _check_endpoint(self, name: str, url: object) -> None:
        scheme = urlsplit(url).scheme if isinstance(url, str) else ""
        if scheme != "https" and scheme != urlsplit(self.issuer).scheme:
            raise _misled(f"the {name} of {self.issuer} is no https address")

    def _published_keys(self, *, is_fresh: bool) -> KeySet:
        with self._lock:
            if self._keys is not None:
                age = self._monotonic() - self._keys[0]
                if age < (LOOK_AGAIN_SECONDS if is_fresh else TRUST_SECONDS):
                    return self._keys[1]
        try:
            keys = KeySet.import_key_set(self._get(str(self._discovered()["jwks_uri"])))  # type: ignore[arg-type] # checked by the library
        except (JoseError, KeyError, TypeError, ValueError) as problem:
            raise _misled(f"the keys of {self.issuer} cannot be read: {problem}") from None
        with self._lock:
            self._keys = (self._monotonic(), keys)
        return keys

    def _get(self, url: str) -> dict[str, Any]:
        return _object(self._outbound.call("GET", url, None, {"Accept": "application/json"}), url)


class _Transport:
    """The library's HTTP session, implemented with `Outbound` and its limits."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    def post(
        self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any
    ) -> "_Answer":
        url, prepared, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return _Answer(self._outbound.post(url, body.encode(), prepared), url)


class _Answer:
    def __init__(self, reply: HttpReply, url: str) -> None:
        self._reply = reply
        self._url = url
        self.status_code = reply.status

    def json(self) -> Any:
        return json.loads(self._reply.body)

    def raise_for_status(self) -> None:
        raise _misled(f"{self._url} answered with the status {self.status_code}")


def _object(reply: HttpReply, url: str) -> dict[str, Any]:
    if reply.status != OK:
        raise _misled(f"{url} answered with the status {reply.status}")
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise _misled(f"{url} answered with no JSON that can be read") from None
    if not isinstance(found, dict):
        raise _misled(f"{url} answered with no object")
    return found


def _misled(what: str) -> UpstreamFailed:
    log.warning("signing in elsewhere fails: %s", what)
    return UpstreamFailed(
        "The other server does not answer as it should. Try again later, or sign in with your "
        "password.",
        kind="status",
    )
