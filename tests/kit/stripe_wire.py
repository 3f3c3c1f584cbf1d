"""Stripe as far as this product meets it: a real HTTP server with its wire format and its memory.

The real library speaks to it. It keeps customers, prices, checkout and portal pages, subscriptions
with their items and schedules, and invoices; it replays what it did for an idempotency key, fails
in the ways that are asked of it, and signs events that a test delivers when, as often and in
whichever order it likes. What people do at Stripe's pages is done by the methods of `StripeWire`.
"""

import copy
import hashlib
import hmac
import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

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
class Asked:
    method: str
    path: str
    parameters: dict[str, Any]
    key: str | None
    is_replay: bool


class Refused(Exception):
    def __init__(self, status: int, kind: str, message: str, **more: str) -> None:
        self.status = status
        self.body = {"error": {"type": kind, "message": message, **more}}


class StripeWire:
    """The state, and what people do to it; methods may be called from tests at any time."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.things: dict[str, dict[str, Any]] = {}
        self.asked: list[Asked] = []
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

    # --- the operator's and the people's side ---

    def make_price(
        self,
        name: str,
        quota: int | str | None,
        amount: int,
        *,
        interval: str = "month",
        **more: Any,
    ) -> str:
        product = self._make("prod", "product", name=name, active=True, metadata={})
        metadata = {} if quota is None else {"metrics_quota": str(quota)}
        price = self._make(
            "price",
            "price",
            active=True,
            type="recurring",
            currency=more.pop("currency", "eur"),
            unit_amount=amount,
            nickname=None,
            recurring={"interval": interval, "interval_count": 1, "usage_type": "licensed"},
            metadata=metadata,
            product=product["id"],
            **more,
        )
        price_id: str = price["id"]
        return price_id

    def withdraw_price(self, price_id: str) -> None:
        self.things[price_id]["active"] = False

    def pay(self, session_id: str) -> dict[str, Any]:
        """What somebody does at the checkout page; returns the subscription."""
        with self.lock:
            page = self.things[session_id]
            assert page["status"] == "open", page["status"]
            subscription = self.subscribe(page["customer"], page["_price"])
            page.update(status="complete", payment_status="paid", subscription=subscription["id"])
            self.tell("checkout.session.completed", page)
            return subscription

    def subscribe(self, customer_id: str, price_id: str) -> dict[str, Any]:
        with self.lock:
            subscription = self._make(
                "sub",
                "subscription",
                customer=customer_id,
                status="active",
                cancel_at_period_end=False,
                cancel_at=None,
                canceled_at=None,
                currency=self.things[price_id]["currency"],
                schedule=None,
                latest_invoice=None,
                metadata={},
                items={"object": "list", "data": []},
            )
            subscription["items"]["data"].append(
                {
                    "id": self._id("si"),
                    "object": "subscription_item",
                    "price": price_id,
                    "quantity": 1,
                    "current_period_start": self.now,
                    "current_period_end": self.now + MONTH_SECONDS,
                    "subscription": subscription["id"],
                }
            )
            self.tell("customer.subscription.created", subscription)
            self._bill(subscription, self._amount_of(subscription))
            return subscription

    def end_period(self, subscription_id: str) -> None:
        """Let the time come at which the subscription ends, changes or is billed again."""
        with self.lock:
            subscription = self.things[subscription_id]
            item = subscription["items"]["data"][0]
            self.now = max(self.now, item["current_period_end"])
            if subscription["cancel_at_period_end"]:
                self._end(subscription)
                return
            schedule = self.things.get(subscription["schedule"] or "")
            if schedule:
                later = [p for p in schedule["phases"] if p["start_date"] >= self.now]
                if later:
                    item["price"] = later[0]["items"][0]["price"]
                schedule.update(status="released", current_phase=None)
                subscription["schedule"] = None
            item["current_period_start"] = item["current_period_end"]
            item["current_period_end"] += MONTH_SECONDS
            self._bill(subscription, self._amount_of(subscription))
            self.tell("customer.subscription.updated", subscription)

    def pay_open_bill(self, subscription_id: str) -> None:
        """What somebody does in the portal once they have another card."""
        with self.lock:
            subscription = self.things[subscription_id]
            self.declined.discard(subscription["customer"])
            invoice = self.things[subscription["latest_invoice"]]
            invoice.update(status="paid", amount_remaining=0)
            subscription["status"] = "active"
            self.tell("invoice.paid", invoice)
            self.tell("customer.subscription.updated", subscription)

    def give_up(self, subscription_id: str) -> None:
        """Stripe's last try to collect has failed."""
        with self.lock:
            self._end(self.things[subscription_id])

    def delete_customer(self, customer_id: str) -> None:
        with self.lock:
            customer = self.things.pop(customer_id)
            self.tell("customer.deleted", customer)

    # --- events ---

    def tell(self, kind: str, thing: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        event = {
            "id": self._id("evt"),
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": self.now,
            "livemode": self.livemode,
            "type": kind,
            "data": {"object": copy.deepcopy(_public(thing))},
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            **more,
        }
        self.events.append(event)
        return event

    def take_events(self) -> list[dict[str, Any]]:
        taken, self.events = self.events, []
        return taken

    # --- the wire ---

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

    def answer(
        self, method: str, path: str, parameters: dict[str, Any], key: str | None
    ) -> tuple[int, Any]:
        failure = self.failure_for(path)
        if failure and failure.hangs_up and not failure.is_after:
            raise ConnectionAbortedError
        said = f"{method} {path} {json.dumps(parameters, sort_keys=True)}"
        with self.lock:
            before = self._replays.get(key or "")
            self.asked.append(Asked(method, path, parameters, key, before is not None))
            if before is not None:
                if before[0] != said:
                    return 400, {
                        "error": {
                            "type": "idempotency_error",
                            "message": "Keys for idempotent requests can only be used with the "
                            "same parameters they were first used with.",
                        }
                    }
                if failure and failure.hangs_up:
                    raise ConnectionAbortedError
                return before[1], before[2]
            if failure and failure.status == 409:
                return 409, _error("idempotency_error", "idempotency_key_in_use")
            if failure and failure.status == 429:
                return 429, _error("rate_limit_error", "rate_limit")
            try:
                if failure is None or failure.is_after:
                    status, found = 200, self._route(method, path, parameters)
                if failure is not None and not failure.hangs_up:
                    broken = _broken(failure)
                    status, found = broken.status, broken.body
            except Refused as refused:
                status, found = refused.status, refused.body
            answer = copy.deepcopy(found)
            if method == "POST" and key:
                self._replays[key] = (said, status, answer)
        if failure and failure.hangs_up:
            raise ConnectionAbortedError
        return status, answer

    def _route(self, method: str, path: str, given: dict[str, Any]) -> Any:
        match [method, *path.removeprefix("/v1/").split("/")]:
            case ["POST", "customers"]:
                made = self._make(
                    "cus", "customer", **_texts(given), metadata=given.get("metadata", {})
                )
                self.tell("customer.created", made)
                return _public(made)
            case ["GET", "prices"]:
                found = [t for t in self._all("price") if t["active"]]
                return self._list(found, given)
            case ["GET", "prices", price_id]:
                return self._shown(self._get(price_id, "price"), given)
            case ["POST", "checkout", "sessions"]:
                return self._open_checkout(given)
            case ["POST", "checkout", "sessions", session_id, "expire"]:
                page = self._get(session_id, "checkout.session")
                if page["status"] != "open":
                    raise _invalid("Only Checkout Sessions with a status in [open] can be expired.")
                page.update(status="expired", url=None)
                self.tell("checkout.session.expired", page)
                return _public(page)
            case ["POST", "billing_portal", "sessions"]:
                self._get(given["customer"], "customer")
                made = self._make("bps", "billing_portal.session", **_texts(given))
                made["url"] = f"https://billing.stripe.test/p/session/{made['id']}"
                return _public(made)
            case ["GET", "subscriptions"]:
                self._get(given["customer"], "customer")
                mine = [t for t in self._all("subscription") if t["customer"] == given["customer"]]
                return self._list(mine[::-1], given)
            case ["POST", "subscriptions", subscription_id]:
                return self._change(self._get(subscription_id, "subscription"), given)
            case ["DELETE", "subscriptions", subscription_id]:
                ended = self._get(subscription_id, "subscription")
                if ended["status"] == "canceled":
                    raise _missing("subscription", subscription_id)
                self._end(ended)
                return self._shown(ended, given)
            case ["POST", "subscription_schedules"]:
                return self._schedule(self._get(given["from_subscription"], "subscription"))
            case ["POST", "subscription_schedules", schedule_id]:
                return self._plan_phases(self._get(schedule_id, "subscription_schedule"), given)
            case ["POST", "subscription_schedules", schedule_id, "release"]:
                schedule = self._get(schedule_id, "subscription_schedule")
                if schedule["status"] not in {"active", "not_started"}:
                    raise _invalid("You cannot release a subscription schedule that is over.")
                subscription = self.things[schedule["subscription"]]
                subscription["schedule"] = None
                schedule.update(status="released", released_subscription=subscription["id"])
                self.tell("customer.subscription.updated", subscription)
                return _public(schedule)
            case ["GET", "invoices"]:
                mine = [t for t in self._all("invoice") if t["customer"] == given["customer"]]
                return self._list(mine[::-1], given)
            case ["POST", "invoices", "create_preview"]:
                return self._preview(given)
            case _:
                raise Refused(404, "invalid_request_error", f"Unrecognized request URL ({path}).")

    def _open_checkout(self, given: dict[str, Any]) -> Any:
        self._get(given["customer"], "customer")
        price = self._get(given["line_items"][0]["price"], "price")
        for name in ("success_url", "cancel_url"):
            if not given[name].startswith("http"):
                raise _invalid(f"Not a valid URL: {name}")
        made = self._make(
            "cs_test",
            "checkout.session",
            **_texts(given),
            status="open",
            payment_status="unpaid",
            subscription=None,
            expires_at=self.now + DAY_SECONDS,
            _price=price["id"],
        )
        made["url"] = f"https://checkout.stripe.test/c/pay/{made['id']}"
        return _public(made)

    def _change(self, found: dict[str, Any], given: dict[str, Any]) -> Any:
        if found["status"] == "canceled":
            raise _missing("subscription", found["id"])
        if found["schedule"] and ("items" in given or "cancel_at_period_end" in given):
            raise _invalid("The subscription is managed by the subscription schedule.")
        if "items" in given:
            wanted = given["items"][0]
            item = found["items"]["data"][0]
            assert wanted["id"] == item["id"]
            self._get(wanted["price"], "price")
            due = self._proration(
                found, wanted["price"], int(given.get("proration_date", self.now))
            )
            if due > 0 and found["customer"] in self.declined:
                # error_if_incomplete: nothing is changed.
                assert given["payment_behavior"] == "error_if_incomplete"
                raise _declined("card_declined")
            item["price"] = wanted["price"]
            if given.get("proration_behavior") == "always_invoice" and due:
                self._bill(found, due)
        if "cancel_at_period_end" in given:
            found["cancel_at_period_end"] = given["cancel_at_period_end"] == "true"
            ends = found["items"]["data"][0]["current_period_end"]
            found["cancel_at"] = ends if found["cancel_at_period_end"] else None
        self.tell("customer.subscription.updated", found)
        return self._shown(found, given)

    def _schedule(self, subscription: dict[str, Any]) -> Any:
        if subscription["schedule"]:
            raise _invalid("The subscription is already attached to a schedule.")
        item = subscription["items"]["data"][0]
        starts, ends = item["current_period_start"], item["current_period_end"]
        made = self._make(
            "sub_sched",
            "subscription_schedule",
            customer=subscription["customer"],
            subscription=subscription["id"],
            status="active",
            end_behavior="release",
            current_phase={"start_date": starts, "end_date": ends},
            phases=[
                {
                    "start_date": starts,
                    "end_date": ends,
                    "items": [{"price": item["price"], "quantity": 1}],
                }
            ],
        )
        subscription["schedule"] = made["id"]
        return _public(made)

    def _plan_phases(self, found: dict[str, Any], given: dict[str, Any]) -> Any:
        phases = []
        for phase in given["phases"]:
            starts = int(phase["start_date"])
            assert "end_date" in phase or "duration" in phase
            ends = int(phase.get("end_date", starts + MONTH_SECONDS))
            self._get(phase["items"][0]["price"], "price")
            phases.append({"start_date": starts, "end_date": ends, "items": phase["items"]})
        found["phases"] = phases
        self.tell("subscription_schedule.updated", found)
        return _public(found)

    def _preview(self, given: dict[str, Any]) -> Any:
        found = self._get(given["subscription"], "subscription")
        if found["status"] == "canceled" or (
            found["cancel_at_period_end"] and "subscription_details" not in given
        ):
            raise Refused(
                404,
                "invalid_request_error",
                "No upcoming invoices for customer.",
                code="invoice_upcoming_none",
            )
        details = given.get("subscription_details")
        amount = self._amount_of(found)
        schedule = self.things.get(found["schedule"] or "")
        if details:
            amount = self._proration(
                found, details["items"][0]["price"], int(details["proration_date"])
            )
        elif schedule and len(schedule["phases"]) > 1:
            amount = self.things[schedule["phases"][1]["items"][0]["price"]]["unit_amount"]
        invoice = self._invoice_fields(found, amount)
        return {"object": "invoice", "created": self.now, "livemode": self.livemode, **invoice}

    def _proration(self, found: dict[str, Any], price_id: str, at: int) -> int:
        item = found["items"]["data"][0]
        starts, ends = item["current_period_start"], item["current_period_end"]
        if not starts <= at <= ends:
            raise _invalid("The proration date must be within the current period.")
        difference = self.things[price_id]["unit_amount"] - self._amount_of(found)
        proration: int = round(difference * (ends - at) / (ends - starts))
        return proration

    def _bill(self, subscription: dict[str, Any], amount: int) -> None:
        invoice = self._make("in", "invoice", **self._invoice_fields(subscription, amount))
        subscription["latest_invoice"] = invoice["id"]
        self._count += 1
        invoice["number"] = f"WIRE-{self._count:04}"
        invoice["invoice_pdf"] = f"https://pay.stripe.test/invoice/{invoice['id']}/pdf"
        if subscription["customer"] in self.declined:
            subscription["status"] = "past_due"
            self.tell("invoice.payment_failed", invoice)
            self.tell("customer.subscription.updated", subscription)
        else:
            invoice.update(status="paid", amount_paid=amount, amount_remaining=0)
            self.tell("invoice.paid", invoice)

    def _invoice_fields(self, subscription: dict[str, Any], amount: int) -> dict[str, Any]:
        return {
            "customer": subscription["customer"],
            "currency": subscription["currency"],
            "status": "open",
            "number": None,
            "total": amount,
            "amount_due": max(amount, 0),
            "amount_paid": 0,
            "amount_remaining": max(amount, 0),
            "invoice_pdf": None,
            "attempted": True,
            "parent": {
                "type": "subscription_details",
                "subscription_details": {"subscription": subscription["id"], "metadata": {}},
            },
        }

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
            raise _missing(kind, thing_id)
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
        shown = copy.deepcopy(_public(thing))
        if thing["object"] == "subscription":
            for item in shown["items"]["data"]:
                item["price"] = _public(self.things[item["price"]])
        for name in given.get("expand", []):
            if shown.get(name):
                shown[name] = copy.deepcopy(_public(self.things[shown[name]]))
        return shown


def body_of(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, indent=2).encode()


def signature_of(
    body: bytes, *, at: int | None = None, secret: str = WEBHOOK_SECRET, scheme: str = "v1"
) -> str:
    """The header that Stripe would send; at another moment, with another secret where asked."""
    timestamp = int(time.time()) if at is None else at
    signed = hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},{scheme}={signed}"


