"""`anomify org`, `user` and `token`, on both databases."""

import json
import zipfile
from urllib.parse import parse_qsl, urlsplit

import pyotp
import pytest
from click.testing import CliRunner

from anomify.cli.main import anomify
from anomify.clock import now_timestamp
from anomify.org.token import find_token
from anomify.user.authenticator import begin_enrolment, finish_enrolment
from anomify.user.invitation import find_invitation
from anomify.user.password import verify_password
from anomify.user.queries import find_user_by_email
from anomify.user.recovery import find_reset_user
from tests.factories import PASSWORD


@pytest.fixture
def run(migrated_url, tmp_path, monkeypatch):
    if not migrated_url.startswith("sqlite"):
        monkeypatch.setenv("ANOMIFY_DATABASE_URL", migrated_url)

    def invoke(*arguments, stdin=None):
        arguments = [*arguments, "--data", str(tmp_path)]
        return CliRunner().invoke(anomify, arguments, input=stdin)

    return invoke


def ok(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(result):
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.stderr


class TestOrg:
    def test_is_created_and_listed(self, run):
        made = ok(run("org", "create", "Acme", "--json"))
        assert made["name"] == "Acme"
        assert ok(run("org", "list", "--json")) == [made]
        assert "Globex" in run("org", "create", "Globex").stdout
        assert run("org", "list").stdout.splitlines() == ["1\tAcme", "2\tGlobex"]

    def test_needs_a_visible_name(self, run):
        assert "name" in refused(run("org", "create", " "))

    def test_is_exported_into_an_archive_that_only_its_owner_can_read(self, run, tmp_path):
        run("org", "create", "Acme")
        out = tmp_path / "acme.zip"
        outcome = ok(run("org", "export", "Acme", "--out", str(out), "--json"))
        assert outcome["bytes"] == out.stat().st_size
        assert out.stat().st_mode & 0o077 == 0
        with zipfile.ZipFile(out) as archive:
            assert json.loads(archive.read("orgs.jsonl"))["name"] == "Acme"
            assert b"org.export" in archive.read("audit_entries.jsonl")
        assert "no org Globex" in refused(run("org", "export", "Globex"))

    def test_is_deleted_when_its_name_is_repeated(self, run):
        run("org", "create", "Acme")
        assert "Type the name" in refused(run("org", "delete", "Acme", "--confirm", "acme"))
        assert ok(run("org", "delete", "Acme", "--confirm", "Acme", "--json"))["name"] == "Acme"
        assert ok(run("org", "list", "--json")) == []


class TestUser:
    def make(self, run, *more, email="Alice@acme.example", stdin=PASSWORD + "\n"):
        arguments = ["--org", "Acme", "--email", email, "--name", "Alice", "--password-stdin"]
        return run("user", "create", *arguments, *more, stdin=stdin)

    def test_can_sign_in_with_the_password_from_standard_input(self, run, database):
        run("org", "create", "Acme")
        made = ok(self.make(run, "--json"))
        assert (made["email"], made["role"]) == ("alice@acme.example", "owner")
        with database.unit_of_work(write=False):
            found = find_user_by_email("alice@acme.example")
        assert found.id == made["id"]
        assert verify_password(found.password_hash, PASSWORD)

    def test_has_the_given_role_if_there_is_an_owner(self, run):
        run("org", "create", "Acme")
        self.make(run)
        bob = ok(self.make(run, "--role", "editor", "--json", email="bob@acme.example"))
        eve = ok(self.make(run, "--json", email="eve@acme.example"))
        assert (bob["role"], eve["role"]) == ("editor", "viewer")
        listed = ok(run("user", "list", "--org", "Acme", "--json"))
        assert {row["email"] for row in listed} == {
            "alice@acme.example",
            "bob@acme.example",
            "eve@acme.example",
        }
        assert len(run("user", "list", "--org", "1").stdout.splitlines()) == 3

    def test_is_invited_with_a_link_that_is_printed(self, run, database):
        run("org", "create", "Acme")
        requested = ("--org", "Acme", "--email", "Ann@acme.example", "--role", "admin")
        printed = run("user", "invite", *requested).stdout.strip()
        assert printed.startswith("http://127.0.0.1:8080/ui/invitation?")
        token = dict(parse_qsl(urlsplit(printed).query))["token"]
        with database.unit_of_work(write=False):
            invitation, org = find_invitation(token)
            assert (invitation.email, invitation.role) == ("ann@acme.example", "admin")
            assert org.name == "Acme"
        assert "invited already" in refused(run("user", "invite", *requested))

    def test_can_set_a_new_password_by_a_printed_link(self, run, database):
        run("org", "create", "Acme")
        self.make(run)
        printed = run("user", "reset-link", "--email", "ALICE@acme.example").stdout.strip()
        query = dict(parse_qsl(urlsplit(printed).query))
        assert printed.startswith("http://127.0.0.1:8080/ui/reset?")
        with database.unit_of_work(write=False):
            assert find_reset_user(query["email"], query["reset_token"]).name == "Alice"
        assert "anomify user list" in refused(run("user", "reset-link", "--email", "a@b.example"))

    def test_can_sign_in_after_two_factor_is_turned_off(self, run, database):
        run("org", "create", "Acme")
        self.make(run)
        assert (
            "no authenticator app"
            in run("user", "reset-2fa", "--email", "alice@acme.example").stdout
        )
        with database.unit_of_work():
            alice = find_user_by_email("alice@acme.example")
            begun = begin_enrolment(alice)
            finish_enrolment(alice, pyotp.TOTP(begun.seed).at(now_timestamp()))
        outcome = run("user", "reset-2fa", "--email", "alice@acme.example").stdout
        assert "without an authenticator app" in outcome
        with database.unit_of_work(write=False):
            assert not find_user_by_email("alice@acme.example").has_totp

    def test_is_refused_in_one_sentence(self, run):
        assert "anomify org list" in refused(self.make(run))
        run("org", "create", "Acme")
        assert "12 to 256" in refused(self.make(run, stdin="short\n"))
        self.make(run)
        assert "has an account already" in refused(self.make(run))
        nobody_to_ask = run(
            "user", "create", "--org", "Acme", "--email", "b@b.example", "--name", "B"
        )
        assert "--password-stdin" in refused(nobody_to_ask)

    def test_of_one_of_two_orgs_with_a_name_needs_the_id(self, run):
        run("org", "create", "Acme")
        run("org", "create", "Acme")
        assert "give one of their ids instead: 1, 2" in refused(self.make(run))
        arguments = ("--org", "2", "--email", "c@c.example", "--name", "C", "--password-stdin")
        made = ok(run("user", "create", *arguments, "--json", stdin=PASSWORD))
        assert made["org_id"] == 2


class TestToken:
    def make(self, run, *more):
        return run("token", "create", "--org", "Acme", "--name", "prometheus", *more)

    def test_is_shown_once_and_works(self, run, database):
        run("org", "create", "Acme")
        made = ok(self.make(run, "--scopes", "ingest,read", "--expires-days", "7", "--json"))
        assert made["scopes"] == "ingest,read"
        assert made["expires_at"]
        with database.unit_of_work(write=False):
            assert find_token(made["token"]).id == made["id"]
        listed = run("token", "list", "--org", "Acme")
        assert made["public_id"] in listed.stdout
        assert made["token"] not in listed.stdout

    def test_is_the_only_thing_on_standard_output(self, run, database):
        run("org", "create", "Acme")
        made = self.make(run, "--scopes", "read")
        with database.unit_of_work(write=False):
            assert find_token(made.stdout.strip())
        assert "cannot be shown again" in made.stderr

    def test_is_refused_once_revoked(self, run, database):
        run("org", "create", "Acme")
        made = ok(self.make(run, "--scopes", "read", "--json"))
        fresh = ok(run("token", "rotate", str(made["id"]), "--org", "Acme", "--json"))
        with database.unit_of_work(write=False):
            assert find_token(made["token"]).replaced_by_id == fresh["id"]
            assert find_token(fresh["token"]).id == fresh["id"]
        assert "latest one" in refused(run("token", "rotate", str(made["id"]), "--org", "Acme"))
        revoked = ok(run("token", "revoke", str(made["id"]), "--org", "Acme", "--json"))
        assert revoked["revoked_at"]
        with database.unit_of_work(write=False):
            assert find_token(made["token"]) is None
        assert "revoked" in run("token", "list", "--org", "Acme").stdout
        assert "no such token" in refused(run("token", "revoke", "99", "--org", "Acme"))

    def test_needs_scopes_that_exist(self, run):
        run("org", "create", "Acme")
        for scopes in ("", "billing", "read,root"):
            assert "ingest, events, read, write, admin" in refused(
                self.make(run, "--scopes", scopes)
            )


class TestWithoutDatabase:
    @pytest.mark.parametrize(
        "command", [["org", "list"], ["org", "create", "A"], ["token", "list", "--org", "A"]]
    )
    def test_explains_what_to_do_and_creates_nothing(self, tmp_path, command):
        empty = tmp_path / "empty"
        result = CliRunner().invoke(anomify, [*command, "--data", str(empty)])
        assert "anomify db upgrade" in refused(result)
        assert not empty.exists()
