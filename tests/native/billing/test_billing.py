"""/billing against a local server with Stripe's wire format, on both databases."""

from anomify.clock import now_timestamp
from anomify.org.model import Org
from tests.factories import make_token, make_user
from tests.kit.stripe_account import Failure
from tests.kit.web import error, strict

# Addresses that no browser may be sent to after paying.
ELSEWHERE = (
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "javascript:alert(1)",
    "ui/",
    "/ui/\r\nSet-Cookie: a=b",
    "/ui/\n",
    "/ui/{CHECKOUT_SESSION_ID}",
    "/" + "a" * 501,
    "",
)
ROUTES = ("plans", "history", "getcheckoutsession", "getportalsession", "change")


class TestWithoutStripeKey:
    def test_has_one_unlimited_plan_and_no_history(self, self_hosted, cast):
        alice = cast.headers("alice")
        data = strict(self_hosted.get("/billing/history", headers=alice))["data"]
        assert (data["invoices"], data["total"], data["next_bill"]) == ([], 0, None)
        assert (data["plan"]["id"], data["plan"]["metric_quota"]) == ("self-hosted", None)
        data = strict(self_hosted.get("/billing/plans", headers=alice))["data"]
        assert [plan["id"] for plan in data["plans"]] == [data["plan_id"]] == ["self-hosted"]

    def test_other_routes_answer_that_billing_is_off(self, self_hosted, cast):
        paths = [f"/billing/{route}" for route in ROUTES[2:]]
        for path in (*paths, "/org/stripecallback", "/billing/checkoutcallback"):
            requested = {} if "portal" in path else {"plan_id": "price_1"}
            reply = self_hosted.post(path, json=requested, headers=cast.headers("alice"))
            assert (path, reply.status_code) == (path, 409)
            assert error(reply)["code"] == "billing_off"


class TestAccess:
    def test_refuses_anonymous_callers(self, shop):
        for route in ROUTES:
            assert shop.client.post(f"/billing/{route}", json={}).status_code == 401

    def test_refuses_editors_and_viewers(self, shop):
        for route in ROUTES[1:]:
            for name in ("bob", "dave"):
                assert shop.ask(route, name, plan_id=shop.small).status_code == 403
        assert shop.wire.requested == []

    def test_allows_admins_and_their_tokens(self, shop, database):
        with database.unit_of_work():
            make_user(shop.cast.acme, "Erin", "admin")
            _, text = make_token(shop.cast.acme, "admin")
            _, reading = make_token(shop.cast.acme, "read")
        for token, status in ((text, 200), (reading, 403)):
            reply = shop.client.get("/billing/history", headers={"X-Auth-Token": token})
            assert reply.status_code == status

    def test_allows_viewers_to_list_plans(self, shop):
        data = strict(shop.ask("plans", "dave"))["data"]
        assert [plan["id"] for plan in data["plans"]] == ["free", shop.small, shop.large]
        assert (data["plan_id"], data["metrics_used"]) == ("free", 0)

    def test_a_get_with_a_cookie_opens_no_checkout(self, shop):
        path = f"/billing/getcheckoutsession?plan_id={shop.small}"
        cookie = {"Cookie": f"session_id={shop.cast.sessions['alice']}"}
        assert shop.client.get(path, headers=cookie).status_code == 405
        assert shop.wire.requested == []

    def test_refuses_users_of_a_demo_org(self, shop, database):
        with database.unit_of_work() as session:
            session.get(Org, shop.cast.acme.id).is_demo = True
        reply = shop.ask("getcheckoutsession", plan_id=shop.small)
        assert (reply.status_code, error(reply)["code"]) == (403, "demo_read_only")


