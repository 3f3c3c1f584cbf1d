"""The product's client and a real Alertmanager: alerts fire, stay and are resolved."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from anomify.channel.alertmanager import AlertmanagerChannel
from anomify.channel.message import Message, Receipt, Target
from anomify.clock import now
from anomify.outbound.http_client import Outbound
from tests.channel.messages import LINK, MESSAGES
from tests.kit.alertmanager import Alertmanager, alertmanager
from tests.kit.receiver import receiving

pytestmark = pytest.mark.debian("prometheus-alertmanager")


def sent(running: Alertmanager, message: Message) -> Receipt:
    channel = AlertmanagerChannel(Outbound(["127.0.0.0/8"]))
    return channel.send(message, Target("", settings={"url": running.url}))


def states(received: list[Any]) -> list[str]:
    return [json.loads(request.body)["status"] for request in received]


class TestRealAlertmanager:
    def test_fires_stays_and_is_resolved(self, tmp_path: Path) -> None:
        with (
            receiving() as receiver,
            alertmanager(tmp_path, receiver.url) as running,
        ):
            began = now() - timedelta(minutes=3)
            opened = replace(MESSAGES["opened"], began_at=began)
            reference = sent(running, opened).reference
            running.wait_for(lambda: len(running.alerts()) == 1)
            (firing,) = running.alerts()
            again = replace(MESSAGES["reminder"], began_at=began, first_reference=reference)
            assert sent(running, again).is_delivered
            running.wait_for(lambda: running.alerts()[0]["endsAt"] > firing["endsAt"])
            (kept,) = running.alerts()
            running.wait_for(lambda: len(receiver.received) >= 1)
            over = replace(
                MESSAGES["recovered"], began_at=began, ended_at=now(), first_reference=reference
            )
            assert sent(running, over).is_delivered
            running.wait_for(lambda: running.alerts() == [])
            running.wait_for(lambda: "resolved" in states(receiver.received))

        assert firing["fingerprint"] == kept["fingerprint"]
        assert firing["startsAt"] == kept["startsAt"]
        assert firing["generatorURL"] == LINK
        assert states(receiver.received)[0] == "firing"

    def test_takes_every_name_and_a_test(self, tmp_path: Path) -> None:
        with receiving() as receiver, alertmanager(tmp_path, receiver.url) as running:
            assert sent(running, MESSAGES["test"]).is_delivered
            for name in ("<b>*x*</b>", '"\\', "a\nb", "Höhe \U0001f525", "x" * 5000):
                message = replace(MESSAGES["opened"], about=name, conversation=name)
                assert sent(running, message).is_delivered, name
            running.wait_for(lambda: len(running.alerts()) == 6)
