"""Client address, scheme and host of requests that come through trusted proxies."""

import ipaddress
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Flask, Response, make_response, redirect, request

from anomify.audit.recording import note_address
from anomify.config import Settings
from anomify.edge.bounded_request import PEER
from anomify.edge.contract import current_route
from anomify.errors import Denied

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]
# The longest chain of proxies; entries beyond it are ignored.
PROXIES_MAX = 20
HOST_CHARACTERS_MAX = 253
# Health checks of load balancers, which are answered also without encryption.
FOR_EVERYBODY = {"/-/healthy", "/-/ready"}


class TrustedProxies:
    """WSGI middleware that takes client address, scheme and host from trusted proxies only.

    It puts them where WSGI has those of a direct connection.
    """

    def __init__(self, app: WsgiApp, networks: Iterable[str]) -> None:
        """Trust proxies with an address in one of these networks."""
        self._app = app
        self._networks = [ipaddress.ip_network(each) for each in networks]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Call the app with the address, scheme and host of the client."""
        environ[PEER] = environ.get("REMOTE_ADDR", "")
        if self._is_trusted(environ[PEER]):
            environ["REMOTE_ADDR"] = self._client(environ)
            scheme = _last(environ.get("HTTP_X_FORWARDED_PROTO", "")).lower()
            if scheme in {"http", "https"}:
                environ["wsgi.url_scheme"] = scheme
            host = _last(environ.get("HTTP_X_FORWARDED_HOST", ""))
            if host and len(host) <= HOST_CHARACTERS_MAX:
                environ["HTTP_HOST"] = host
        return self._app(environ, start_response)

    def _client(self, environ: dict[str, Any]) -> str:
        """Return the nearest address that is no trusted proxy; those beyond may be forged."""
        nearest = str(environ["REMOTE_ADDR"])
        passed_on = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
        for text in reversed(passed_on[-PROXIES_MAX:]):
            address = _parsed(text)
            if address is None:
                break
            nearest = str(address)
            if not self._is_trusted(nearest):
                break
        return nearest

    def _is_trusted(self, text: str) -> bool:
        address = _parsed(text)
        return address is not None and any(address in network for network in self._networks)


def install(app: Flask, settings: Settings) -> None:
    """Install the middleware, and refuse unencrypted requests where HTTPS is required."""
    if settings.trusted_proxies:
        app.wsgi_app = TrustedProxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign] # Flask's own way to wrap it

    @app.before_request
    def say_address() -> None:
        note_address(request.remote_addr or "")

    if settings.needs_https:

        @app.before_request
        def demand_https() -> "ResponseReturnValue | None":
            return _without_https(settings.base_url)


def _without_https(base_url: str) -> Response | None:
    """Redirect requests of pages to HTTPS, and refuse other unencrypted requests."""
    if request.is_secure or request.path in FOR_EVERYBODY or _is_from_here():
        return None
    route = current_route()
    is_page = route.is_cookie_only if route else request.path.startswith(("/ui", "/static/"))
    # An untrusted proxy claims HTTPS: a redirect there would come back here.
    if is_page and "X-Forwarded-Proto" not in request.headers:
        query = request.query_string.decode("ascii", "replace")
        wanted = quote(request.path) + (f"?{query}" if query else "")
        return make_response(redirect(f"{base_url}{wanted}", 308))
    raise Denied(
        f"This server answers over https only, at {base_url}. Where a proxy of yours encrypts, "
        "name its network in the setting trusted_proxies. If you sent a key, make a new one.",
        code="https_required",
    )


def _is_from_here() -> bool:
    address = _parsed(request.remote_addr or "")
    return address is not None and address.is_loopback


def _last(listed: str) -> str:
    return listed.rsplit(",", 1)[-1].strip()


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address; an IPv4 address mapped to IPv6 as IPv4."""
    plain = text.strip()
    if plain.startswith("[") and "]" in plain:
        plain = plain[1 : plain.index("]")]
    elif plain.count(":") == 1:
        # Some proxies append the port.
        plain = plain.split(":")[0]
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