class TestGetcheckoutsession:
    def test_returns_a_page_at_stripe_for_the_org(self, shop):
        data = shop.data("getcheckoutsession", plan_id=shop.small, success_url="/ui/metrics?a=1")
        assert data["url"].endswith(data["session_id"])
        page = shop.wire.things[data["session_id"]]
        assert page["client_reference_id"] == str(shop.cast.acme.id)
        assert page["success_url"] == "http://127.0.0.1:8080/ui/metrics?a=1"
        assert page["cancel_url"] == "http://127.0.0.1:8080/ui/"
        assert shop.wire.things[page["customer"]]["email"] == "alice@acme.example"
        assert shop.audited() == [("Alice", "billing.checkout")]
        assert shop.quota() is None

    def test_returns_the_same_page_for_the_same_request(self, shop):
        first, second = (shop.data("getcheckoutsession", plan_id=shop.small) for _ in range(2))
        assert first == second

    def test_closes_the_page_of_an_earlier_request(self, shop):
        first = shop.data("getcheckoutsession", plan_id=shop.small)["session_id"]
        second = shop.data("getcheckoutsession", plan_id=shop.large)["session_id"]
        assert shop.wire.things[first]["status"] == "expired"
        assert shop.wire.things[second]["status"] == "open"
        assert len([t for t in shop.wire.things.values() if t["object"] == "customer"]) == 1

    def test_does_not_sell_twice_before_the_webhook_event_arrives(self, shop):
        first = shop.data("getcheckoutsession", plan_id=shop.small)["session_id"]
        shop.wire.pay(first)
        for plan, code in ((shop.small, "already_on_plan"), (shop.large, "already_subscribed")):
            reply = shop.ask("getcheckoutsession", plan_id=plan)
            assert (reply.status_code, error(reply)["code"]) == (409, code)
        assert shop.quota() == 5

    def test_refuses_return_addresses_of_other_sites(self, shop):
        for url in ELSEWHERE:
            for name in ("success_url", "cancel_url"):
                reply = shop.ask("getcheckoutsession", plan_id=shop.small, **{name: url})
                assert reply.status_code == 400
                assert name in error(reply)["fields"]
                assert "pattern" not in error(reply)["message"]
            assert shop.ask("getportalsession", return_url=url).status_code == 400
        assert shop.wire.requested == []

    def test_refuses_plans_that_are_not_for_sale(self, shop):
        for plan in ("free", "price_of_nothing", "../../v1/customers", ""):
            reply = shop.ask("getcheckoutsession", plan_id=plan)
            assert reply.status_code == 400
            assert "plan_id" in error(reply)["fields"]

    def test_answers_502_when_stripe_fails(self, shop):
        for failure, times in ((Failure(500), 3), (Failure(429), 1)):
            shop.wire.fail("/v1/checkout", failure, times=times)
            reply = shop.ask("getcheckoutsession", plan_id=shop.small)
            assert reply.status_code == 502
            assert "Stripe" in error(reply)["message"]
        assert shop.audited() == []
        shop.data("getcheckoutsession", plan_id=shop.small)

    def test_opens_one_page_when_the_reply_was_lost(self, shop):
        shop.wire.fail("/v1/checkout", Failure(0, is_after=True, hangs_up=True), times=3)
        assert shop.ask("getcheckoutsession", plan_id=shop.small).status_code == 502
        shop.data("getcheckoutsession", plan_id=shop.small)
        pages = [t for t in shop.wire.things.values() if t["object"] == "checkout.session"]
        assert len(pages) == 1

    def test_creates_a_new_customer_when_stripe_deleted_the_old_one(self, shop):
        first = shop.data("getcheckoutsession", plan_id=shop.small)["session_id"]
        shop.wire.delete_customer(shop.wire.things[first]["customer"])
        shop.deliver_events()
        shop.buy(shop.small)
        assert shop.quota() == 5


class TestGetportalsession:
    def test_is_refused_without_a_customer(self, shop):
        reply = shop.ask("getportalsession")
        assert (reply.status_code, error(reply)["code"]) == (404, "no_customer")
        shop.buy(shop.small)
        data = shop.data("getportalsession", return_url="/ui/metrics")
        assert data["url"].startswith("https://billing.stripe.test/")
        assert shop.data("getportalsession") != data
        assert shop.audited()[-1] == ("Alice", "billing.portal")


