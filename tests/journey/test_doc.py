"""The documentation in a real browser: the reference is usable under the strict policy."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.kit.pages import DESKTOP, PHONE, Watched
from tests.kit.served import served
from tests.kit.tenants import MARK, open_product

pytestmark = pytest.mark.debian("chromium")

PAGES = ("/doc/guide", "/doc/guide/errors", "/doc/guide/metric", "/doc/detection", "/doc")


@pytest.fixture(scope="module")
def site(migrated_sqlite_file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("doc")
    path = directory / "meta.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with open_product(f"sqlite:///{path}", directory) as product, served(product.app) as url:
        yield product, url


def opened(browser: Browser, url: str, theme: str, size) -> tuple[Page, Watched]:
    page = browser.new_context(viewport=size, color_scheme=theme).new_page()
    return page, Watched(page, url)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
class TestPages:
    def test_stay_in_their_width_and_break_no_rule(self, browser, site, theme, size):
        _, url = site
        for address in PAGES:
            page, watched = opened(browser, url, theme, size)
            page.goto(url + address)
            if address == "/doc":
                page.wait_for_selector(".opblock-tag")
            else:
                expect(page.locator("h1")).to_have_count(1)
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], address
            assert watched.faults == [], address
            page.context.close()


class TestReference:
    def test_sends_a_request_with_a_token_to_this_server(self, browser, site):
        product, url = site
        page, watched = opened(browser, url, "dark", DESKTOP)
        page.goto(f"{url}/doc")
        page.click("button.authorize")
        container = page.locator(".auth-container", has_text="X-Auth-Token").first
        container.locator("input").first.fill(product.tokens["acme"])
        container.locator("button.authorize").click()
        page.locator("button.btn-done").first.click()
        page.locator("#operations-tag-metrics").first.click()
        page.locator(
            "[id='operations-metrics-metric_metrics_get'] .opblock-summary-control"
        ).click()
        page.click("button.try-out__btn")
        page.click("button.execute")
        live = page.locator(".live-responses-table")
        expect(live.locator(".response-col_status").nth(1)).to_contain_text("200")
        expect(live).to_contain_text(re.compile(MARK))
        assert watched.faults == []
