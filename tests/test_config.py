"""Sources of settings, their order, and the errors for invalid values."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from anomify import config
from anomify.config import Settings
from anomify.errors import ConfigError


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "anomify.toml"
    path.write_text("")
    monkeypatch.setenv("ANOMIFY_CONFIG", str(path))
    return path


class TestLoad:
    def test_the_defaults_are_complete(self):
        settings = config.load()
        assert settings.base_url == "http://127.0.0.1:8080"
        assert settings.meta_url == "sqlite:///data/meta.db"

    def test_flags_win_over_environment_over_file_over_defaults(self, file, monkeypatch):
        file.write_text('port = 1\nhost = "a"\nlog_level = "debug"')
        monkeypatch.setenv("ANOMIFY_PORT", "2")
        monkeypatch.setenv("ANOMIFY_HOST", "b")
        settings = config.load({"port": 3})
        assert (settings.port, settings.host, settings.log_level) == (3, "b", "debug")
        assert settings.smtp_port == 587

    def test_reads_a_secret_from_the_file_that_is_named(self, tmp_path, monkeypatch):
        (tmp_path / "password").write_text("s3cret\n")
        monkeypatch.setenv("ANOMIFY_SMTP_PASSWORD_FILE", str(tmp_path / "password"))
        assert config.load().smtp_password == SecretStr("s3cret")

    def test_refuses_a_secret_whose_file_is_not_there(self, tmp_path, monkeypatch):
        monkeypatch.setenv("ANOMIFY_SMTP_PASSWORD_FILE", str(tmp_path / "nowhere"))
        with pytest.raises(ConfigError, match="ANOMIFY_SMTP_PASSWORD_FILE"):
            config.load()

    @pytest.mark.parametrize("text", ["prot = 1", "[web]\nport = 1"])
    def test_refuses_an_unknown_key(self, file, text):
        file.write_text(text)
        with pytest.raises(ConfigError, match="is not a setting"):
            config.load()

    def test_refuses_an_unknown_variable(self, monkeypatch):
        monkeypatch.setenv("ANOMIFY_PROT", "1")
        with pytest.raises(ConfigError, match="prot is not a setting"):
            config.load()

    def test_refuses_an_invalid_value(self, monkeypatch):
        monkeypatch.setenv("ANOMIFY_PORT", "99999")
        with pytest.raises(ConfigError, match="port"):
            config.load()

    def test_refuses_invalid_toml(self, file):
        file.write_text("port = ")
        with pytest.raises(ConfigError, match="not valid TOML"):
            config.load()

    def test_refuses_a_missing_settings_file_that_was_named(self, file):
        file.unlink()
        with pytest.raises(ConfigError, match="does not exist"):
            config.load()

    def test_reads_networks_from_a_list_or_a_text(self, file, monkeypatch):
        file.write_text('egress_allow = ["10.2.0.0/16"]')
        assert config.load().egress_allow == ("10.2.0.0/16",)
        monkeypatch.setenv("ANOMIFY_EGRESS_ALLOW", "10.0.0.0/8, 192.168.1.0/24")
        assert config.load().egress_allow == ("10.0.0.0/8", "192.168.1.0/24")


class TestEnvironment:
    def test_a_child_reads_the_same_settings(self, monkeypatch, tmp_path):
        parent = Settings(
            data_dir=tmp_path,
            port=1234,
            egress_allow=("10.2.0.0/16",),
            smtp_password=SecretStr("s3cret"),
            insecure_http=True,
        )
        monkeypatch.setattr("os.environ", config.environment_of(parent))
        assert config.load() == parent

    def test_the_child_does_not_read_values_that_the_parent_overrides(self, file, monkeypatch):
        file.write_text("port = 1")
        monkeypatch.setattr("os.environ", config.environment_of(config.load({"port": 2})))
        assert config.load().port == 2


class TestSecretKey:
    def test_is_created_once_in_a_private_file(self, tmp_path):
        settings = Settings(data_dir=tmp_path)
        first = settings.with_secret_key()
        assert first.secret_key == settings.with_secret_key().secret_key
        assert (tmp_path / config.SECRET_KEY_FILE).stat().st_mode & 0o077 == 0
        assert [path.name for path in tmp_path.iterdir()] == [config.SECRET_KEY_FILE]

    def test_the_configured_key_takes_precedence(self, tmp_path):
        settings = Settings(data_dir=tmp_path, secret_key=SecretStr("mine"))
        assert settings.with_secret_key().secret_key == SecretStr("mine")
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_setting_creates_a_key(self, tmp_path, monkeypatch):
        monkeypatch.setenv("ANOMIFY_SECRET_KEY", "")
        settings = config.load({"data_dir": tmp_path}).with_secret_key()
        assert len(settings.secret_key.get_secret_value()) == 2 * config.SECRET_KEY_BYTES

    def test_an_empty_key_file_stops_the_start(self, tmp_path):
        (tmp_path / config.SECRET_KEY_FILE).write_text("\n")
        with pytest.raises(ConfigError, match="is empty"):
            Settings(data_dir=tmp_path).with_secret_key()

    def test_each_purpose_has_its_own_key(self):
        settings = Settings(secret_key=SecretStr("mine"))
        assert settings.key_for("links") != settings.key_for("seals")

    def test_cannot_be_used_before_it_is_loaded(self):
        with pytest.raises(ConfigError):
            Settings().key_for("links")


class TestShown:
    def test_masks_every_secret(self):
        settings = Settings(
            secret_key=SecretStr("k3y"),
            smtp_password=SecretStr("s3cret"),
            database_url="postgresql://anomify:p4ss@db/anomify",
        )
        shown = str(settings.shown())
        assert not any(secret in shown for secret in ("k3y", "s3cret", "p4ss"))
        assert "postgresql://anomify:**********@db/anomify" in shown


SEEN = st.characters(min_codepoint=33, max_codepoint=126)


class TestPublicUrl:
    def test_is_a_url_without_a_path(self):
        for written, kept in (
            ("https://anomify.example", "https://anomify.example"),
            ("https://anomify.example/", "https://anomify.example"),
            (" HTTPS://Anomify.Example:8443 ", "https://anomify.example:8443"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("", "http://127.0.0.1:8080"),
        ):
            assert Settings(public_url=written).base_url == kept

    @given(
        st.text(
            st.characters(codec="ascii", min_codepoint=33, max_codepoint=126),
            min_size=1,
            max_size=20,
        )
    )
    def test_with_a_path_is_refused_with_a_correct_example(self, rest):
        if not rest.strip("/"):
            return
        for mark in "/?#":
            with pytest.raises(ValidationError) as refused:
                Settings(public_url=f"https://anomify.example/{mark}{rest}")
            assert "host" in str(refused.value)

    def test_that_is_no_url_is_refused(self):
        for written in (
            *("anomify.example", "anomify.example:8080", "ftp://anomify.example", "https://"),
            *("https:///x", "https://anomify.example:port", "https://anomify.example:0"),
            *("https://me:pw@anomify.example", "https://ano mify.example", "//anomify.example"),
            *("https://anomify.example:99999", "https://[::1", "https://anomify.example\x00"),
        ):
            with pytest.raises(ValidationError, match="no address"):
                Settings(public_url=written)


class TestAddresses:
    @pytest.mark.parametrize(
        ("host", "base", "local"),
        [
            ("::1", "http://[::1]:8080", "http://[::1]:8080"),
            ("[::1]", "http://[::1]:8080", "http://[::1]:8080"),
            ("::", "http://[::]:8080", "http://[::1]:8080"),
            ("fd00::7", "http://[fd00::7]:8080", "http://[fd00::7]:8080"),
            ("0.0.0.0", "http://0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("localhost", "http://localhost:8080", "http://localhost:8080"),
        ],
    )
    def test_are_urls_with_ipv6_in_brackets(self, host, base, local):
        settings = Settings(host=host)
        assert (settings.base_url, settings.local_url) == (base, local)
        assert urlsplit(settings.base_url).port == 8080
        assert Settings(host=host, public_url="https://a.example/").base_url == "https://a.example"


class TestCookies:
    @pytest.mark.parametrize(
        ("flags", "secure"),
        [
            ({}, False),
            ({"public_url": "http://localhost:9000"}, False),
            ({"public_url": "https://anomify.example"}, True),
            ({"public_url": "http://anomify.example"}, True),
            ({"host": "0.0.0.0"}, True),
            ({"host": "0.0.0.0", "insecure_http": True}, False),
        ],
    )
    def test_are_sent_over_http_only_on_loopback_or_if_set(self, flags, secure):
        assert Settings(**flags).has_secure_cookies is secure


class TestMakeDataDir:
    def test_creates_a_directory_accessible_only_by_its_owner(self, tmp_path):
        settings = Settings(data_dir=tmp_path / "new")
        settings.make_data_dir()
        settings.make_data_dir()
        assert settings.data_dir.stat().st_mode & 0o777 == 0o700
