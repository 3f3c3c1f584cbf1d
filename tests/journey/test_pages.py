"""The pages in a real browser: from the set-up link to a chart that is zoomed, read, kept fresh."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from anomify.dashboard.wording import number, value_and_expected
from tests.kit.server import Server, running

pytestmark = pytest.mark.debian("chromium")

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
SMALLEST = {"width": 360, "height": 740}
PASSWORD = "quiet harbour at five"
EMAIL = "alice@acme.example"
STRUCK = "checkout.orders"
HOSTILE = '"><svg onload=alert(1)>'
NAMES = [STRUCK, HOSTILE, 'cpu{host="a",mode="idle"}']
POINTS = 900
FRESH_MS = 5_000
TOUCH_PIXELS = 44
# Told to the page's console, where it counts as an error.
TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`refused by the policy: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


class Watched:
    """A page of which every fault is kept: errors, violations, dialogs and foreign requests."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        page.add_init_script(TELL_VIOLATIONS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._see(request.url, url))

    def _hear(self, message) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def _see(self, address: str, url: str) -> None:
        if not address.startswith((url, "data:")):
            self.faults.append(f"asked elsewhere: {address}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield opened
        opened.close()


def history(name: str, until: int) -> list[dict[str, object]]:
    """A wave with a little noise; the first metric leaps for ten minutes, an hour ago."""
    rows = []
    for place in range(POINTS):
        timestamp = until - (POINTS - place) * 60
        value = 100 + 10 * ((place % 60) / 60) + (place * 7919 % 13) / 4
        is_struck = name == STRUCK and POINTS - 60 <= place < POINTS - 50
        rows.append(
            {"metric": name, "timestamp": timestamp, "value": value + (300 if is_struck else 0)}
        )
    return rows


@pytest.fixture(scope="module")
def product(tmp_path_factory, browser) -> Iterator[SimpleNamespace]:
    """A running product with an org, an owner and three metrics, one of which was struck."""
    with running(Server(tmp_path_factory.mktemp("pages") / "data")) as server:
        token = server.create_org("Acme")
        server.cli(
            *("user", "create", "--org", "Acme", "--email", EMAIL),
            *("--name", "Alice Archer", "--role", "owner", "--password-stdin"),
            text=f"{PASSWORD}\n",
        )
        until = int(time.time()) // 60 * 60
        for name in NAMES:
            document = {"fill": "true", "metrics": history(name, until)}
            assert server.post("/flux/metric_data_post", token, document).status == 204
        server.wait_for(lambda: _is_judged(server, token))
        context = browser.new_context(viewport=DESKTOP)
        sign_in(context.new_page(), server.url)
        state = context.storage_state()
        context.close()
        yield SimpleNamespace(server=server, url=server.url, token=token, state=state)


def _is_judged(server: Server, token: str) -> bool:
    path = f"/metric/{quote(HOSTILE, safe='')}"
    data = server.data("/anomalies", token)
    return data["total"] > 0 and server.data(path, token)["metric"]["state"] == "judged"


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/ui/")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Anomalies", level=1)).to_be_visible()


@pytest.fixture
def watched(product, browser) -> Iterator[Watched]:
    """Alice's browser; the test fails if anything went wrong in it, seen or unseen."""
    context = browser.new_context(viewport=DESKTOP, storage_state=product.state)
    found = Watched(context.new_page(), product.url)
    yield found
    context.close()
    assert found.faults == []


@pytest.fixture
def page(watched) -> Page:
    return watched.page


def open_metric(
    page: Page, url: str, name: str = STRUCK, *, is_empty: bool = False, **query: object
) -> None:
    more = "".join(f"&{key}={value}" for key, value in query.items())
    with page.expect_response(lambda reply: "/bundle" in reply.url):
        page.goto(f"{url}/ui/metric?name={quote(name, safe='')}{more}")
    if not is_empty:
        expect(page.locator("[data-part=value]")).not_to_be_empty()


def pixels(page: Page, colour: tuple[int, int, int]) -> int:
    """How many pixels of the chart have this colour, or nearly."""
    return page.evaluate(
        """([red, green, blue]) => {
          const canvas = document.querySelector("#chart canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let count = 0;
          for (let at = 0; at < data.length; at += 4) {
            const far = Math.abs(data[at] - red) + Math.abs(data[at + 1] - green)
              + Math.abs(data[at + 2] - blue);
            count += data[at + 3] > 200 && far < 24 ? 1 : 0;
          }
          return count;
        }""",
        list(colour),
    )


def query_of(page: Page) -> dict[str, str]:
    return {key: found[0] for key, found in parse_qs(urlsplit(page.url).query).items()}


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
    def test_leads_back_to_the_page_that_was_asked_for(self, product, browser):
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

    def test_says_when_there_is_something_newer(self, product, page):
        page.clock.install()
        page.goto(f"{product.url}/ui/")
        page.route("**/ui/newer*", lambda route: route.fulfill(json={"count": 3}))
        page.clock.fast_forward(16_000)
        expect(page.get_by_role("link", name="3 new anomalies")).to_be_visible()


