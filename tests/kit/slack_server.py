"""A Slack of one workspace: the methods that post and upload, with its limits and its errors."""

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.kit.receiver import Answer, Received, Receiver, receiving

TOKEN = "xoxb-1234-5678-abcdef"
TEAM = "T000"
CHANNEL_ID = "C0123ABCD"
CHANNELS = {"#alerts": CHANNEL_ID, "alerts": CHANNEL_ID, CHANNEL_ID: CHANNEL_ID}
_CONTROL = re.compile(r"<([^<>]*)>")


@dataclass
class Slack:
    """What was posted and uploaded, and what to answer next."""

    posts: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    # Files that may be shown in a message; an upload is ready after so many attempts to show it.
    ready: set[str] = field(default_factory=set)
    attempts_until_ready: int = 0
    shared: list[dict[str, Any]] = field(default_factory=list)
    # Given once each instead of an answer, by method.
    next_errors: dict[str, list[Answer]] = field(default_factory=dict)
    # E-mail addresses of the members of the workspace, by member id.
    members: dict[str, str] = field(default_factory=dict)
    # What was answered to people who pressed buttons.
    answers: list[dict[str, Any]] = field(default_factory=list)
    wire: Receiver | None = None

    @property
    def url(self) -> str:
        assert self.wire is not None
        return f"http://127.0.0.1:{self.wire.port}"

    @property
    def api(self) -> str:
        return f"{self.url}/api"

    @property
    def webhook(self) -> str:
        return f"{self.url}/services/T000/B000/XXXX"

    def fail(self, method: str, error: str, status: int = 200, **headers: str) -> None:
        body = json.dumps({"ok": False, "error": error}).encode()
        self.next_errors.setdefault(method, []).append(Answer(status, headers, body))

    def respond(self, request: Received) -> Answer:
        if request.path.startswith("/upload/"):
            self.files[request.path.rpartition("/")[2]] = request.body
            return Answer(200, body=b"OK - 2048")
        if request.path.startswith("/actions/"):
            self.answers.append(json.loads(request.body))
            return Answer(200, body=b"ok")
        if request.path.startswith("/services/"):
            return self._webhook(request)
        method = request.path.removeprefix("/api/")
        if waiting := self.next_errors.get(method):
            return waiting.pop(0)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _answer(ok=False, error="invalid_auth")
        if request.headers["content-type"].startswith("application/json"):
            arguments = json.loads(request.body)
        else:
            arguments = {name: each[0] for name, each in parse_qs(request.body.decode()).items()}
        methods = {
            "chat.postMessage": self._post,
            "files.getUploadURLExternal": self._offer_upload,
            "files.completeUploadExternal": self._complete_upload,
            "auth.test": lambda _: _answer(ok=True, team_id=TEAM),
            "users.info": self._member,
            "conversations.list": self._channels,
        }
        return methods[method](arguments)

    def _webhook(self, request: Received) -> Answer:
        if waiting := self.next_errors.get("webhook"):
            return waiting.pop(0)
        payload = json.loads(request.body)
        if problem := problem_of(payload, {}):
            return Answer(400, body=problem.encode())
        self.posts.append(payload)
        return Answer(200, body=b"ok")

    def _post(self, arguments: dict[str, Any]) -> Answer:
        channel = CHANNELS.get(arguments["channel"])
        if channel is None:
            return _answer(ok=False, error="channel_not_found")
        if self.attempts_until_ready > 0:
            self.attempts_until_ready -= 1
            ready: set[str] = set()
        else:
            ready = self.ready
        if problem := problem_of(arguments, ready):
            return _answer(
                ok=False, error="invalid_blocks", response_metadata={"messages": [problem]}
            )
        self.posts.append(arguments)
        return _answer(ok=True, channel=channel, ts=f"1795090320.{len(self.posts):06}")

    def _member(self, arguments: dict[str, Any]) -> Answer:
        email = self.members.get(arguments["user"])
        if email is None:
            return _answer(ok=False, error="user_not_found")
        profile = {"email": email}
        user = {"id": arguments["user"], "team_id": TEAM, "profile": profile}
        return _answer(ok=True, user=user | {"is_email_confirmed": True})

    def _channels(self, arguments: dict[str, Any]) -> Answer:
        """One channel in each page."""
        listed = [
            {"id": CHANNEL_ID, "name": "alerts", "is_private": False, "is_member": True},
            {"id": "C0999", "name": "a-private-one", "is_private": True, "is_member": False},
        ]
        at = int(arguments.get("cursor", "0"))
        cursor = str(at + 1) if at + 1 < len(listed) else ""
        return _answer(
            ok=True, channels=listed[at : at + 1], response_metadata={"next_cursor": cursor}
        )

    def _offer_upload(self, arguments: dict[str, Any]) -> Answer:
        if not arguments.get("filename") or int(arguments["length"]) < 1:
            return _answer(ok=False, error="invalid_arguments")
        file_id = f"F0{len(self.files) + 1:07}"
        return _answer(ok=True, upload_url=f"{self.url}/upload/{file_id}", file_id=file_id)

    def _complete_upload(self, arguments: dict[str, Any]) -> Answer:
        if any(each["id"] not in self.files for each in arguments["files"]):
            return _answer(ok=False, error="file_not_found")
        self.ready |= {each["id"] for each in arguments["files"]}
        if "channel_id" in arguments:
            self.shared.append(arguments)
        return _answer(ok=True, files=arguments["files"])


