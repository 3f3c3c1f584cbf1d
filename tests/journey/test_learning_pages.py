"""In a browser: a person is mailed, calls that expected, and is spared it the next time."""

import random
import re
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from playwright.sync_api import Page, expect

from tests.kit.pages import DESKTOP, EMAIL, PASSWORD, Watched, pixels
from tests.kit.server import Server, running
from tests.kit.smtpsink import SmtpSink, smtp_sink

pytestmark = [pytest.mark.debian("chromium"), pytest.mark.slow]

METRIC = "shop.import.rows"
LABEL = "Import of the orders"
HISTORY_MINUTES = 1_800
LENGTH_MINUTES = 8
# How many minutes ago the import ran. The second run is at nearly the time of the day of the first
# one, and not among the sixty points before it is another run.
FIRST, SECOND, THIRD = 62, 24, 7
STEP_SECONDS = 20
MAIL_SECONDS = 60
# The question is open where the link of the mail leads to.
LINK = r"View the metric: (\S+ask=true)"
CODE = r"the code to sign in is (\d{6})"


class Import:
    """The points of a metric that rises while an import runs."""

    def __init__(self, server: Server, token: str) -> None:
        self.server = server
        self.token = token
        self.now = int(time.time()) // 60 * 60
        self.sent = HISTORY_MINUTES

    def send(self, until: int) -> None:
        """Send the points up to so many minutes ago that were not sent before."""
        per_minute = 60 // STEP_SECONDS
        rows = [
            self._point(step / per_minute)
            for step in range(self.sent * per_minute, until * per_minute, -1)
        ]
        document = {"fill": "true", "metrics": rows}
        assert self.server.post("/flux/metric_data_post", self.token, document).status == 204
        self.sent = until

    def _point(self, ago: float) -> dict[str, object]:
        runs = any(first >= ago > first - LENGTH_MINUTES for first in (FIRST, SECOND, THIRD))
        value = random.Random(ago).gauss(2_000, 20) + 1_200 * runs
        return {"metric": METRIC, "timestamp": self.now - round(60 * ago), "value": round(value)}

    def have_ended(self) -> bool:
        """Return whether no anomaly is open."""
        return all(row["until_timestamp"] is not None for row in self.list("/anomalies"))

    def list(self, path: str) -> list[dict[str, object]]:
        """Return the anomalies or matches, without those of the minutes without points."""
        found = self.server.data(path, self.token, **{"metric": METRIC, "from": 1})
        return [row for row in found[path.strip("/")] if row.get("evidence") != "silent"]


@pytest.fixture
def shop(tmp_path) -> Iterator[SimpleNamespace]:
    """A running product whose watcher mails Alice about the import."""
    with smtp_sink() as mail:
        settings = {"smtp_host": "127.0.0.1", "smtp_port": mail.port, "smtp_starttls": "false"}
        with running(Server(tmp_path / "data", settings=settings)) as server:
            token = server.create_org("Acme")
            server.cli(
                *("user", "create", "--org", "Acme", "--email", EMAIL),
                *("--name", "Alice Archer", "--role", "owner", "--password-stdin"),
                text=f"{PASSWORD}\n",
            )
            [alice] = server.data("/org/users", token)["users"]
            watcher = {"chips": ["shop"], "alert": True, "email_user_ids": [alice["id"]]}
            assert server.post("/watcher/create", token, watcher).status == 200
            yield SimpleNamespace(
                server=server, mail=mail, imports=Import(server, token), url=server.url
            )


def mailed(server: Server, mail: SmtpSink, wanted: str) -> str:
    """Wait for a mail whose text holds what is wanted, and return the part in parentheses."""

    def find() -> str | None:
        texts = [one.get_body(("plain",)).get_content() for one in mail.mails]
        return next((found[1] for text in texts if (found := re.search(wanted, text))), None)

    server.wait_for(find, MAIL_SECONDS)
    found = find()
    assert found is not None
    return found


def sign_in_from(page: Page, shop: SimpleNamespace, link: str) -> None:
    """Follow a link, and sign in with the code that is mailed to a new browser."""
    page.goto(link)
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Code").fill(mailed(shop.server, shop.mail, CODE))
    page.get_by_role("button", name="Sign in").click()


