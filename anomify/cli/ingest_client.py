"""Send batches of datapoints to a server over HTTP, with retries."""

import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import click
import urllib3

from anomify.errors import AnomifyError, Invalid, Unavailable
from anomify.outbound.http_client import operator_pool

INGEST_PATH = "/flux/metric_data_post"
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# The longest wait that a server may request with Retry-After.
RETRY_AFTER_MAX_SECONDS = 300.0
RETRY_FOR_SECONDS = 600.0
# Retries end sooner if the server has never answered: the address is probably wrong. A server that
# is starting needs no longer than this.
FIRST_RETRY_FOR_SECONDS = 10.0
SHOWN_REFUSALS = 20
AGAIN = frozenset({429, 500, 502, 503, 504})
STORED = 204
REPORT_STATUSES = frozenset({207, 400, 402, 403, 409, 413, 422})
# OpenSSL's errors for a response that is plain HTTP.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST")


@dataclass
class PushResult:
    """How many rows were sent, stored, left out and refused."""

    metric: str
    rows: int = 0
    sent: int = 0
    stored: int = 0
    missing: int = 0
    refused: int = 0
    unreadable: int = 0
    resumed_after_rows: int = 0
    refusals: list[dict[str, Any]] = field(default_factory=list)


def server_address(url: str) -> str:
    """Return the server's address without the ingestion path. Raises Invalid for a bad address."""
    address = url.strip().rstrip("/").removesuffix(INGEST_PATH).rstrip("/")
    try:
        parsed = urllib3.util.parse_url(address)
    except urllib3.exceptions.LocationParseError:
        parsed = urllib3.util.Url()
    if "://" not in address or parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Invalid(
            f"{url!r} is not the address of a server: give it with --url, such as"
            " http://127.0.0.1:8080 or https://anomify.example."
        )
    return address


@dataclass(frozen=True)
class PushBatch:
    """The rows of one request, each with its line number in the file."""

    items: list[dict[str, Any]]
    lines: list[int]


