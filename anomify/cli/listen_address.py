"""The address at which the web server of an installation was last started, kept in its data.

Commands that make links run apart from the web server, whose host and port may have been flags.
"""

import json
import os
from pathlib import Path
from typing import Final

from anomify.cli.settings import read_settings
from anomify.config import Settings

ADDRESS_FILE: Final = "address.json"
_KEPT: Final = ("host", "port")


def keep_listen_address(settings: Settings) -> None:
    """Write the host and the port on which the web server is about to listen."""
    path = settings.data_dir / ADDRESS_FILE
    draft = path.with_name(f"{ADDRESS_FILE}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps({name: getattr(settings, name) for name in _KEPT}) + "\n")
    draft.replace(path)


def read_settings_beside_server(data_dir: Path | None) -> Settings:
    """Return the settings, with the kept host and port where these are not set.

    For the commands that run beside the web server. Raises ConfigError.
    """
    settings = read_settings(data_dir=data_dir)
    try:
        kept = json.loads((settings.data_dir / ADDRESS_FILE).read_text())
        found = {name: kept[name] for name in _KEPT if name not in settings.model_fields_set}
    except (OSError, ValueError, KeyError, TypeError):
        # The web server has not been started yet, or the file was damaged: it is written again at
        # the next start.
        return settings
    return settings.model_copy(update=found)