class TestChart:
    def test_is_drawn_in_the_colours_of_the_pictures(self, product, page):
        open_metric(page, product.url, range="24h")
        assert pixels(page, (0x1F, 0x6F, 0xEB)) > 500
        assert pixels(page, (0xD9, 0x48, 0x0F)) > 20
        # The band, 15 % of its colour over white.
        assert pixels(page, (0xE9, 0xEA, 0xEC)) > 2_000

    def test_its_legend_has_the_words_of_the_pictures(self, product, page):
        open_metric(page, product.url, range="24h")
        words = page.locator(".legend dt").all_inner_texts()
        total = product.server.data(f"/metric/{STRUCK}/anomalies", product.token)["total"]
        assert words[:3] == ["Value", "Expected range", f"Anomaly ({total})"]

    def test_zooms_by_dragging_and_comes_back_by_double_click(self, product, page):
        open_metric(page, product.url, range="6h")
        box = page.locator("#chart .u-over").bounding_box()
        across, down = box["x"], box["y"] + box["height"] / 2
        page.mouse.move(across + box["width"] * 0.25, down)
        page.mouse.down()
        page.mouse.move(across + box["width"] * 0.5, down, steps=5)
        with page.expect_response(lambda reply: "/bundle" in reply.url):
            page.mouse.up()
        zoomed = query_of(page)
        assert "range" not in zoomed
        # A quarter of what is shown: six hours, and a tenth of that ahead of now.
        assert int(zoomed["until"]) - int(zoomed["from"]) == pytest.approx(6 * 990, rel=0.05)
        expect(page.get_by_role("link", name="Reset")).to_be_visible()
        with page.expect_response(lambda reply: "/bundle" in reply.url):
            page.locator("#chart .u-over").dblclick()
        assert query_of(page)["range"] == "6h"

    def test_the_back_button_undoes_a_zoom(self, product, page):
        open_metric(page, product.url, range="6h")
        page.locator("#chart").focus()
        with page.expect_response(lambda reply: "/bundle" in reply.url):
            page.keyboard.press("+")
        assert "from" in query_of(page)
        with page.expect_response(lambda reply: "/bundle" in reply.url):
            page.go_back()
        assert query_of(page)["range"] == "6h"

    def test_is_read_with_the_keyboard(self, product, page):
        open_metric(page, product.url, range="24h")
        page.locator("#chart").focus()
        page.keyboard.press("ArrowLeft")
        announcer = page.locator("#announcer")
        expect(announcer).to_contain_text(
            re.compile(r"\d\d:\d\d:\d\d: [\d.,]+, expected [\d.,]+ to")
        )
        first = announcer.inner_text()
        page.keyboard.press("ArrowLeft")
        expect(announcer).not_to_have_text(first)

    def test_selects_anomalies_with_the_keyboard(self, product, page):
        open_metric(page, product.url, range="24h")
        page.locator("#chart").focus()
        page.keyboard.press("]")
        expect(page.locator("#selected .explanation")).to_be_visible()
        expect(page.locator("#events tr.is-selected")).to_have_count(1)
        assert "event" in query_of(page)

    def test_selects_an_anomaly_by_its_row(self, product, page):
        open_metric(page, product.url, range="24h")
        page.locator("#events [data-event]").first.click()
        expect(page.locator("#selected .explanation")).to_be_visible()
        page.reload()
        expect(page.locator("#selected .explanation")).to_be_visible()

    def test_a_gap_stays_a_gap(self, product, page):
        name = "with.a.gap"
        until = int(time.time()) // 60 * 60
        times = [until - 60 * minute for minute in range(50, 0, -1) if not 20 <= minute < 35]
        document = {"metrics": [{"metric": name, "timestamp": at, "value": 5} for at in times]}
        assert product.server.post("/flux/metric_data_post", product.token, document).status == 204
        open_metric(page, product.url, name, range="1h")
        holes = page.evaluate(
            """() => {
              const canvas = document.querySelector("#chart canvas");
              const ink = canvas.getContext("2d");
              const columns = [];
              for (let x = 0; x < canvas.width; x += 1) {
                const { data } = ink.getImageData(x, 0, 1, canvas.height);
                let isBlue = false;
                for (let at = 0; at < data.length; at += 4) {
                  isBlue ||= data[at] < 90 && data[at + 2] > 200 && data[at + 3] > 100;
                }
                columns.push(isBlue ? "x" : " ");
              }
              return columns.join("").trim().split(/x+/).filter((hole) => hole).length;
            }"""
        )
        assert holes == 1

    def test_an_empty_window_leads_to_the_latest_points(self, product, page):
        window = {"from": 1_700_000_000, "until": 1_700_003_600}
        open_metric(page, product.url, is_empty=True, **window)
        expect(page.get_by_text("No points in this window.")).to_be_visible()
        page.get_by_role("link", name="Show the latest points").click()
        expect(page.locator("[data-part=value]")).not_to_be_empty()

    def test_has_a_summary_and_a_table(self, product, page):
        open_metric(page, product.url, range="1h")
        summary = page.locator("#chart-summary")
        expect(summary).to_contain_text(re.compile(r"\d+ points between [\d.]+ and [\d.]+"))
        page.get_by_text("Show as a table").click()
        rows = page.locator("[data-part=table-rows] tr")
        assert rows.count() >= 50
        expect(rows.first.locator("td").nth(2)).to_have_text(re.compile(r"[\d.]+ to [\d.]+"))

    def test_is_kept_fresh(self, product, page):
        page.clock.install()
        open_metric(page, product.url, range="1h")
        now = int(time.time())
        point = {"metric": STRUCK, "timestamp": now, "value": 123.456}
        assert product.server.post("/flux/metric_data_post", product.token, point).status == 204
        with page.expect_response(lambda reply: "/bundle" in reply.url):
            page.clock.fast_forward(10_500)
        expect(page.locator("[data-part=value]")).to_have_text("123.456")

    def test_says_when_the_server_is_away_and_goes_on(self, product, browser):
        context = browser.new_context(viewport=DESKTOP, storage_state=product.state)
        page = context.new_page()
        open_metric(page, product.url, range="1h")
        page.route("**/metric/bundle*", lambda route: route.abort())
        page.get_by_role("link", name="Last 6 hours").click()
        expect(page.get_by_text("The server cannot be reached")).to_be_visible()
        page.unroute("**/metric/bundle*")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_text("The server cannot be reached")).to_be_hidden()
        context.close()

    def test_shows_the_picture_where_scripts_are_off(self, product, browser):
        context = browser.new_context(
            viewport=DESKTOP, storage_state=product.state, java_script_enabled=False
        )
        page = context.new_page()
        page.goto(f"{product.url}/ui/metric?name={STRUCK}")
        picture = page.get_by_role("img", name=f"Chart of {STRUCK}")
        expect(picture).to_be_visible()
        assert picture.bounding_box()["height"] > 100
        page.goto(f"{product.url}/ui/connect")
        assert page.locator("[role=tabpanel]:visible").count() == 4
        context.close()


