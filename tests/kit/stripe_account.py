"""The things of a Stripe account and its events, as the local Stripe server keeps them."""

import copy
import hashlib
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SECRET_KEY = "sk_test_wire"
WEBHOOK_SECRET = "whsec_wire"
MONTH_SECONDS = 30 * 86_400
DAY_SECONDS = 86_400
DECLINED = "Your card was declined."


@dataclass(frozen=True)
class Failure:
    """How to answer a request instead; with `after` only once it has been carried out."""

    status: int
    code: str = "api_error"
    is_after: bool = False
    # Closes the connection without any answer.
    hangs_up: bool = False


@dataclass(frozen=True)
class SentRequest:
    method: str
    path: str
    parameters: dict[str, Any]
    key: str | None
    is_replay: bool


class Refused(Exception):
    def __init__(self, status: int, kind: str, message: str, **more: str) -> None:
        self.status = status
        self.body = {"error": {"type": kind, "message": message, **more}}


class StripeAccount:
    """Keeps the things and events of an account, and the failures that a test has set."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.things: dict[str, dict[str, Any]] = {}
        self.requested: list[SentRequest] = []
        self.events: list[dict[str, Any]] = []
        # What Stripe's clock shows; a test turns it on.
        self.now = int(time.time())
        self.livemode = False
        self.port = 0
        self._failures: deque[tuple[str, Failure]] = deque()
        self._replays: dict[str, tuple[str, int, Any]] = {}
        self._count = 0
        self.declined: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tell(self, kind: str, thing: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        event = {
            "id": self._id("evt"),
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": self.now,
            "livemode": self.livemode,
            "type": kind,
            "data": {"object": copy.deepcopy(public_fields(thing))},
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            **more,
        }
        self.events.append(event)
        return event

    def take_events(self) -> list[dict[str, Any]]:
        taken, self.events = self.events, []
        return taken

    def fail(self, path: str, failure: Failure, *, times: int = 1) -> None:
        """Answer the next requests whose address begins so with this."""
        self._failures.extend([(path, failure)] * times)

    def failure_for(self, path: str) -> Failure | None:
        with self.lock:
            for index, (start, failure) in enumerate(self._failures):
                if path.startswith(start):
                    del self._failures[index]
                    return failure
            return None

    def _end(self, subscription: dict[str, Any]) -> None:
        subscription.update(status="canceled", canceled_at=self.now, ended_at=self.now)
        self.tell("customer.subscription.deleted", subscription)

    def _amount_of(self, subscription: dict[str, Any]) -> int:
        amount: int = self.things[subscription["items"]["data"][0]["price"]]["unit_amount"]
        return amount

    def _id(self, prefix: str) -> str:
        with self.lock:
            self._count += 1
            return f"{prefix}_{hashlib.sha256(str(self._count).encode()).hexdigest()[:14]}"

    def _make(self, prefix: str, kind: str, **fields: Any) -> dict[str, Any]:
        with self.lock:
            made = {
                "id": self._id(prefix),
                "object": kind,
                "created": self.now,
                "livemode": self.livemode,
                **fields,
            }
            self.things[made["id"]] = made
            return made

    def _all(self, kind: str) -> list[dict[str, Any]]:
        return [thing for thing in self.things.values() if thing["object"] == kind]

    def _get(self, thing_id: str, kind: str) -> dict[str, Any]:
        found = self.things.get(thing_id)
        if found is None or found["object"] != kind:
            raise missing(kind, thing_id)
        return found

    def _list(self, things: list[dict[str, Any]], given: dict[str, Any]) -> dict[str, Any]:
        limit = int(given.get("limit", 10))
        expanded = [name.removeprefix("data.") for name in given.get("expand", [])]
        return {
            "object": "list",
            "has_more": len(things) > limit,
            "data": [self._shown(each, {"expand": expanded}) for each in things[:limit]],
        }

    def _shown(self, thing: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        """A thing as it goes over the wire: prices whole, the rest as ids unless expanded."""
        shown = copy.deepcopy(public_fields(thing))
        if thing["object"] == "subscription":
            for item in shown["items"]["data"]:
                item["price"] = public_fields(self.things[item["price"]])
        for name in given.get("expand", []):
            if shown.get(name):
                shown[name] = copy.deepcopy(public_fields(self.things[shown[name]]))
        return shown


def public_fields(thing: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in thing.items() if not name.startswith("_")}


def error_body(kind: str, code: str) -> dict[str, Any]:
    return {"error": {"type": kind, "code": code, "message": "Try again."}}


def invalid(message: str) -> Refused:
    return Refused(400, "invalid_request_error", message)


def missing(kind: str, thing_id: str) -> Refused:
    message = f"No such {kind}: '{thing_id}'"
    return Refused(404, "invalid_request_error", message, code="resource_missing", param="id")


def broken_answer(failure: Failure) -> Refused:
    if failure.status == 402:
        return declined_card(failure.code)
    return Refused(failure.status, "api_error", "Something went wrong.")


def declined_card(code: str) -> Refused:
    return Refused(402, "card_error", DECLINED, code=code, decline_code="generic_decline")
