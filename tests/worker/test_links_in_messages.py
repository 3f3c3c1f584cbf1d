"""Links in sent messages: the picture, the buttons and the end of the mails, followed for real."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from anomify.channel.message import Action
from anomify.channel.signature import new_secret
from anomify.contact_point.button import KEY_PURPOSE, is_genuine, read_button
from anomify.contact_point.model import ContactPoint
from anomify.dashboard import inbox, unsubscribe
from anomify.db import session
from anomify.native import image
from anomify.org.model import Org
from anomify.watcher.model import Watcher, WatcherContact
from tests.factories import link_contact, make_contact_point, make_org, make_user
from tests.kit.outbox import Post, Recorder
from tests.kit.web import make_app


@pytest.fixture
def browser(post: Post, tmp_path: Path):
    """A program without a session that asks the same server."""
    app = make_app(
        post.database, tmp_path, [image.blueprint, unsubscribe.blueprint, inbox.blueprint]
    )
    yield app.test_client()
    app.extensions["anomify"].points.close()


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_the_picture_opens_without_a_session_and_for_no_other_org(post: Post, browser) -> None:
    recorder = Recorder()
    post.watch("https://a.example/in")
    post.open()
    post.sender({"webhook": recorder}).run_once()
    (message,) = recorder.messages
    assert message.data["image_url"] == message.image_url
    picture = browser.get(path_of(message.image_url))
    assert (picture.status_code, picture.mimetype) == (200, "image/png")

    with post.database.unit_of_work():
        session().get_one(Org, post.org.id).name = "Renamed"
        foreign = make_org("Globex").uuid
    assert browser.get(path_of(message.image_url)).status_code == 200
    query = parse_qs(urlsplit(message.image_url).query)
    for name, value in (("org", foreign), ("anomaly_id", "99"), ("expires", "9999999999")):
        changed = {key: values[0] for key, values in query.items()} | {name: value}
        assert browser.get("/image/anomaly", query_string=changed).status_code == 403, name


def test_a_mail_names_its_buttons_and_the_link_that_stops_it(post: Post, browser) -> None:
    recorder = Recorder()
    with post.database.unit_of_work():
        org = session().get_one(Org, post.org.id)
        alice = make_user(org, "Alice")
    watcher_id = post.watch("https://a.example/in", email_user_ids=[alice.id])
    with post.database.unit_of_work():
        values = {"url": "https://b.example/in", "secret": new_secret()}
        link_contact(
            session().get_one(Watcher, watcher_id),
            make_contact_point(org, "webhook", b"k" * 32, values=values),
        )
    post.open()
    post.sender({"email": recorder, "webhook": Recorder()}).run_once()
    (mail,) = recorder.messages
    assert [button.action for button in mail.buttons] == list(Action)
    key = post.settings.key_for(KEY_PURPOSE)
    with post.database.unit_of_work(write=False):
        for button in mail.buttons:
            value = read_button(button.value)
            assert value is not None
            point = session().get_one(ContactPoint, value.contact_point_id)
            assert is_genuine(key, point, button.action.value, value)
        before = session().query(WatcherContact).count()

    path = path_of(mail.unsubscribe_url)
    assert browser.get(path).status_code == 200
    assert browser.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    with post.database.unit_of_work(write=False):
        assert session().query(WatcherContact).count() == before - 1
    post.open("cpu.again")
    post.sender({"email": recorder, "webhook": Recorder()}).run_once()
    assert len(recorder.messages) == 1
