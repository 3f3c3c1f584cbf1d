"""A real OpenID provider: Debian's glewlwyd on a free port, with a client for us and a user."""

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import urllib3
from joserfc.jwk import RSAKey

from tests.kit.server import free_port

SCHEMA = Path("/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3")
READY_SECONDS = 20
CLIENT_ID, CLIENT_SECRET = "anomify", "a secret between us"
USER, PASSWORD = "ann", "a phrase of hers"
CONFIG = """
port={port}
bind_address="127.0.0.1"
external_url="{url}"
login_url="login.html"
api_prefix="api"
static_files_path="/usr/share/glewlwyd/webapp/"
log_mode="console"
log_level="WARNING"
cookie_domain=""
cookie_secure=0
session_key="THEIRS"
session_expiration=3600
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
user_middleware_module_path="/usr/lib/glewlwyd/user_middleware"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
hash_algorithm="SHA512"
login_api_enabled=true
database = {{ type = "sqlite3" path = "{database}" }};
"""


class Glewlwyd:
    """One that runs; its administrator has the password that it was installed with."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.issuer = f"{url}/api/oidc"
        self._pool = urllib3.PoolManager(retries=False, timeout=10)

    def set_up(self, redirect_uri: str) -> None:
        """Make the provider's plugin, our client and a user who trusts us."""
        admin = self._cookie("admin", "password")
        key = RSAKey.generate_key(2048)
        switches = {
            "auth-type-code-enabled": True,
            "pkce-allowed": True,
            "pkce-required": True,
            "jwks-show": True,
            "oauth-as-iss-id": True,
            "refresh-token-rolling": False,
            "allow-non-oidc": False,
            **{
                f"auth-type-{kind}-enabled": False
                for kind in ("token", "id-token", "none", "implicit", "password", "client")
            },
        }
        plugin = {
            "iss": self.issuer,
            "jwt-type": "rsa",
            "jwt-key-size": "256",
            "key": key.as_pem(private=True).decode(),
            "cert": key.as_pem(private=False).decode(),
            "access-token-duration": 3600,
            "refresh-token-duration": 3600,
            "code-duration": 60,
            "subject-type": "public",
            "email-claim": "mandatory",
            "name-claim": "mandatory",
            "scope": [],
            "additional-parameters": [],
            "claims": [],
            **switches,
        }
        for path, document in (
            (
                "/api/mod/plugin/",
                {"module": "oidc", "name": "oidc", "display_name": "oidc", "parameters": plugin},
            ),
            (
                "/api/client/",
                {
                    "client_id": CLIENT_ID,
                    "name": "Anomify",
                    "confidential": True,
                    "password": CLIENT_SECRET,
                    "enabled": True,
                    "scope": [],
                    "redirect_uri": [redirect_uri],
                    "authorization_type": ["code"],
                    "token_endpoint_auth_method": ["client_secret_basic"],
                },
            ),
            (
                "/api/user/",
                {
                    "username": USER,
                    "name": "Ann",
                    "email": "ann@acme.example",
                    "password": PASSWORD,
                    "enabled": True,
                    "scope": ["g_profile", "openid"],
                },
            ),
        ):
            self._ask("POST", path, document, admin)
        self._ask(
            "PUT",
            f"/api/auth/grant/{CLIENT_ID}",
            {"scope": "openid"},
            self._cookie(USER, PASSWORD),
        )

    def sign_in(self, authorization_url: str) -> dict[str, str]:
        """Do as the user's browser does there; return what it comes back with."""
        reply = self._pool.request(
            "GET",
            f"{authorization_url}&g_continue",
            headers={"Cookie": self._cookie(USER, PASSWORD)},
            redirect=False,
        )
        parts = urlsplit(reply.headers["Location"])
        return {name: found[0] for name, found in parse_qs(parts.query).items()}

    def answers(self) -> bool:
        """Return whether it takes requests."""
        try:
            return self._pool.request("GET", f"{self.url}/config").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _cookie(self, username: str, password: str) -> str:
        reply = self._ask("POST", "/api/auth/", {"username": username, "password": password})
        return reply.headers["Set-Cookie"].split(";")[0]

    def _ask(
        self, method: str, path: str, document: object, cookie: str = ""
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Content-Type": "application/json", "Cookie": cookie}
        reply = self._pool.request(
            method, self.url + path, body=json.dumps(document), headers=headers
        )
        assert reply.status == 200, f"{path}: {reply.status} {reply.data[:500]!r}"
        return reply


@contextmanager
def glewlwyd(directory: Path, redirect_uri: str) -> Iterator[Glewlwyd]:
    """Run one whose client may come back to this address only."""
    directory.mkdir(parents=True, exist_ok=True)
    database = directory / "theirs.db"
    made = sqlite3.connect(database)
    made.executescript(SCHEMA.read_text())
    made.close()
    port = free_port()
    config, log = directory / "glewlwyd.conf", directory / "glewlwyd.log"
    url = f"http://127.0.0.1:{port}"
    config.write_text(CONFIG.format(port=port, url=url, database=database))
    with log.open("wb") as written:
        process = subprocess.Popen(
            ["glewlwyd", "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
    running = Glewlwyd(url)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not running.answers():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        running.set_up(redirect_uri)
        yield running
    finally:
        running.close()
        process.terminate()
        process.wait()