class TestChange:
    def test_needs_a_subscription(self, shop):
        reply = shop.ask("change", plan_id=shop.large)
        assert (reply.status_code, error(reply)["code"]) == (409, "no_subscription")

    def test_to_a_larger_plan_begins_now_and_costs_the_shown_price(self, shop):
        shop.buy(shop.small)
        result = shop.data("change", plan_id=shop.large)
        assert (result["dry_run"], result["effective"], result["currency"]) == (True, "now", "eur")
        assert 79_90 <= result["amount_due_now"] <= 80_00
        assert shop.quota() == 5
        done = shop.data(
            "change",
            plan_id=shop.large,
            dry_run=False,
            priced_timestamp=result["priced_timestamp"],
        )
        assert done["amount_due_now"] == result["amount_due_now"]
        # At once; the news of it comes later, and changes nothing.
        assert shop.quota() == 50
        shop.deliver_events()
        data = shop.data("history")
        assert [invoice["amount"] for invoice in data["invoices"]] == [done["amount_due_now"], 1900]
        assert ("Alice", "billing.change") in shop.audited()

    def test_to_a_smaller_plan_begins_when_the_period_ends(self, shop):
        bought = shop.buy(shop.large)
        done = shop.data("change", plan_id=shop.small, dry_run=False)
        assert (done["effective"], done["amount_due_now"], done["metrics_over"]) == (
            "period_end",
            0,
            0,
        )
        data = shop.data("history")
        assert (data["plan"]["id"], data["plan"]["next_plan_id"]) == (shop.large, shop.small)
        assert data["next_bill"]["amount"] == 19_00
        assert shop.ask("change", plan_id=shop.small).status_code == 409
        shop.wire.end_period(bought)
        shop.deliver_events()
        assert shop.quota() == 5

    def test_to_the_free_plan_ends_with_the_period_and_can_be_cancelled(self, shop):
        shop.buy(shop.small)
        assert shop.data("change", plan_id="free", dry_run=False)["effective"] == "period_end"
        data = shop.data("history")
        assert (data["plan"]["ends_at_period_end"], data["next_bill"]) == (True, None)
        assert error(shop.ask("change", plan_id="free"))["code"] == "already_ending"
        shop.data("change", plan_id=shop.small, dry_run=False)
        data = shop.data("history")
        assert (data["plan"]["ends_at_period_end"], data["plan"]["id"]) == (False, shop.small)
        assert error(shop.ask("change", plan_id=shop.small))["code"] == "already_on_plan"

    def test_can_be_changed_again_before_it_takes_effect(self, shop):
        middle = shop.wire.make_price("Middle", 20, 49_00)
        shop.buy(shop.large)
        for plan in (shop.small, middle, "free", shop.small):
            shop.data("change", plan_id=plan, dry_run=False)
        data = shop.data("history")["plan"]
        assert (data["next_plan_id"], data["ends_at_period_end"]) == (shop.small, False)

    def test_with_a_declined_card_changes_nothing(self, shop):
        bought = shop.buy(shop.small)
        shop.wire.declined.add(shop.wire.things[bought]["customer"])
        for _ in range(2):
            reply = shop.ask("change", plan_id=shop.large, dry_run=False)
            assert (reply.status_code, error(reply)["code"]) == (402, "card_declined")
            assert "declined" in error(reply)["message"]
        assert shop.quota() == 5
        shop.wire.declined.clear()
        shop.data("change", plan_id=shop.large, dry_run=False)
        assert shop.quota() == 50

    def test_to_a_larger_plan_is_refused_while_a_bill_is_overdue(self, shop):
        bought = shop.buy(shop.small)
        shop.wire.declined.add(shop.wire.things[bought]["customer"])
        shop.wire.end_period(bought)
        assert error(shop.ask("change", plan_id=shop.large))["code"] == "overdue"

    def test_to_another_currency_is_refused(self, shop):
        dollars = shop.wire.make_price("Dollars", 500, 199_00, currency="usd")
        shop.buy(shop.small)
        assert error(shop.ask("change", plan_id=dollars))["code"] == "other_currency"

    def test_a_shown_price_is_valid_for_an_hour(self, shop):
        shop.buy(shop.small)
        for seconds in (-3700, 60):
            requested = {"plan_id": shop.large, "priced_timestamp": now_timestamp() + seconds}
            reply = shop.ask("change", **requested)
            assert reply.status_code == 400
            assert "priced_timestamp" in error(reply)["fields"]


class TestHistory:
    def test_returns_pages_of_the_orgs_own_invoices(self, shop):
        bought = shop.buy(shop.small)
        shop.wire.end_period(bought)
        shop.deliver_events()
        data = shop.data("history", limit=1, offset=1)
        assert (len(data["invoices"]), data["total"]) == (1, 2)
        assert data["invoices"][0]["pdf_url"].startswith("https://pay.stripe.test/")
        assert data["plan"]["metric_quota"] == 5
        charlies = strict(shop.ask("history", "charlie"))["data"]
        # Globex was here before anybody was billed.
        assert charlies["plan"]["metric_quota"] is None
        assert (charlies["invoices"], charlies["total"], charlies["plan"]["id"]) == ([], 0, "free")
        assert shop.quota(shop.cast.globex) is None