@contextmanager
def stripe_wire() -> Iterator[StripeWire]:
    """Serve on a port of the machine's own choosing until the block ends."""
    wire = StripeWire()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(wire))
    server.daemon_threads = True
    wire.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="stripe-wire")
    thread.start()
    try:
        yield wire
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(wire: StripeWire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._do()

        def do_POST(self) -> None:
            self._do()

        def do_DELETE(self) -> None:
            self._do()

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            parts = urlsplit(self.path)
            key = self.headers.get("idempotency-key")
            if self.headers.get("authorization") != f"Bearer {SECRET_KEY}":
                self._send(401, {"error": {"type": "invalid_request_error", "message": "No key."}})
                return
            parameters = nested(parse_qsl(parts.query + "&" + body, keep_blank_values=True))
            try:
                self._send(*wire.answer(self.command, parts.path, parameters, key))
            except ConnectionAbortedError:
                self.close_connection = True

        def _send(self, status: int, answer: Any) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Request-Id", "req_wire")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Read `a[0][b]=c` as {"a": [{"b": "c"}]}."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        first, *rest = re.findall(r"[^\[\]]+", name)
        place, words = found, [first, *rest]
        for word in words[:-1]:
            place = place.setdefault(word, {})
        place[words[-1]] = value
    return {name: _listed(value) for name, value in found.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(each) for name, each in value.items()}
    return list(inner.values()) if all(name.isdigit() for name in inner) else inner


def _texts(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if isinstance(value, str)}


def _public(thing: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in thing.items() if not name.startswith("_")}


def _error(kind: str, code: str) -> dict[str, Any]:
    return {"error": {"type": kind, "code": code, "message": "Try again."}}


def _invalid(message: str) -> Refused:
    return Refused(400, "invalid_request_error", message)


def _missing(kind: str, thing_id: str) -> Refused:
    message = f"No such {kind}: '{thing_id}'"
    return Refused(404, "invalid_request_error", message, code="resource_missing", param="id")


def _broken(failure: Failure) -> Refused:
    if failure.status == 402:
        return _declined(failure.code)
    return Refused(failure.status, "api_error", "Something went wrong.")


def _declined(code: str) -> Refused:
    return Refused(402, "card_error", DECLINED, code=code, decline_code="generic_decline")
