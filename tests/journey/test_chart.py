"""The chart of a metric in a real browser: zoomed, read, kept fresh, in both themes."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.kit.pages import DESKTOP, STRUCK, open_metric, pixels, query_of

pytestmark = pytest.mark.debian("chromium")


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
        # The table is filled after the click.
        expect(rows.nth(49)).to_be_attached()
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

    def test_shows_that_the_server_is_unreachable_and_recovers(self, product, browser):
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
