"""The kept address of the web server: commands beside it make links to where it listens."""

import pytest

from anomify.cli.listen_address import (
    ADDRESS_FILE,
    keep_listen_address,
    read_settings_beside_server,
)
from anomify.cli.settings import read_settings


class TestReadSettingsBesideServer:
    def test_has_the_port_of_the_last_start(self, tmp_path):
        assert read_settings_beside_server(tmp_path).base_url == "http://127.0.0.1:8080"
        keep_listen_address(read_settings(data_dir=tmp_path, port=9107))
        assert read_settings_beside_server(tmp_path).base_url == "http://127.0.0.1:9107"
        keep_listen_address(read_settings(data_dir=tmp_path, host="::1"))
        assert read_settings_beside_server(tmp_path).base_url == "http://[::1]:8080"

    def test_prefers_what_is_set(self, tmp_path, monkeypatch):
        keep_listen_address(read_settings(data_dir=tmp_path, host="0.0.0.0", port=9107))
        assert read_settings_beside_server(tmp_path).printed_url == "http://127.0.0.1:9107"
        monkeypatch.setenv("ANOMIFY_PORT", "9200")
        assert read_settings_beside_server(tmp_path).printed_url == "http://127.0.0.1:9200"
        monkeypatch.setenv("ANOMIFY_PUBLIC_URL", "https://anomify.example")
        assert read_settings_beside_server(tmp_path).printed_url == "https://anomify.example"

    @pytest.mark.parametrize("content", ["", "[]", "{}", "rubbish"])
    def test_ignores_a_damaged_file(self, tmp_path, content):
        (tmp_path / ADDRESS_FILE).write_text(content)
        assert read_settings_beside_server(tmp_path).base_url == "http://127.0.0.1:8080"

    def test_is_readable_only_by_the_owner(self, tmp_path):
        keep_listen_address(read_settings(data_dir=tmp_path))
        assert (tmp_path / ADDRESS_FILE).stat().st_mode & 0o077 == 0
        assert [path.name for path in tmp_path.iterdir()] == [ADDRESS_FILE]
