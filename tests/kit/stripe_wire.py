"""Stripe as far as this product meets it: a real HTTP server with its wire format and its memory.

The real library connects to it. It keeps customers, prices, checkout and portal pages,
subscriptions with their items and schedules, and invoices; it replays what it did for an
idempotency key, fails in the ways that a test sets, and signs events, which a test may deliver
late, more than once and in any order. What people do at Stripe's pages is done by the methods of
`StripeWire`.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

from tests.kit.stripe_account import (
    DAY_SECONDS,
    MONTH_SECONDS,
    Refused,
    SentRequest,
    StripeAccount,
    broken_answer,
    declined_card,
    error_body,
    invalid,
    missing,
    public_fields,
)


class StripeWire(StripeAccount):
    """The state, and what people do to it; methods may be called from tests at any time."""

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
        """Pay at the checkout page, and return the subscription."""
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
        """Replace the card in the portal."""
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

    def answer(
        self, method: str, path: str, parameters: dict[str, Any], key: str | None
    ) -> tuple[int, Any]:
        failure = self.failure_for(path)
        if failure and failure.hangs_up and not failure.is_after:
            raise ConnectionAbortedError
        text = f"{method} {path} {json.dumps(parameters, sort_keys=True)}"
        with self.lock:
            before = self._replays.get(key or "")
            self.requested.append(SentRequest(method, path, parameters, key, before is not None))
            if before is not None:
                if before[0] != text:
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
                return 409, error_body("idempotency_error", "idempotency_key_in_use")
            if failure and failure.status == 429:
                return 429, error_body("rate_limit_error", "rate_limit")
            try:
                if failure is None or failure.is_after:
                    status, found = 200, self._route(method, path, parameters)
                if failure is not None and not failure.hangs_up:
                    broken = broken_answer(failure)
                    status, found = broken.status, broken.body
            except Refused as refused:
                status, found = refused.status, refused.body
            answer = copy.deepcopy(found)
            if method == "POST" and key:
                self._replays[key] = (text, status, answer)
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
                return public_fields(made)
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
                    raise invalid("Only Checkout Sessions with a status in [open] can be expired.")
                page.update(status="expired", url=None)
                self.tell("checkout.session.expired", page)
                return public_fields(page)
            case ["POST", "billing_portal", "sessions"]:
                self._get(given["customer"], "customer")
                made = self._make("bps", "billing_portal.session", **_texts(given))
                made["url"] = f"https://billing.stripe.test/p/session/{made['id']}"
                return public_fields(made)
            case ["GET", "subscriptions"]:
                self._get(given["customer"], "customer")
                mine = [t for t in self._all("subscription") if t["customer"] == given["customer"]]
                return self._list(mine[::-1], given)
            case ["POST", "subscriptions", subscription_id]:
                return self._change(self._get(subscription_id, "subscription"), given)
            case ["DELETE", "subscriptions", subscription_id]:
                ended = self._get(subscription_id, "subscription")
                if ended["status"] == "canceled":
                    raise missing("subscription", subscription_id)
                self._end(ended)
                return self._shown(ended, given)
            case ["POST", "subscription_schedules"]:
                return self._schedule(self._get(given["from_subscription"], "subscription"))
            case ["POST", "subscription_schedules", schedule_id]:
                return self._plan_phases(self._get(schedule_id, "subscription_schedule"), given)
            case ["POST", "subscription_schedules", schedule_id, "release"]:
                schedule = self._get(schedule_id, "subscription_schedule")
                if schedule["status"] not in {"active", "not_started"}:
                    raise invalid("You cannot release a subscription schedule that is over.")
                subscription = self.things[schedule["subscription"]]
                subscription["schedule"] = None
                schedule.update(status="released", released_subscription=subscription["id"])
                self.tell("customer.subscription.updated", subscription)
                return public_fields(schedule)
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
                raise invalid(f"Not a valid URL: {name}")
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
        return public_fields(made)

    def _change(self, found: dict[str, Any], given: dict[str, Any]) -> Any:
        if found["status"] == "canceled":
            raise missing("subscription", found["id"])
        if found["schedule"] and ("items" in given or "cancel_at_period_end" in given):
            raise invalid("The subscription is managed by the subscription schedule.")
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
                raise declined_card("card_declined")
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
            raise invalid("The subscription is already attached to a schedule.")
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
        return public_fields(made)

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
        return public_fields(found)

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
            raise invalid("The proration date must be within the current period.")
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


def _texts(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if isinstance(value, str)}
