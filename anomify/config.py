"""Settings, frozen and read once: defaults, then anomify.toml, then ANOMIFY_*, then flags."""

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from anomify.errors import ConfigError
from anomify.mail_address import address_problem

CONFIG_FILE = "anomify.toml"
PREFIX = "ANOMIFY_"
# The environment variable for the path of the settings file; it is not a setting.
CONFIG_FILE_VARIABLE = "ANOMIFY_CONFIG"
SECRET_KEY_FILE = "secret.key"  # noqa: S105 -- the name of a file
SECRET_KEY_BYTES = 32
# The domain of mail addresses and the id of an org.
_DOMAIN = re.compile(r"[a-z0-9.-]+\.[a-z0-9-]+=[1-9][0-9]{0,8}\Z")
_NAMED_ADDRESS = re.compile(r"[^<>@,\r\n]*<(?P<address>[^<>]*)>")
# A class of requests, a number and a number of seconds.
_LIMIT = re.compile(r"off\Z|[a-z]+=(off|[1-9][0-9]{0,8}/[1-9][0-9]{0,5})\Z")
# One of the channels whose API has a fixed address, and another address for it.
_CHANNEL_API = re.compile(r"(slack|telegram|pagerduty|twilio)=https?://[^\s,@]+\Z")


# As browsers write an origin: an asterisk, a path or a capital letter would never match.
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


def _networks(value: object) -> object:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        # Pydantic turns a ValueError, and only that, into a sentence for the user.
        raise ValueError("a list of networks like 10.2.0.0/16 is needed")  # noqa: TRY004 -- above
    return tuple(
        str(ipaddress.ip_network(str(part).strip())) for part in parts if str(part).strip()
    )


def _limits(value: object) -> object:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("a list like read=1000/60,login=off is needed")  # noqa: TRY004 -- see above
    found = tuple(str(part).strip() for part in parts if str(part).strip())
    if wrong := [part for part in found if not _LIMIT.match(part)]:
        raise ValueError(f"{wrong[0]} is neither like read=1000/60 nor like login=off nor off")
    return found


def _channel_apis(value: object) -> object:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("a list like slack=https://slack.example/api is needed")  # noqa: TRY004 -- see above
    found = tuple(str(part).strip() for part in parts if str(part).strip())
    if wrong := [part for part in found if not _CHANNEL_API.match(part)]:
        raise ValueError(
            f"{wrong[0][:80]} is not like slack=https://slack.example/api; the names are slack, "
            "telegram, pagerduty and twilio"
        )
    return found


def _words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _domains(value: object) -> object:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("a list like acme.example=1 is needed")  # noqa: TRY004 -- see above
    found = tuple(str(part).strip().lower() for part in parts if str(part).strip())
    if wrong := [part for part in found if not _DOMAIN.match(part)]:
        raise ValueError(f"{wrong[0]} is not a domain and the id of an org, like acme.example=1")
    return found


def _origins(value: object) -> object:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        # Pydantic turns a ValueError, and only that, into a sentence for the user.
        raise ValueError("a list of origins like https://app.example is needed")  # noqa: TRY004 -- above
    found = tuple(str(part).strip() for part in parts if str(part).strip())
    for origin in found:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin[:80]!r} is no origin; write https:// and a name in small letters, a port "
                "where it is not the usual one, and nothing after it"
            )
    return found


