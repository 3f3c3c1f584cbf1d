"""Letters are sent over real SMTP, and tried again where that fails."""

import threading
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from anomify.clock import now
from anomify.config import Settings
from anomify.job.model import DEAD, PENDING
from anomify.org.letter import post_letter
from anomify.org.model import LETTER_SENT, Letter
from anomify.worker.letters import LetterSender
from tests.kit.smtpsink import smtp_sink


def letter_sender(database, sink=None) -> LetterSender:
    server = {} if sink is None else {"smtp_host": "127.0.0.1", "smtp_port": sink.port}
    settings = Settings(smtp_starttls=False, mail_from="anomify@acme.example", **server)
    return LetterSender(database, settings)


@pytest.fixture
def letter(database):
    with database.unit_of_work():
        post_letter("ann@example.com", "Höhe", "Open this:\n", org_id=None, purpose="verify")


def the_letter(database) -> Letter:
    with database.unit_of_work(write=False) as session:
        return session.scalars(select(Letter)).one()


@pytest.mark.usefixtures("letter")
class TestRunOnce:
    def test_sends_a_letter_as_plain_text_and_once(self, database):
        with smtp_sink() as sink:
            sender = letter_sender(database, sink)
            assert sender.run_once() == 1
            assert sender.run_once() == 0
        (mail,) = sink.mails
        assert (mail["Subject"], sink.recipients) == ("Höhe", ["ann@example.com"])
        assert mail.get_content_type() == "text/plain"
        assert mail.get_content().replace("\r\n", "\n") == "Open this:\n"
        assert the_letter(database).state == LETTER_SENT

    def test_sends_one_persons_letters_in_the_order_they_were_written(self, database):
        for hour in range(1, 4):
            later = now() + timedelta(hours=hour)
            with time_machine.travel(later, tick=False), database.unit_of_work():
                post_letter("ann@example.com", str(hour), "", org_id=None, purpose="verify")
                post_letter("bob@example.com", str(hour), "", org_id=None, purpose="verify")
        with smtp_sink() as sink, time_machine.travel(now() + timedelta(hours=4), tick=False):
            sender = letter_sender(database, sink)
            while sender.run_once():
                pass
        result = [mail["Subject"] for mail in sink.mails if mail["To"] == "ann@example.com"]
        assert result == ["Höhe", "1", "2", "3"]

    def test_keeps_it_waiting_without_a_mail_server(self, database):
        assert letter_sender(database).run_once() == 0
        assert the_letter(database).attempts == 0

    def test_tries_again_what_the_server_does_not_accept_now(self, database):
        with smtp_sink() as sink:
            sink.data_answer = "451 later"
            letter_sender(database, sink).run_once()
        kept = the_letter(database)
        assert (kept.state, kept.attempts) == (PENDING, 1)
        assert "451" in kept.last_error

    def test_gives_up_where_the_address_does_not_exist(self, database):
        with smtp_sink() as sink:
            sink.recipient_answer = "550 no such person"
            letter_sender(database, sink).run_once()
        assert the_letter(database).state == DEAD


class TestRunUntil:
    def test_stops_on_request(self, database):
        stop = threading.Event()
        sender = threading.Thread(target=letter_sender(database).run_until, args=(stop,))
        sender.start()
        stop.set()
        sender.join(timeout=10)
        assert not sender.is_alive()
