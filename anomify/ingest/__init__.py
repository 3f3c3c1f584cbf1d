"""Ingestion routes: each decodes one protocol and passes the points on to `accept`."""
