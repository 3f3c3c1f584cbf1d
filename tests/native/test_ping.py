"""/ping answers without any other part of the product."""

import pytest
from sqlalchemy import event

from anomify.native import ping
from tests.kit.web import make_app, strict


@pytest.fixture
def client(database, tmp_path):
    app = make_app(database, tmp_path, [ping.blueprint])
    yield app.test_client()
    app.extensions["anomify"].points.close()


class TestPing:
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_answers_without_the_database_and_without_a_session(self, client, database, method):
        requested = []
        event.listen(database.engine, "begin", lambda _connection: requested.append(1))
        reply = getattr(client, method)("/ping", headers={"X-Session-Id": "f" * 32})
        data = strict(reply)
        assert data["data"] == {"pong": "pong"}
        assert data["status"]["session_id"] is None
        assert "Set-Cookie" not in reply.headers
        assert requested == []
