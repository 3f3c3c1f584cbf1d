"""The guide is true: each of its examples runs as it stands, and is answered as it says."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from anomify.channel.signature import key_of, new_secret, signature
from anomify.clock import now, now_timestamp
from anomify.db import session
from anomify.delivery.model import DeliveryAttempt
from anomify.edge.contract import declared_routes
from anomify.job.model import DEAD
from anomify.native.doc import GROUPS
from anomify.org.model import Org
from tests.factories import (
    PASSWORD,
    make_anomaly,
    make_delivery,
    make_incident,
    make_match,
    make_metric,
    make_pattern,
    make_watcher,
)
from tests.kit.served import served
from tests.kit.tenants import Product, open_product

SECONDS = 20
MESSAGE_ID = "7d3f1f0e-4c1c-4b53-9d0a-0d8f5a5f2c77"


@dataclass
class Guide:
    """A product that is served, and what its guide shows, page by page."""

    product: Product
    url: str
    examples: dict[str, dict[str, str]]

    def environment(self, home) -> dict[str, str]:
        return {
            "PATH": f"{programs_with_our_clock(home)}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(home / "clock"),
            "HOME": str(home),
            "ANOMIFY_URL": self.url,
            "ANOMIFY_TOKEN": self.product.tokens["acme"],
            "ANOMIFY_SESSION": self.product.cast.sessions["alice"],
            "ANOMIFY_EMAIL": self.product.cast.alice.email,
            "ANOMIFY_PASSWORD": PASSWORD,
        }

    def run(self, command: list[str], home) -> str:
        ended = subprocess.run(
            command,
            env=self.environment(home),
            cwd=home,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr == ""
        assert ended.stdout.strip()
        return ended.stdout


def programs_with_our_clock(home) -> Path:
    """Let shells and Pythons that are started there begin at the same moment as the test."""
    folder = home / "clock"
    folder.mkdir(exist_ok=True)
    (folder / "date").write_text(f"#!/bin/sh\necho {now_timestamp()}\n")
    (folder / "date").chmod(0o755)
    (folder / "sitecustomize.py").write_text(
        f"import time\ntime.time = lambda: {now_timestamp()}.0\n"
    )
    return folder


class Examples(HTMLParser):
    """Collects the code of a page by its id."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._id: str | None = None

    def handle_starttag(self, tag, attrs) -> None:
        result = dict(attrs)
        if tag == "code" and "data-language" in result:
            self._id = result["id"]
            self.found[self._id] = ""

    def handle_endtag(self, tag) -> None:
        if tag == "code":
            self._id = None

    def handle_data(self, data) -> None:
        if self._id is not None:
            self.found[self._id] += data


@pytest.fixture(scope="module")
def guide(migrated_sqlite_file, tmp_path_factory) -> Iterator[Guide]:
    directory = tmp_path_factory.mktemp("guide")
    path = directory / "meta.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with open_product(f"sqlite:///{path}", directory) as product:
        with product.database.unit_of_work():
            acme = session().get_one(Org, product.cast.acme.id)
            metric = make_metric(acme, "shop.orders")
            pattern = make_pattern(metric, make_anomaly(metric), id=12, label="nightly import")
            make_match(pattern, id=7)
            running = make_anomaly(metric, now(), minutes=None)
            make_incident(running, id=31)
            message = make_delivery(
                make_watcher(acme, "shop"), running, id=MESSAGE_ID, state=DEAD, settled_at=now()
            )
            answer = DeliveryAttempt(
                delivery_id=message.id,
                ended_at=now(),
                is_delivered=False,
                answer="It answered 503.",
            )
            session().add(answer)
        with served(product.app) as url:
            yield Guide(product, url, collected(product))


