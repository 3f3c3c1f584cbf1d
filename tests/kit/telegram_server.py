"""A Bot API of Telegram with one bot: it reads HTML as Telegram does, and has its limits."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from html.parser import HTMLParser
from typing import Any

from tests.kit.receiver import Answer, Received, Receiver, receiving

TOKEN = "123456789:AAF-abcdefghijklmnopqrstuvwxyz_0123"
CHAT = "-1001234567890"
TAGS = {"b", "i", "u", "s", "a", "code", "pre", "blockquote"}


class Unreadable(Exception):
    """What Telegram refuses to read."""


class _Reader(HTMLParser):
    """Collects the text, and refuses tags that Telegram does not have or that are not closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, _attributes: Any) -> None:
        if tag not in TAGS:
            raise Unreadable(f'unsupported start tag "{tag}"')
        self._open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            raise Unreadable(f'unexpected end tag "{tag}"')

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, _data: str) -> None:
        raise Unreadable("comment")

    def handle_decl(self, _decl: str) -> None:
        raise Unreadable("declaration")

    def handle_pi(self, _data: str) -> None:
        raise Unreadable("instruction")

    def close(self) -> None:
        super().close()
        if self._open:
            raise Unreadable(f'cannot find end tag corresponding to "{self._open[-1]}"')


def read(text: str) -> _Reader:
    """The text as people see it, and its tags. Raises Unreadable."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader


@dataclass
class Telegram:
    messages: list[dict[str, Any]] = field(default_factory=list)
    next_answers: list[Answer] = field(default_factory=list)
    wire: Receiver | None = None

    @property
    def api(self) -> str:
        assert self.wire is not None
        return f"http://127.0.0.1:{self.wire.port}"

    def fail(self, code: int, description: str, **parameters: Any) -> None:
        body = {"ok": False, "error_code": code, "description": description}
        if parameters:
            body["parameters"] = parameters
        self.next_answers.append(Answer(code, body=json.dumps(body).encode()))

    def respond(self, request: Received) -> Answer:
        if self.next_answers:
            return self.next_answers.pop(0)
        start, _, method = request.path.rpartition("/")
        if start != f"/bot{TOKEN}":
            return _refused(401, "Unauthorized")
        photo = b""
        if request.headers["content-type"].startswith("multipart/form-data"):
            arguments, photo = _form(request)
            for name in ("reply_parameters", "reply_markup"):
                if name in arguments:
                    arguments[name] = json.loads(arguments[name])
        else:
            arguments = json.loads(request.body)
        if str(arguments["chat_id"]) != CHAT:
            return _refused(400, "Bad Request: chat not found")
        text, most = (
            (arguments.get("caption", ""), 1024)
            if method == "sendPhoto"
            else (arguments["text"], 4096)
        )
        try:
            seen = read(text).text
        except Unreadable as problem:
            return _refused(400, f"Bad Request: can't parse entities: {problem}")
        if len(seen.encode("utf-16-le")) // 2 > most:
            return _refused(400, "Bad Request: message caption is too long")
        if not seen.strip():
            return _refused(400, "Bad Request: message text is empty")
        for row in arguments.get("reply_markup", {}).get("inline_keyboard", ()):
            for button in row:
                if len(button.get("callback_data", "").encode()) > 64 or not button["text"]:
                    return _refused(400, "Bad Request: BUTTON_DATA_INVALID")
        if method == "sendPhoto" and not photo.startswith(b"\x89PNG"):
            return _refused(400, "Bad Request: IMAGE_PROCESS_FAILED")
        self.messages.append({**arguments, "method": method, "photo": photo, "seen": seen})
        result = {"message_id": 100 + len(self.messages), "chat": {"id": int(CHAT)}}
        return Answer(200, body=json.dumps({"ok": True, "result": result}).encode())


def _form(request: Received) -> tuple[dict[str, Any], bytes]:
    """The fields of multipart/form-data and the photo, read by the library for mails."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    fields: dict[str, Any] = {}
    photo = b""
    parts = message_from_bytes(head + request.body).get_payload()
    assert isinstance(parts, list)
    for part in parts:
        assert not isinstance(part, str)
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if name == "photo":
            photo = content
        else:
            fields[str(name)] = content.decode()
    return fields, photo


def _refused(code: int, description: str) -> Answer:
    body = {"ok": False, "error_code": code, "description": description}
    return Answer(code, body=json.dumps(body).encode())


@contextmanager
def telegram() -> Iterator[Telegram]:
    served = Telegram()
    with receiving(respond=served.respond) as served.wire:
        yield served
