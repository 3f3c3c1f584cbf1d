"""One message of each transition, as the incidents of an org make them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from anomify.channel.message import Action, Button, Message

BEGAN = datetime(2026, 11, 20, 12, 10, tzinfo=UTC)
ENDED = BEGAN + timedelta(minutes=47)
CONVERSATION = "3f1c7a52-6a0f-4f8e-9d35-0b8a2f1f7e11"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
LINK = "https://anomify.example/ui/incident/9?from=1795090200&until=1795176600"
IMAGE = "https://anomify.example/image/incident/9?exp=1795781400&sig=0f3a"
BUTTONS = (
    Button(Action.EXPECTED, "This was expected", "i9.k3"),
    Button(Action.ACKNOWLEDGE, "Acknowledge", "i9.k3"),
    Button(Action.MUTE, "Mute for 1 hour", "i9.k3"),
)


def message_of(**changes: Any) -> Message:
    """The first message of an incident, with changes."""
    fields: dict[str, Any] = {
        "id": "2c5d9d70-1111-4222-8333-944455556666",
        "answers_id": None,
        "type": "incident.opened",
        "occurred_at": BEGAN + timedelta(minutes=2),
        "subject": "checkout.latency.p95 is unusual: 1,007 ms instead of 80 to 120 ms",
        "text": "checkout.latency.p95 is 1,007 ms, above the 80 to 120 ms expected.\n",
        "html": "<p>checkout.latency.p95 is 1,007 ms, above the 80 to 120 ms expected.</p>",
        "data": {"incident": {"id": 9}, "image_url": IMAGE},
        "picture": PNG,
        "conversation": CONVERSATION,
        "severity": "high",
        "is_ongoing": True,
        "began_at": BEGAN,
        "org_name": "Acme Shop",
        "watcher_name": "Checkout",
        "about": "checkout.latency.p95",
        "headline": "Unusual, severity high: checkout.latency.p95",
        "sentence": "checkout.latency.p95 is 1,007 ms since 12:10, above the 80 to 120 ms that are "
        "expected at this time.",
        "lines": (
            ("Metric", "checkout.latency.p95"),
            ("Value", "1,007 ms at 2026-11-20 12:12:00 UTC"),
            ("Expected", "80 to 120 ms"),
            ("Since", "2026-11-20 12:10:00 UTC"),
            ("Peak", "1,007 ms at 2026-11-20 12:12:00 UTC"),
            ("Severity", "high"),
            ("Also unusual", "checkout.errors, payment.latency.p95"),
        ),
        "link": LINK,
        "link_words": "View the incident",
        "image_url": IMAGE,
        "buttons": BUTTONS,
        "unsubscribe_url": "https://anomify.example/unsubscribe?token=" + "a1b2c3d4" * 12,
    }
    return Message(**{**fields, **changes})


def later(**changes: Any) -> Message:
    """A later message of the same incident."""
    first = message_of()
    return message_of(**{"id": "77777777-0000-4222-8333-944455556666", "answers_id": first.id,
                         **changes})  # fmt: skip


OVER = {"is_ongoing": False, "ended_at": ENDED, "occurred_at": ENDED, "buttons": ()}
OUTSIDE: dict[str, Any] = {
    "conversation": "",
    "severity": "",
    "is_ongoing": False,
    "began_at": None,
    "about": "",
    "picture": None,
    "image_url": "",
    "buttons": (),
    "lines": (),
}

MESSAGES = {
    "opened": message_of(),
    "updated": later(
        type="incident.updated",
        headline="Two more metrics are unusual: checkout.latency.p95",
        sentence="checkout.latency.p95 is unusual since 12:10. cart.abandoned and db.locks joined.",
        lines=(
            ("Metrics", "checkout.latency.p95, cart.abandoned, db.locks"),
            ("Value", "1,240 ms at 2026-11-20 12:21:00 UTC"),
            ("Expected", "80 to 120 ms"),
            ("Since", "2026-11-20 12:10:00 UTC"),
            ("Peak", "1,240 ms at 2026-11-20 12:21:00 UTC"),
        ),
    ),
    "reminder": later(
        type="incident.reminder",
        headline="Still unusual after 4 hours 5 minutes: checkout.latency.p95",
        sentence="checkout.latency.p95 is still 990 ms, above the 80 to 120 ms that are expected. "
        "Nobody has acknowledged it.",
        lines=(
            ("Since", "2026-11-20 12:10:00 UTC"),
            ("Lasts", "4 hours 5 minutes"),
            ("Peak", "1,240 ms at 2026-11-20 12:21:00 UTC"),
        ),
    ),
    "acknowledged": later(
        type="incident.acknowledged",
        headline="Ann Miller takes care of it: checkout.latency.p95",
        sentence="Ann Miller has acknowledged it after 6 minutes.",
        lines=(("Since", "2026-11-20 12:10:00 UTC"),),
        buttons=(),
    ),
    "recovered": later(
        **OVER,
        type="incident.recovered",
        subject="checkout.latency.p95 is back to normal after 47 minutes",
        headline="Back to normal: checkout.latency.p95",
        sentence="checkout.latency.p95 is back within 80 to 120 ms; it was unusual for 47 minutes, "
        "until 12:57.",
        lines=(
            ("Lasted", "47 minutes"),
            ("Since", "2026-11-20 12:10:00 UTC"),
            ("Until", "2026-11-20 12:57:00 UTC"),
            ("Peak", "1,240 ms at 2026-11-20 12:21:00 UTC"),
            ("Expected then", "80 to 120 ms"),
        ),
    ),
    "new_level": later(
        **OVER,
        type="incident.accepted",
        subject="checkout.latency.p95 has stayed at about 1,007 ms",
        headline="A new level: checkout.latency.p95",
        sentence="checkout.latency.p95 has stayed at about 1,007 ms since 12:10; this is now taken "
        "as its level.",
        lines=(
            ("Since", "2026-11-20 12:10:00 UTC"),
            ("Before", "80 to 120 ms"),
            ("Now", "about 1,007 ms"),
        ),
    ),
    "no_data": message_of(
        severity="medium",
        subject="checkout.orders sends no data since 12:10",
        headline="No data, severity medium: checkout.orders",
        about="checkout.orders",
        sentence="checkout.orders has sent no data since 12:10; it sends a value each minute.",
        lines=(
            ("Metric", "checkout.orders"),
            ("Last value", "41"),
            ("Since", "2026-11-20 12:10:00 UTC"),
            ("Severity", "medium"),
        ),
    ),
    "test": message_of(
        **OUTSIDE
        | {
            "type": "watcher.test",
            "subject": "Test of the watcher Checkout",
            "headline": "This is a test",
            "sentence": "If you can read this, the watcher Checkout of Acme Shop reaches you. "
            "Nothing has happened.",
            "link": "",
            "link_words": "",
        }
    ),
    "storm": message_of(
        type="storm.opened",
        about="63 metrics",
        headline="63 incidents within 5 minutes",
        sentence="63 metrics have become unusual since 12:10. They are told in this one message; "
        "the first was db.locks.",
        lines=(
            *(
                (f"{place}.", f"shard.{place}.queue.length, severity high")
                for place in range(1, 11)
            ),
            ("And", "53 more"),
        ),
        picture=None,
        image_url="",
    ),
    "report": message_of(
        **OUTSIDE
        | {
            "type": "report.weekly",
            "subject": "Acme Shop: 3 incidents in the week from 9 to 15 November",
            "headline": "3 incidents in the week from 9 to 15 November",
            "sentence": "3 incidents were told to the watcher Checkout, one fewer than in the week "
            "before. One still goes on.",
            "lines": (
                ("checkout.latency.p95", "47 minutes, peak 1,240 ms on 10 November"),
                ("checkout.orders", "no data for 2 hours on 12 November"),
                ("payment.latency.p95", "unusual since 15 November, 08:00"),
            ),
        }
    ),
}

# What people name metrics, and what those do who try to break a message.
HOSTILE = (
    "<!channel> <@U012AB3CD> <https://evil.example|click> @here @everyone",
    "*bold* _it_ ~gone~ `code` ```block``` > quote :fire: #general",
    "[click](https://evil.example) ![x](https://evil.example/x.png) \\* __u__ # title\n- item",
    "<b>bold</b> <script>alert(1)</script> <a href='https://evil.example'>x</a> &amp; &lt; &#60;",
    "a\r\nBcc: everybody@evil.example\r\n\r\nbody",
    "$\\frac{\\frac{1}{2}}{$$ \u202egnp.exe\u202c \u200b\u2066x\u2069 \x1b[31mred\x00",
    "{{DATE(2017-02-14T06:08:00Z,SHORT)}} ${title} {{7*7}} %s {0}",
    "\U0001f525" * 3000,
    "e\u0301" * 3000,
    "&" * 5000,
    "<" * 5000,
    "\ud800 half",
    "x" * 20_000,
    "",
    " ",
)

texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=60),
    st.text(alphabet="<>&*_~`[](){}|\\!@#:;=-\n\r\t\u202e\u200d aé\U0001f525'\"$%/", max_size=400),
)
hostile_messages = st.builds(
    message_of,
    org_name=texts,
    watcher_name=texts,
    about=texts,
    headline=texts,
    sentence=texts,
    subject=texts,
    link_words=texts,
    severity=st.sampled_from(("", "low", "medium", "high")),
    is_ongoing=st.booleans(),
    picture=st.sampled_from((None, PNG)),
    conversation=st.sampled_from(("", CONVERSATION)),
    lines=st.lists(st.tuples(texts, texts), max_size=90).map(tuple),
)


def hostile(text: str) -> Message:
    """A message in which everything that comes from outside is this text."""
    return replace(
        message_of(),
        org_name=text,
        watcher_name=text,
        about=text,
        headline=text,
        sentence=text,
        subject=text,
        link_words=text,
        lines=((text, text),) * 40,
    )