def problem_of(payload: dict[str, Any], ready: Any) -> str:
    """What Slack finds wrong with blocks, or nothing."""
    blocks = payload["blocks"]
    if len(blocks) > 50 or len(payload["text"]) > 40_000:
        return "no more than 50 items allowed"
    for at, block in enumerate(blocks):
        for text, most in _texts(block):
            if not 1 <= len(text["text"]) <= most:
                return f"must be between 1 and {most} characters [json-pointer:/blocks/{at}]"
        if len(block.get("fields", ())) > 10 or len(block.get("elements", ())) > 25:
            return f"no more than 10 items allowed [json-pointer:/blocks/{at}/fields]"
        if block["type"] == "image":
            if not block["alt_text"] or len(block["alt_text"]) > 2000:
                return f"missing required field: alt_text [json-pointer:/blocks/{at}]"
            if "slack_file" in block and block["slack_file"]["id"] not in ready:
                return f"invalid slack file [json-pointer:/blocks/{at}/slack_file]"
        for element in block.get("elements", ()):
            if element["type"] == "button" and (
                len(element["value"]) > 2000 or len(element["action_id"]) > 255
            ):
                return f"must be less than 2001 characters [json-pointer:/blocks/{at}]"
    return ""


def _texts(block: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    if "text" in block:
        yield block["text"], 150 if block["type"] == "header" else 3000
    for each in block.get("fields", ()):
        yield each, 2000
    for each in block.get("elements", ()):
        yield (each["text"], 75) if each["type"] == "button" else (each, 3000)


def controls_of(text: str) -> list[str]:
    """What stands between angle brackets: mentions and links. An entity is none."""
    rest = _CONTROL.sub("", text)
    assert "<" not in rest
    assert ">" not in rest
    for entity in re.findall(r"&[^;\s]{0,6};?", text):
        assert entity in {"&amp;", "&lt;", "&gt;"}, entity
    return _CONTROL.findall(text)


def shown(payload: dict[str, Any]) -> str:
    """The texts of the blocks as people see them, where nothing is formatted."""
    found = [text for block in payload["blocks"] for text, _ in _texts(block)]
    return "\n".join(html.unescape(text["text"]) for text in found)


def _answer(**fields: Any) -> Answer:
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(fields).encode())


@contextmanager
def slack() -> Iterator[Slack]:
    served = Slack()
    with receiving(respond=served.respond) as served.wire:
        yield served