class IngestClient:
    """Sends batches to a server, again until each is stored, refused, or the time is up."""

    def __init__(self, address: str, key: str, *, is_backfill: bool) -> None:
        """Send to the server at `address` with the token `key`."""
        self._address = address
        self._url = address + INGEST_PATH
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._is_backfill = is_backfill
        self._pool = operator_pool()
        self._has_answered = False

    def send(self, batch: PushBatch, summary: PushResult) -> None:
        """Send one batch and add its outcome to `summary`.

        Sending a batch twice changes nothing, so it is sent again after any unclear failure.
        """
        document: dict[str, Any] = {"metrics": batch.items}
        if self._is_backfill:
            document["fill"] = "true"
        reply = self._post_with_retries(json.dumps(document).encode())
        summary.sent += len(batch.items)
        report = _report_of(reply)
        if report is not None:
            _count_refusals(report, batch, summary)
        else:
            summary.stored += len(batch.items)

    def _post_with_retries(self, body: bytes) -> urllib3.BaseHTTPResponse:
        begun = time.monotonic()
        pause = FIRST_PAUSE_SECONDS
        is_announced = False
        while True:
            try:
                reply = self._pool.request("POST", self._url, body=body, headers=self._headers)
            except urllib3.exceptions.LocationValueError as error:
                raise Invalid(f"{self._url} is not an address: {error}.") from None
            except urllib3.exceptions.HTTPError as error:
                wait, why = pause, self._failure(error)
            else:
                if reply.status == STORED or _report_of(reply) is not None:
                    self._has_answered = True
                    return reply
                if reply.status not in AGAIN:
                    raise AnomifyError(self._refusal(reply))
                self._has_answered = True
                wait = max(pause, _retry_after_seconds(reply))
                why = f"The server answered {reply.status}: {_message_of(reply)}"
            wait_times = RETRY_FOR_SECONDS
            if not self._has_answered:
                wait_times = min(wait_times, FIRST_RETRY_FOR_SECONDS)
            if time.monotonic() + wait > begun + wait_times:
                raise Unavailable(f"{why} {self._hint()}".strip())
            if not is_announced:
                is_announced = True
                # On a terminal the line already holds the progress bar.
                click.echo(
                    "\n"
                    * sys.stderr.isatty()
                    + f"{why} Retrying for {_lasting(wait_times)}; press Ctrl-C to stop. The same"
                    " command resumes from here.",
                    err=True,
                )
            time.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _failure(self, error: urllib3.exceptions.HTTPError) -> str:
        """Return why no response arrived. Raises Unavailable if a retry cannot succeed."""
        sentence = str(error)
        if isinstance(error, urllib3.exceptions.SSLError):
            if any(word in sentence for word in _NOT_TLS):
                other = "http" + self._address.removeprefix("https")
                raise Unavailable(
                    f"{self._address} does not use https. If it uses http, give --url {other}."
                )
            raise Unavailable(f"{self._address} cannot be trusted: {sentence}.")
        if self._has_answered:
            return f"{self._address} does not answer: {_reason(error)}."
        if isinstance(error, urllib3.exceptions.NameResolutionError):
            raise Unavailable(
                f"The host name {urllib3.util.parse_url(self._address).host} was not found:"
                " check the address in --url."
            )
        if isinstance(error, urllib3.exceptions.ProtocolError) and self._is_plain():
            raise Unavailable(
                f"The server at {self._address} does not use http. If it uses https, give --url"
                f" https{self._address.removeprefix('http')}."
            )
        return f"Nothing answers at {self._address}: {_reason(error)}."

    def _refusal(self, reply: urllib3.BaseHTTPResponse) -> str:
        """Return a sentence for a response that is neither a success nor worth a retry."""
        sentence = f"{self._url} answers {reply.status}"
        location = reply.headers.get("Location")
        if 300 <= reply.status < 400 and location:  # noqa: PLR2004 -- HTTP's redirections
            there = location.removesuffix(INGEST_PATH)
            return (
                f"{sentence}: the server is now at {there}. Use that with --url."
                " Nothing was stored."
            )
        if reply.status in {404, 405} or reply.status < 400:  # noqa: PLR2004 -- HTTP's first "no"
            return (
                f"{sentence}: nothing there accepts datapoints. Check host and port; --url holds"
                " the server alone, such as http://127.0.0.1:8080. Nothing was stored."
            )
        sentence = f"The server answered {reply.status}: {_message_of(reply)}"
        if reply.status == 400 and self._is_plain() and "HTTPS" in sentence.upper():  # noqa: PLR2004 -- HTTP refuses
            sentence += f" Give --url https{self._address.removeprefix('http')}."
        return sentence

    def _hint(self) -> str:
        if self._has_answered:
            return "The same command resumes from here."
        return (
            "Check that Anomify is running there and the port is right; give another address with"
            " --url, such as --url http://127.0.0.1:9090."
        )

    def _is_plain(self) -> bool:
        return self._address.startswith("http://")


def _count_refusals(report: dict[str, Any], batch: PushBatch, summary: PushResult) -> None:
    refused = int(report["rejected_total"])
    summary.refused += refused
    summary.stored += len(batch.items) - refused
    for item in report["rejected"][: SHOWN_REFUSALS - len(summary.refusals)]:
        summary.refusals.append({"line": batch.lines[item["index"]], "reason": item["reason"]})


def _report_of(reply: urllib3.BaseHTTPResponse) -> dict[str, Any] | None:
    """Return the server's report about each row, or None if the response is none."""
    if reply.status not in REPORT_STATUSES:
        return None
    try:
        report = reply.json()
    except ValueError:
        return None
    is_report = isinstance(report, dict) and isinstance(report.get("rejected"), list)
    return report if is_report and isinstance(report.get("rejected_total"), int) else None


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return str(error).rpartition(": ")[2].rpartition("] ")[2].lower()
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "it took too long"
    return str(error)


def _lasting(seconds: float) -> str:
    if seconds >= 120:  # noqa: PLR2004 -- two minutes
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds:.0f} seconds"


def _message_of(reply: urllib3.BaseHTTPResponse) -> str:
    try:
        return str(reply.json()["message"])
    except (ValueError, KeyError, TypeError):
        return reply.data.decode(errors="replace")[:200] or "nothing more"


def _retry_after_seconds(reply: urllib3.BaseHTTPResponse) -> float:
    try:
        return min(float(reply.headers.get("Retry-After", "0")), RETRY_AFTER_MAX_SECONDS)
    except ValueError:
        return 0.0
