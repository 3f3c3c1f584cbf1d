"""The pages in a real browser: from the set-up link to a chart that is zoomed, read, kept fresh."""

import json
import re
import time
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from anomify.dashboard.wording import number, value_and_expected
from tests.kit.pages import (
    DESKTOP,
    EMAIL,
    HOSTILE,
    PASSWORD,
    PHONE,
    SMALLEST,
    STRUCK,
    Watched,
    query_of,
)
from tests.kit.server import Server, running

pytestmark = pytest.mark.debian("chromium")

FRESH_MS = 5_000
TOUCH_PIXELS = 44


class TestSetUp:
    def test_a_newcomer_sees_their_first_metric_after_three_screens(self, tmp_path, browser):
        with running(Server(tmp_path / "data")) as server:
            context = browser.new_context(viewport=DESKTOP, timezone_id="Europe/Berlin")
            watched = Watched(context.new_page(), server.url)
            page = watched.page
            page.goto(server.setup_link)
            page.get_by_label("Organisation").fill("Acme")
            page.get_by_label("Your name").fill("Alice Archer")
            page.get_by_label("E-mail").fill(EMAIL)
            page.get_by_label("Password").fill(PASSWORD)
            expect(page.get_by_label("Time zone")).to_have_value("Europe/Berlin")
            page.get_by_role("button", name="Continue").click()

            expect(page.get_by_text("Waiting for the first point")).to_be_visible()
            page.get_by_role("tab", name="curl").click()
            snippet = page.locator("#snippet-curl").inner_text()
            self.run_as_shown(server, snippet)
            arrived = page.get_by_text("Your first metric has arrived")
            expect(arrived).to_be_visible(timeout=FRESH_MS)
            page.get_by_role("link", name="See your metrics").click()

            page.get_by_role("link", name="example.temperature").click()
            expect(page.locator("[data-part=value]")).to_have_text("21.5")
            expect(page.locator("#status")).to_contain_text(re.compile("Learning|Waiting"))
            assert watched.faults == []
            context.close()

    def run_as_shown(self, server: Server, snippet: str) -> None:
        """Send what the example sends, to where it sends it, with the key it shows."""
        address = re.search(r"curl (\S+)", snippet)[1]
        key = re.search(r"Bearer (anm_\w+)", snippet)[1]
        body = re.search(r"-d '(.*)'$", snippet)[1].replace("'$(date +%s)'", str(int(time.time())))
        assert address.startswith(server.url)
        path = address.removeprefix(server.url)
        assert server.post(path, key, json.loads(body)).status == 204


class TestSignIn:
    def test_redirects_to_the_requested_page(self, product, browser):
        context = browser.new_context(viewport=DESKTOP)
        watched = Watched(context.new_page(), product.url)
        page = watched.page
        wanted = f"{product.url}/ui/metrics?search=cpu"
        page.goto(wanted)
        page.get_by_label("E-mail").fill(EMAIL)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(wanted)
        page.locator("summary[aria-label^='Your account']:visible").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.goto(wanted)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert watched.faults == []
        context.close()


class TestInbox:
    def test_leads_to_the_chart_at_that_moment(self, product, page):
        page.goto(f"{product.url}/ui/")
        row = page.locator(".row").filter(has_text=STRUCK)
        expect(row.locator(".spark .line").first).to_be_visible()
        with page.expect_response(lambda reply: "/bundle" in reply.url):
            row.get_by_role("link").first.click()
        expect(page.locator("#selected .explanation")).to_be_visible()
        assert {"from", "until", "event"} <= query_of(page).keys()

    def test_filters_go_into_the_address(self, product, page):
        page.goto(f"{product.url}/ui/")
        with page.expect_navigation():
            page.get_by_label("Time window").select_option("24h")
        assert query_of(page) == {"window": "24h"}
        page.keyboard.press("/")
        page.keyboard.type("nothing like it")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        expect(page.get_by_text("No anomalies match these filters")).to_be_visible()

    def test_shows_that_there_is_something_newer(self, product, page):
        page.clock.install()
        page.goto(f"{product.url}/ui/")
        page.route("**/ui/newer*", lambda route: route.fulfill(json={"count": 3}))
        page.clock.fast_forward(16_000)
        expect(page.get_by_role("link", name="3 new anomalies")).to_be_visible()


PAGES = [
    *("/ui/", "/ui/?metric=nothing", "/ui/metrics", "/ui/connect"),
    f"/ui/metric?name={STRUCK}",
    f"/ui/metric?name={quote(HOSTILE)}",
]


