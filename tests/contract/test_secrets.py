"""Passwords, session ids and tokens are in no log, no error and no row as they are."""

import logging

from sqlalchemy import inspect, text

from tests.factories import PASSWORD
from tests.kit.web import strict


def everything_kept(database):
    """Every value of every row of the meta database, as one text."""
    with database.engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        return "\n".join(
            repr([bytes(value).hex() if isinstance(value, memoryview) else value for value in row])
            for table in tables
            for row in connection.execute(text(f'SELECT * FROM "{table}"'))
        )


class TestSecrets:
    def test_are_only_where_they_were_sent(self, product, caplog):
        client, cast = product.client, product.cast
        typed = "a mistyped password nobody has"
        with caplog.at_level(logging.INFO):
            client.post("/login", data={"email": cast.bob.email, "password": typed})
            reply = client.post("/login", data={"email": cast.bob.email, "password": PASSWORD})
            session_id = strict(reply)["data"]["session"]["id"]
            token = product.tokens["acme"]
            replies = [
                client.get("/user/info", headers={"X-Session-Id": session_id}),
                client.get("/metrics", headers={"X-Auth-Token": token}),
                client.get("/metrics", query_string={"key": token}),
                client.get("/metrics", headers={"X-Auth-Token": token + "x"}),
                client.get("/nothing", query_string={"session_id": session_id, "key": token}),
                client.get("/-/metrics"),
            ]
        kept = everything_kept(product.app.extensions["anomify"].database)
        for secret in (PASSWORD, typed, session_id, token, token.split("_")[2]):
            assert secret not in caplog.text
            assert secret not in kept
            assert secret.encode().hex() not in kept
        for reply in replies:
            assert token not in reply.text
            assert PASSWORD not in reply.text

    def test_are_not_in_what_the_database_complains_about(self, product, caplog):
        database = product.app.extensions["anomify"].database
        with database.engine.connect() as connection:
            connection.execute(text("DROP TABLE sessions"))
            connection.commit()
        session_id = product.cast.sessions["bob"]
        with caplog.at_level(logging.INFO):
            reply = product.client.get("/user/info", headers={"X-Session-Id": session_id})
        assert reply.status_code in {500, 503}
        assert session_id not in reply.text + caplog.text
        assert "SELECT" not in reply.text