def collected(product: Product) -> dict[str, dict[str, str]]:
    """What each page of the guide shows, by the group it is about and its language."""
    first = product.client.get("/doc/guide").text
    addresses = sorted(set(re.findall(r'href="(/doc/guide/[a-z_]+)"', first)))
    found: dict[str, dict[str, str]] = {}
    for address in addresses:
        reply = product.client.get(address)
        assert reply.status_code == 200, address
        reader = Examples()
        reader.feed(reply.text)
        for name, text in reader.found.items():
            group, language = name.rsplit("-", 1)
            found.setdefault(group, {})[language] = text
    return found


def shape(value: Any) -> Any:
    """What a value is made of: the names of its parts, and the kinds of its leaves."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if type(value) in {int, float} else type(value).__name__


def differences(shown: Any, true: Any, where: str = "data") -> list[str]:
    """Where what is shown is not made as what is true; a null may be anything."""
    if isinstance(shown, dict) and isinstance(true, dict):
        found = [f"{where}.{name}" for name in set(shown) ^ set(true)]
        for name in set(shown) & set(true):
            found += differences(shown[name], true[name], f"{where}.{name}")
        return found
    if isinstance(shown, list) and isinstance(true, list):
        return differences(shown[0], true[0], f"{where}[0]") if shown and true else []
    return [] if shown == true or "NoneType" in {shown, true} else [where]


class TestGuide:
    def test_has_both_kinds_of_example_for_every_group(self, guide):
        groups = {
            route.tag for route in declared_routes(guide.product.app).values() if not route.is_page
        }
        assert groups <= set(GROUPS), "give the group a sentence in native/doc.py"
        missing = {group for group in groups if not {"sh", "python"} <= set(guide.examples[group])}
        assert missing == set()

    def test_each_example_calls_an_address_of_its_group(self, guide):
        for group, shown in guide.examples.items():
            assert group in {*GROUPS, "errors"}
            for language in ("sh", "python"):
                word = "-" if group == "operators" else group
                assert f"/{word}" in shown.get(language, f"/{word}"), (group, language)

    def test_every_example_of_python_runs_with_nothing_installed(self, guide, tmp_path):
        ran = 0
        for shown in guide.examples.values():
            if "python" in shown:
                # Isolated, Python does not look where our clock lies.
                clock = f"import time\ntime.time = lambda: {now_timestamp()}.0\n"
                guide.run([sys.executable, "-I", "-c", clock + shown["python"]], tmp_path)
                ran += 1
        assert ran >= len(GROUPS) - 1

    @pytest.mark.debian("curl")
    def test_every_example_of_curl_answers_as_it_is_shown(self, guide, tmp_path):
        ran = 0
        for group, shown in guide.examples.items():
            if "sh" not in shown:
                continue
            wording = guide.run(["/bin/sh", "-c", shown["sh"]], tmp_path)
            if "json" in shown:
                result = json.loads(wording)
                found = differences(
                    shape(json.loads(shown["json"])), shape(result.get("data", result))
                )
                assert found == [], (group, wording)
            ran += 1
        assert ran >= len(GROUPS) - 1

    def test_the_example_that_checks_signatures_accepts_ours_alone(self, guide):
        program: dict[str, Any] = {}
        exec(guide.examples["delivery"]["verify"], program)  # noqa: S102 -- it is our own example
        is_genuine = program["is_genuine"]
        secret, sent_at, body = new_secret(), now_timestamp(), b'{"type": "anomaly.opened"}'
        signed = signature(key_of(secret) or b"", "m1", sent_at, body)
        former = signature(key_of(new_secret()) or b"", "m1", sent_at, body)
        headers = {
            "webhook-id": "m1",
            "webhook-timestamp": str(sent_at),
            "webhook-signature": f"{former} {signed}",
        }
        assert is_genuine(secret, headers, body)
        for changed in (
            {"webhook-id": "m2"},
            {"webhook-timestamp": str(sent_at - 301)},
            {"webhook-signature": former},
        ):
            assert not is_genuine(secret, headers | changed, body), changed
        assert not is_genuine(secret, headers, body + b" ")
        assert not is_genuine(new_secret(), headers, body)