def _public_url(value: object) -> object:
    """Return the URL that links begin with. Raises ValueError for one with a path or query."""
    if value is None or value == "":
        return None
    text = str(value).strip()
    try:
        parts = urlsplit(text)
        # Reading the port finds out whether it is one.
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or parts.username is not None or not text.isprintable() or " " in text:
        raise ValueError(
            f"{text[:80]!r} is no address; write one such as https://anomify.example or "
            "http://192.0.2.7:8080"
        )
    if parts.path.strip("/") or parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError(
            f"{text[:80]!r} goes on after the host, and we are served at the root of a host: "
            "give the product a host name or a port of its own, such as "
            f"{parts.scheme}://{parts.netloc}"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


class Settings(BaseModel):
    """All settings; `anomify config show` prints each with its description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(Path("data"), description="where the embedded databases and keys lie")
    database_url: str | None = Field(
        None, description="postgresql://... instead of the embedded SQLite files"
    )
    host: str = Field("127.0.0.1", description="the address to listen on")
    port: int = Field(8080, ge=1, le=65535, description="the port to listen on")
    public_url: Annotated[str | None, BeforeValidator(_public_url)] = Field(
        None,
        description="the address at which people reach the product, without a path, such as "
        "https://anomify.example; links in messages begin with it",
    )
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(_networks)] = Field(
        (), description="networks of proxies whose X-Forwarded-For, -Proto and -Host are used"
    )
    require_https: bool | None = Field(
        None, description="refuse plain http from other machines; on where public_url is https"
    )
    insecure_http: bool = Field(
        default=False,
        description="send cookies over plain http although other machines can connect",
    )
    secret_key: SecretStr | None = Field(
        None, description="signs links and seals secrets; made and kept in data_dir when empty"
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="how much to log"
    )
    web_threads: int = Field(64, ge=2, le=512, description="threads that answer requests")
    smtp_host: str | None = Field(None, description="the mail server; no mail is sent without it")
    smtp_port: int = Field(587, ge=1, le=65535, description="the mail server's port")
    smtp_user: str | None = Field(None, description="the mail account, if the server needs one")
    smtp_password: SecretStr | None = Field(None, description="the mail account's password")
    smtp_starttls: bool = Field(default=True, description="encrypt the mail conversation")
    mail_from: str = Field("anomify@localhost", description="the sender of mails")
    operator_email: str | None = Field(
        None,
        description="where issues that users report are mailed to; none are accepted without it",
    )
    login_codes: bool = Field(
        default=True,
        description="mail a code to people who sign in from a new client; needs smtp_host",
    )
    signup: bool = Field(default=False, description="let anybody create an org; needs smtp_host")
    oidc_issuer: str | None = Field(
        None, description="an OpenID Connect server to sign in with, such as https://id.example"
    )
    oidc_client_id: str | None = Field(
        None, description="the client id that is registered at that server"
    )
    oidc_client_secret: SecretStr | None = Field(
        None, description="the client secret, if that server gave one"
    )
    oidc_name: str = Field("single sign-on", description="the name of that server on pages")
    oidc_scopes: Annotated[tuple[str, ...], BeforeValidator(_words)] = Field(
        ("openid", "email", "profile"), description="the scopes that are requested from that server"
    )
    oidc_domains: Annotated[tuple[str, ...], BeforeValidator(_domains)] = Field(
        (),
        description="mail domains whose users may join without an invitation, each with the id of "
        "their org, such as acme.example=1",
    )
    egress_allow: Annotated[tuple[str, ...], BeforeValidator(_networks)] = Field(
        (), description="private networks that webhooks may reach, such as 10.2.0.0/16"
    )
    channel_apis: Annotated[tuple[str, ...], BeforeValidator(_channel_apis)] = Field(
        (),
        description="other addresses of the APIs of channels, for a gateway or to test against, "
        "such as slack=https://slack.example/api",
    )
    apprise_enabled: bool = Field(
        default=False,
        description="offer Apprise as a channel; needs anomify[apprise]. It sends by itself, to a "
        "list of services at fixed addresses",
    )
    rate_limits: Annotated[tuple[str, ...], BeforeValidator(_limits)] = Field(
        (),
        description="changes to the request limits, such as read=9000/60,login=off; or off",
    )
    retention_days: int | None = Field(
        None, ge=1, description="delete points older than this; kept for ever when empty"
    )
    legacy_session_param: bool = Field(
        default=True, description="accept session ids as the session_id parameter"
    )
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(_origins)] = Field(
        (), description="sites whose pages may call the API, such as https://app.acme.example"
    )

    stripe_secret_key: SecretStr | None = Field(
        None, description="Stripe's API key; without it nobody is billed and no limit applies"
    )
    stripe_webhook_secret: SecretStr | None = Field(
        None, description="the secret with which Stripe signs its webhooks to /org/stripecallback"
    )
    stripe_api_base: str | None = Field(
        None, description="another server that uses Stripe's wire format, to test against"
    )
    stripe_tax: bool = Field(default=False, description="let Stripe Tax calculate taxes")
    free_metrics: int = Field(
        1000, ge=0, description="metrics an org may have without a paid plan, where Stripe bills"
    )

    @field_validator("host")
    @classmethod
    def _without_brackets(cls, host: str) -> str:
        """Accept an IPv6 address in brackets, too."""
        return host[1:-1] if host.startswith("[") and host.endswith("]") else host

    @model_validator(mode="after")
    def _check_oidc(self) -> Self:
        if self.oidc_issuer is None:
            return self
        parts = urlsplit(self.oidc_issuer)
        is_safe = parts.scheme == "https" or (
            parts.scheme == "http" and _is_loopback(parts.hostname or "")
        )
        if not is_safe or parts.query or parts.fragment:
            raise ValueError("oidc_issuer has to be an address that begins with https://")
        if not self.oidc_client_id:
            raise ValueError("oidc_issuer needs oidc_client_id beside it")
        return self

    @model_validator(mode="after")
    def _check_stripe(self) -> Self:
        if self.stripe_secret_key and not self.stripe_webhook_secret:
            raise ValueError(
                "stripe_secret_key needs stripe_webhook_secret beside it: without Stripe's "
                "webhooks nobody would get the plan they pay for"
            )
        return self

    @field_validator("mail_from", "operator_email")
    @classmethod
    def _check_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        # The sender may have a name before the address.
        named = _NAMED_ADDRESS.fullmatch(value) if info.field_name == "mail_from" else None
        if problem := address_problem(named["address"] if named else value):
            raise ValueError(f"no mail can be sent to this address: {problem}")
        return value

    @model_validator(mode="after")
    def _check_signup(self) -> Self:
        if self.signup and not self.smtp_host:
            raise ValueError("signup needs smtp_host: who signs up is mailed a link first")
        return self

    @property
    def mails_login_codes(self) -> bool:
        """Return whether users who sign in from a new client are mailed a code."""
        return self.login_codes and self.smtp_host is not None

    @property
    def can_mail(self) -> bool:
        """Return whether there is a mail server."""
        return self.smtp_host is not None

    @property
    def meta_url(self) -> str:
        """Return the URL of the meta database."""
        return self.database_url or f"sqlite:///{self.data_dir / 'meta.db'}"

    @property
    def starting_quota(self) -> int | None:
        """Return how many metrics a new org may have; None for no limit, where billing is off."""
        return self.free_metrics if self.stripe_secret_key else None

    @property
    def listen_address(self) -> str:
        """Return the address and port to listen on, as in a URL."""
        return f"{_in_url(self.host)}:{self.port}"

    @property
    def local_url(self) -> str:
        """Return the URL with which our own processes reach the web process."""
        return f"http://{_in_url(self.local_host)}:{self.port}"

    @property
    def base_url(self) -> str:
        """Return the URL with which users reach the product, without a slash at the end."""
        return (self.public_url or f"http://{self.listen_address}").rstrip("/")

    @property
    def printed_url(self) -> str:
        """Return the URL of links that are printed on this machine, without a slash at the end.

        Where it listens on all addresses, it is one that can be opened on this machine.
        """
        return self.base_url if self.public_url else self.local_url

    @property
    def local_host(self) -> str:
        """Return the host with which our own processes reach the web process."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 -- read, not bound

    @property
    def has_secure_cookies(self) -> bool:
        """Return whether cookies are sent over HTTPS only."""
        if self.insecure_http:
            return False
        parts = urlsplit(self.base_url)
        return not (parts.scheme == "http" and _is_loopback(parts.hostname or ""))

    def channel_api(self, name: str) -> str | None:
        """Return the other address that is set for the API of a channel, or None."""
        found = (each.partition("=") for each in self.channel_apis)
        return next((url for channel, _, url in found if channel == name), None)

    @property
    def oidc_orgs(self) -> dict[str, int]:
        """Return by domain the id of the org that users with a verified address may join."""
        return {domain: int(org) for domain, org in (each.split("=") for each in self.oidc_domains)}

    @property
    def needs_https(self) -> bool:
        """Return whether unencrypted requests from other machines are refused."""
        if self.require_https is not None:
            return self.require_https
        return self.base_url.startswith("https://") and not self.insecure_http

    def key_for(self, purpose: str) -> bytes:
        """Return a key of 32 bytes for one purpose, derived from the secret key."""
        if not self.secret_key:
            raise ConfigError("The secret key is not loaded; call with_secret_key() first.")
        master = self.secret_key.get_secret_value().encode()
        return hmac.new(master, purpose.encode(), hashlib.sha256).digest()

    def make_data_dir(self) -> None:
        """Create the data directory if it is missing, accessible only by its owner."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)

    def with_secret_key(self) -> Self:
        """Return the settings with the secret key: the configured one, or the one in data_dir.

        Raises ConfigError if the stored one is empty: everything it signed and sealed is lost then.
        """
        if self.secret_key:
            return self
        path = self.data_dir / SECRET_KEY_FILE
        self.make_data_dir()
        try:
            # Written to another file and linked: processes that start together use one key.
            draft = path.with_name(f"{SECRET_KEY_FILE}.{os.getpid()}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(SECRET_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            finally:
                draft.unlink()
        except FileExistsError:
            pass
        key = path.read_text().strip()
        if not key:
            raise ConfigError(
                f"{path} is empty: put the key back, or delete the file for a new one."
            )
        return self.model_copy(update={"secret_key": SecretStr(key)})

    def shown(self) -> dict[str, Any]:
        """Return all settings by key for printing; secrets are masked."""
        values = self.model_dump(mode="json")
        if self.database_url:
            values["database_url"] = _without_password(self.database_url)
        return values


def load(flags: Mapping[str, object] | None = None) -> Settings:
    """Read the settings. Raises ConfigError for an unknown key or an invalid value.

    `flags` holds the flags of the command line that were given.
    """
    values: dict[str, object] = {}
    values.update(_from_file())
    values.update(_from_environment())
    values.update(flags or {})
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_sentences(error)) from None


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment for a child process that is to read the same settings."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    # The child must not read the settings file, because the parent's flags override it.
    environment[CONFIG_FILE_VARIABLE] = os.devnull
    for key in Settings.model_fields:
        value = getattr(settings, key)
        if value is None:
            continue
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        environment[PREFIX + key.upper()] = (
            ",".join(value) if isinstance(value, tuple) else str(value)
        )
    return environment


def _from_file() -> dict[str, object]:
    named = os.environ.get(CONFIG_FILE_VARIABLE)
    path = Path(named or CONFIG_FILE)
    if not path.exists():
        if named:
            raise ConfigError(f"{CONFIG_FILE_VARIABLE} names {named}, which does not exist.")
        return {}
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None


def _from_environment() -> dict[str, object]:
    values: dict[str, object] = {}
    for variable, value in os.environ.items():
        if not variable.startswith(PREFIX) or variable == CONFIG_FILE_VARIABLE:
            continue
        key = variable.removeprefix(PREFIX).lower()
        if key.endswith("_file") and key.removesuffix("_file") in Settings.model_fields:
            # NAME_FILE has the path of a file with the value, as container platforms give secrets.
            try:
                values[key.removesuffix("_file")] = Path(value).read_text().strip()
            except OSError as problem:
                raise ConfigError(f"{variable} names {value}: {problem.strerror}.") from None
        else:
            values[key] = value
    return values


def _sentences(error: ValidationError) -> str:
    sentences = []
    for problem in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            sentences.append(
                f"{key} is not a setting; `anomify config show` lists the ones there are."
            )
        else:
            sentences.append(f"{key}: {problem['msg']}.")
    return " ".join(sentences)


def _in_url(host: str) -> str:
    """Return a host as in a URL: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return url.replace(f":{parts.password}@", ":**********@", 1)