class TestLearning:
    def test_from_the_link_in_a_mail_to_a_match_and_back(self, shop, browser):
        shop.imports.send(until=SECOND + 2)
        link = mailed(shop.server, shop.mail, LINK)
        # The pattern of one that still runs would grow.
        shop.server.wait_for(shop.imports.have_ended)
        context = browser.new_context(viewport=DESKTOP)
        watched = Watched(context.new_page(), shop.url)
        page = watched.page

        sign_in_from(page, shop, link)
        expected = page.get_by_role("button", name="Expected", exact=True)
        expect(expected).to_be_focused()
        expect(expected).to_be_in_viewport()
        expect(page.get_by_role("checkbox", name="24 hours")).to_be_checked()
        expect(page.get_by_role("checkbox", name="7 days")).to_be_disabled()
        page.get_by_label("What was it?").fill(LABEL)
        expected.click()
        training = page.locator("#training")
        expect(training.get_by_role("heading", name=f"Expected: {LABEL}")).to_be_visible()
        expect(training).to_contain_text("Alice Archer said so")

        shop.imports.send(until=SECOND - LENGTH_MINUTES - 4)
        shop.server.wait_for(lambda: shop.imports.list("/matches"))
        assert len(shop.imports.list("/anomalies")) == 1
        [match] = shop.imports.list("/matches")
        assert match["anomaly_id"] is None
        self.check_the_match(page)
        self.check_the_chart(page)

        page.locator("#events tr", has_text="Expected").locator("[data-event]").click()
        training.get_by_role("button", name="Take it back").click()
        expect(training.get_by_text("Was this behaviour expected?")).to_be_visible()
        page.get_by_role("link", name="Patterns", exact=True).click()
        expect(page.get_by_role("heading", name="No pattern is in use yet")).to_be_visible()
        shop.imports.send(until=0)
        shop.server.wait_for(lambda: len(shop.imports.list("/anomalies")) == 2)
        assert watched.faults == []
        context.close()

    def check_the_match(self, page: Page) -> None:
        page.get_by_role("link", name="Patterns", exact=True).click()
        row = page.locator("li.row")
        expect(row).to_contain_text(LABEL)
        expect(row).to_contain_text("Explained 1 time")
        row.get_by_role("link").first.click()
        expect(page.get_by_role("heading", name="Matches")).to_be_visible()
        page.locator("li.row").get_by_role("link").click()
        expect(page.locator(".explanation")).to_contain_text(f"Like “{LABEL}”, marked as expected")
        pictures = page.locator(".for-light img.picture")
        for place in range(pictures.count()):
            pictures.nth(place).scroll_into_view_if_needed()
            expect(pictures.nth(place)).to_have_js_property("complete", value=True)
            assert pictures.nth(place).evaluate("image => image.naturalWidth") > 0
        page.get_by_role("button", name="Right").click()
        expect(page.get_by_text("Called right by Alice Archer")).to_be_visible()

    def check_the_chart(self, page: Page) -> None:
        with page.expect_response(lambda reply: "/bundle" in reply.url):
            page.get_by_role("link", name="Show in the chart").click()
        expect(page.locator("[data-part=legend-matches]")).to_have_text("Match (1)")
        expect(page.locator("[data-part=legend-pattern]")).to_be_visible()
        # The pale line of the pattern, and the mark of the match.
        assert pixels(page, (0xA6, 0xDD, 0xB4)) > 100
        assert pixels(page, (0x2B, 0x8A, 0x3E)) > 50
        expect(page.locator("#selected")).to_contain_text("Selected match")


class TestKeyboard:
    def test_the_question_is_opened_answered_and_closed_with_keys(self, shop, browser):
        shop.imports.send(until=SECOND + 2)
        link = mailed(shop.server, shop.mail, LINK)
        context = browser.new_context(viewport=DESKTOP)
        page = context.new_page()
        sign_in_from(page, shop, link.replace("&ask=true", ""))
        question = page.locator("[data-question]")
        expect(question).not_to_have_attribute("open", re.compile(""))
        expect(page.locator("[data-part=value]")).not_to_be_empty()
        page.keyboard.press("t")
        expect(page.get_by_role("button", name="Expected", exact=True)).to_be_focused()
        page.keyboard.press("Escape")
        expect(question.locator("summary")).to_be_focused()
        page.keyboard.press("t")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Unexpected")).to_be_focused()
        page.keyboard.press("Enter")
        heading = page.locator("#training").get_by_role("heading", name="Unexpected")
        expect(heading).to_be_visible()
        context.close()
