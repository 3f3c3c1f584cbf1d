"""A page of another site counts its events in a real browser, and they become a metric here."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.kit.server import Server, running

pytestmark = [pytest.mark.slow, pytest.mark.debian("chromium")]

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PAGE = """<!doctype html><title>Shop</title>
<script async src="{url}/js/eventsender" data-key="{key}" data-site="shop" data-auto="pageview">
</script><button data-anomify-event="checkout">Check out</button>"""
# A minute has to be over and to have settled before it is a datapoint.
POINT_SECONDS = 90


class Shop(BaseHTTPRequestHandler):
    """Another site, with a page that loads the script and one that does not."""

    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page if self.path == "/" else b"<!doctype html><title>Bye</title>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def shop(tmp_path) -> Iterator[SimpleNamespace]:
    """A running product, and a page elsewhere that has the script with a key for pages."""
    with running(Server(tmp_path / "data")) as server:
        token = server.create_org("Acme")
        key = server.cli(
            *("token", "create", "--org", "Acme", "--name", "shop"),
            *("--scopes", "events", "--json"),
        )["token"]
        page = PAGE.format(url=server.url, key=key).encode()
        site = ThreadingHTTPServer(("127.0.0.1", 0), type("Shop", (Shop,), {"page": page}))
        serving = threading.Thread(target=site.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{site.server_port}/"
        yield SimpleNamespace(server=server, token=token, url=url)
        site.shutdown()
        serving.join()
        site.server_close()


def counted(shop: SimpleNamespace, name: str) -> float:
    """How often an event happened, by all datapoints there are."""
    reply = shop.server.ask(f"/metric/events.shop.{name}", shop.token)
    if reply.status == 404:
        return 0
    now = time.time()
    rows = shop.server.points(shop.token, f"events.shop.{name}", now - 600, now + 60)
    return sum(value for _, value in rows)


class TestEventsender:
    def test_counts_across_origins_and_while_a_page_is_left(self, shop, browser):
        faults: list[str] = []
        page = browser.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(shop.url)
        page.wait_for_function("window.anomify")
        page.get_by_role("button").click(click_count=3)
        page.evaluate("anomify.count('items', 4)")
        with page.expect_response("**/flux/events") as result:
            page.evaluate("anomify.flush()")
        assert result.value.status == 204
        # What is counted last goes out when the page is left.
        page.get_by_role("button").click()
        page.goto(f"{shop.url}bye")
        expected = {"pageview": 1, "checkout": 4, "items": 4}
        shop.server.wait_for(
            lambda: {name: counted(shop, name) for name in expected} == expected, POINT_SECONDS
        )
        assert faults == []
