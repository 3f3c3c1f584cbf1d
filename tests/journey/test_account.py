"""The real product mails what people need to get in: sign-up, a code, a new password."""

import re

import pytest

from tests.kit.server import Server, running
from tests.kit.smtpsink import SmtpSink, smtp_sink

EMAIL = "erin@initech.example"
PASSWORD, ANOTHER = "quiet harbour at five", "seven lamps by the river"
SIGN_UP = {"email": EMAIL, "user_name": "Erin", "org_name": "Initech", "timezone": "Europe/Berlin"}


class Visitor:
    """A program that is new to the server each time it begins."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._session_id = ""

    def post(self, path: str, status: int = 200, **fields: str) -> dict:
        headers = {"X-Session-Id": self._session_id} if self._session_id else {}
        reply = self._server.pool.request(
            "POST", self._server.url + path, fields=fields, encode_multipart=False, headers=headers
        )
        assert reply.status == status, reply.data
        result = reply.json()
        self._session_id = result["status"]["session_id"]
        return result["data"]


def next_mail(server: Server, sink: SmtpSink) -> str:
    """What the next mail says; mails are taken in the order they come."""
    server.wait_for(lambda: sink.mails)
    sink.recipients.clear()
    return sink.mails.pop(0).get_content()


@pytest.mark.slow
class TestMail:
    def test_sign_up_sign_in_and_password_reset_work_by_mail(self, tmp_path, engine_url):
        url = None if engine_url.startswith("sqlite") else engine_url
        with smtp_sink() as sink:
            settings = {"smtp_host": "127.0.0.1", "smtp_port": sink.port, "smtp_starttls": "false"}
            with running(Server(tmp_path / "data", url, {**settings, "signup": "true"})) as server:
                Visitor(server).post("/signup/selfserve", **SIGN_UP)
                link = re.search(r"verification_token=([0-9a-f]{32})", next_mail(server, sink))
                chosen = {"password_1": PASSWORD, "password_2": PASSWORD}
                signed_up = Visitor(server).post(
                    "/signup/verify", email=EMAIL, verification_token=link[1], **chosen
                )
                assert signed_up["session"]["user"]["org"]["name"] == "Initech"

                visitor = Visitor(server)
                requested = visitor.post("/login", email=EMAIL, password=PASSWORD)
                assert requested["needs_client_validation"] is True
                visitor.post("/user/info", status=401)
                code = re.search(r"\b\d{6}\b", next_mail(server, sink))[0]
                visitor.post("/login/validateclient", code=code)
                assert visitor.post("/user/info")["user"]["email"] == EMAIL

                Visitor(server).post("/login/forgotpassword", email=EMAIL)
                link = re.search(r"reset_token=([0-9a-f]{32})", next_mail(server, sink))
                chosen = {"password_1": ANOTHER, "password_2": ANOTHER}
                Visitor(server).post(
                    "/login/resetpassword", email=EMAIL, reset_token=link[1], **chosen
                )
                visitor.post("/user/info", status=401)
                log = server.log()
        for secret in (PASSWORD, ANOTHER, code, link[1]):
            assert secret not in log