class TestTheme:
    def test_is_switched_and_remembered_and_the_chart_follows(self, product, page):
        open_metric(page, product.url, range="24h")
        assert pixels(page, (0x58, 0xA6, 0xFF)) == 0
        page.get_by_role("button", name="Switch to the dark theme").click()
        assert pixels(page, (0x58, 0xA6, 0xFF)) > 500
        page.add_init_script(
            "addEventListener('DOMContentLoaded', () => {"
            " window.themeAtFirst = document.documentElement.dataset.theme; });"
        )
        page.reload()
        assert page.evaluate("window.themeAtFirst") == "dark"
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(int(channel) for channel in re.findall(r"\d+", ground)[:3]) < 40

    def test_follows_the_system_until_it_is_switched(self, product, page):
        page.emulate_media(color_scheme="dark")
        open_metric(page, product.url, range="24h")
        assert pixels(page, (0x58, 0xA6, 0xFF)) > 500
        page.emulate_media(color_scheme="light")
        page.wait_for_function("getComputedStyle(document.body).colorScheme !== ''")
        expect(page.get_by_role("button", name="Switch to the dark theme")).to_be_visible()
        assert pixels(page, (0x58, 0xA6, 0xFF)) == 0


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

    def test_tells_a_failure_with_the_request_id(self, product, browser):
        context = browser.new_context(viewport=DESKTOP, storage_state=product.state)
        page = context.new_page()
        reply = page.goto(f"{product.url}/ui/nothing")
        assert reply.status == 404
        expect(page.get_by_text(reply.headers["x-request-id"])).to_be_visible()
        context.close()


class TestNumbers:
    def test_are_said_alike_by_the_server_and_by_the_page(self, product, page):
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
        said = page.evaluate(
            """async ([values, ranges]) => {
              const { number, valueAndRange } = await import("/static/js/numbers.js");
              const texts = ranges.map((one) => valueAndRange(...one));
              return [values.map((value) => number(value)), texts];
            }""",
            [values, ranges],
        )
        assert said == [
            [number(value) for value in values],
            [list(value_and_expected(*one)) for one in ranges],
        ]

    def test_times_are_those_of_the_org(self, product, page):
        page.goto(f"{product.url}/ui/")
        moment = datetime(2021, 7, 1, 12, 30, 15, tzinfo=UTC)
        said = page.evaluate(
            """async (timestamp) => {
              const { clock } = await import("/static/js/numbers.js");
              return clock("Asia/Kathmandu").full(timestamp);
            }""",
            moment.timestamp(),
        )
        assert said == "Thu 1 Jul 2021, 18:15:15"
