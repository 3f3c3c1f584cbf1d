"""An OpenID provider of the tests' own, which signs whatever a test wants it to."""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from anomify.clock import now_timestamp

CLIENT_ID = "anomify"
CLIENT_SECRET = "a secret between us"
KEY = RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})


class Issuer:
    """The data of its replies; a test changes it to make them wrong."""

    def __init__(self) -> None:
        self.url = ""
        self.keys = [KEY]
        self.sub = "ann-at-the-issuer"
        self.claims: dict[str, Any] = {"email": "ann@acme.example", "email_verified": True}
        self.userinfo: dict[str, Any] = {}
        self.discovery: dict[str, Any] = {}
        self.requested: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def sign_in(self, authorization_url: str) -> dict[str, str]:
        """Do what a browser's user does there; return what it comes back with."""
        query = {
            name: found[0] for name, found in parse_qs(urlsplit(authorization_url).query).items()
        }
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT_ID
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        return {"code": code, "state": query["state"], "iss": self.url}

    def id_token(self, nonce: str) -> str:
        moment = now_timestamp()
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": self.sub,
            "iat": moment,
            "exp": moment + 300,
            "nonce": nonce,
            **self.claims,
        }
        return jwt.encode({"alg": "RS256", "kid": self.keys[-1].kid}, claims, self.keys[-1])

    def answer(self, path: str, headers: Any, form: dict[str, str]) -> tuple[int, object]:
        self.requested.append(path)
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "userinfo_endpoint": f"{self.url}/userinfo",
                **self.discovery,
            }
        if path == "/keys":
            return 200, KeySet([*self.keys]).as_dict(private=False)
        if path == "/userinfo":
            assert headers["Authorization"] == "Bearer access"
            return 200, {"sub": self.sub, **self.userinfo}
        assert path == "/token"
        return self._exchange(headers, form)

    def _exchange(self, headers: Any, form: dict[str, str]) -> tuple[int, object]:
        wanted = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        requested = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            headers["Authorization"] != f"Basic {wanted}"
            or requested is None
            or requested["code_challenge"] != challenge
            or requested["redirect_uri"] != form.get("redirect_uri")
        ):
            return 400, {"error": "invalid_grant"}
        return 200, {
            "access_token": "access",
            "token_type": "Bearer",
            "id_token": self.id_token(requested["nonce"]),
        }


@contextmanager
def issuer() -> Iterator[Issuer]:
    """Run one on a free port."""
    known = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._reply({name: found[0] for name, found in parse_qs(body).items()})

        def _reply(self, form: dict[str, str]) -> None:
            status, document = known.answer(urlsplit(self.path).path, self.headers, form)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