class TestEveryPage:
    @pytest.mark.parametrize("viewport", [DESKTOP, PHONE, SMALLEST], ids=["1440", "390", "360"])
    def test_fits_its_screen(self, product, page, viewport):
        page.set_viewport_size(viewport)
        for path in PAGES:
            page.goto(product.url + path)
            page.wait_for_load_state("networkidle")
            wider = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wider == 0, path

    def test_has_targets_that_a_finger_hits(self, product, page):
        page.set_viewport_size(PHONE)
        for path in PAGES:
            page.goto(product.url + path)
            page.wait_for_load_state("networkidle")
            small = page.evaluate(
                """(least) => [...document.querySelectorAll(
                  ".button, .nav a, .input, .choices > *, .menu > summary")]
                  .filter((one) => one.checkVisibility())
                  .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect().height])
                  .filter(([, height]) => height < least - 4)""",
                TOUCH_PIXELS,
            )
            assert small == [], path

    def test_can_be_read_aloud(self, product, page):
        for path in PAGES:
            page.goto(product.url + path)
            page.wait_for_load_state("networkidle")
            faults = page.evaluate(
                """() => {
                  const faults = [];
                  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
                  faults.push(...ids.filter((id, at) => ids.indexOf(id) !== at));
                  for (const one of document.querySelectorAll("input:not([type=hidden]), select")) {
                    if (!one.labels.length && !one.ariaLabel) faults.push(one.outerHTML);
                  }
                  for (const one of document.querySelectorAll("a, button, summary")) {
                    const name = (one.ariaLabel ?? one.textContent).trim();
                    if (!name && !one.hidden) faults.push(one.outerHTML);
                  }
                  for (const one of document.querySelectorAll("img:not([alt])")) {
                    faults.push(one.outerHTML);
                  }
                  for (const names of ["aria-describedby", "aria-labelledby", "aria-controls"]) {
                    for (const one of document.querySelectorAll(`[${names}]`)) {
                      for (const id of one.getAttribute(names).split(" ")) {
                        if (!document.getElementById(id)) faults.push(`${names}: ${id}`);
                      }
                    }
                  }
                  if (document.querySelectorAll("h1").length !== 1) faults.push("h1");
                  if (document.querySelectorAll("main").length !== 1) faults.push("main");
                  return faults;
                }"""
            )
            assert faults == [], path

    def test_is_walked_with_the_keyboard(self, product, page):
        page.goto(f"{product.url}/ui/")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"

    def test_shows_a_failure_with_the_request_id(self, product, browser):
        context = browser.new_context(viewport=DESKTOP, storage_state=product.state)
        page = context.new_page()
        reply = page.goto(f"{product.url}/ui/nothing")
        assert reply.status == 404
        expect(page.get_by_text(reply.headers["x-request-id"])).to_be_visible()
        context.close()


class TestNumbers:
    def test_are_formatted_alike_by_the_server_and_by_the_page(self, product, page):
        values = [
            *(0.0, -5.5678912, 1.23e-7, -1.5e-8, 1e-4, 0.3, 1_234_567.891, 999_999.6, 1.2e16, 42.0),
            *(
                123.456,
                1 / 3,
                99_999.95,
                2.5,
                1e6 + 0.5,
                0.00012345678,
                5e-324,
                1.7976931348623157e308,
            ),
        ]
        ranges = [
            *([100.0, 84.86, 162.4], [0.1, -0.001, 0.3], [-2.0, -3.21, -1.1]),
            *([1_234_570.0, 1_234_567.0, 1_234_590.0], [1e-5, 1e-6, 3e-5], [5.0, 5.0, 5.0]),
            *([0.4, 0.288, 0.594], [0.0, -1e308, 1e308], [162.7, 84.86, 162.6]),
            *([1_234_590.4, 1_234_567.0, 1_234_590.3], [3.0000001e-5, 1e-6, 3e-5]),
            *([80.6000001, 20.0, 80.6], [19.9999999999999, 20.0, 80.6], [2e15 + 1, 1e15, 2e15]),
        ]
        page.goto(f"{product.url}/ui/")
        sentence = page.evaluate(
            """async ([values, ranges]) => {
              const { number, valueAndRange } = await import("/static/js/numbers.js");
              const texts = ranges.map((one) => valueAndRange(...one));
              return [values.map((value) => number(value)), texts];
            }""",
            [values, ranges],
        )
        assert sentence == [
            [number(value) for value in values],
            [list(value_and_expected(*one)) for one in ranges],
        ]

    def test_times_are_those_of_the_org(self, product, page):
        page.goto(f"{product.url}/ui/")
        moment = datetime(2021, 7, 1, 12, 30, 15, tzinfo=UTC)
        sentence = page.evaluate(
            """async (timestamp) => {
              const { clock } = await import("/static/js/numbers.js");
              return clock("Asia/Kathmandu").full(timestamp);
            }""",
            moment.timestamp(),
        )
        assert sentence == "Thu 1 Jul 2021, 18:15:15"
