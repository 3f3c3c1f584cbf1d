"""Fixtures of the journeys in a real browser."""

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.kit.pages import (
    DESKTOP,
    EMAIL,
    FLAGS,
    NAMES,
    PASSWORD,
    Watched,
    history,
    is_judged,
    sign_in,
)
from tests.kit.server import Server, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield opened
        opened.close()


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
        server.wait_for(lambda: is_judged(server, token))
        context = browser.new_context(viewport=DESKTOP)
        sign_in(context.new_page(), server.url)
        state = context.storage_state()
        context.close()
        yield SimpleNamespace(server=server, url=server.url, token=token, state=state)


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
