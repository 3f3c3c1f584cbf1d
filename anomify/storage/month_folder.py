"""Finds the files of months in a folder; other processes may add, replace and remove them."""

import os
from pathlib import Path

from anomify.storage.months import (
    OLD_MONTHS,
    file_name,
    generation_of_file,
    label_of,
    month_of_file,
)


class MonthFolder:
    """The paths of the files in one folder, which need not exist."""

    def __init__(self, folder: Path) -> None:
        """Use this folder."""
        self.folder = folder
        self._paths: dict[int, Path] = {}

    def path(self, month: int) -> Path:
        """Return the path of a month's file, whether or not the file exists."""
        path = self._paths.get(month)
        if path is None:
            generations = self.generations(month)
            path = generations[-1] if generations else self.folder / file_name(month, 0)
            self._paths[month] = path
        return path

    def next_path(self, month: int) -> Path:
        """Return the path of the file that replaces the month's present one."""
        return self.folder / file_name(month, generation_of_file(self.path(month).name) + 1)

    def use(self, month: int, path: Path) -> None:
        """Let this be the path of the month from now on."""
        self._paths[month] = path

    def generations(self, month: int) -> list[Path]:
        """Return the files of a month, oldest first: all but the last one are damaged."""
        found = self.folder.glob(f"points-{label_of(month)}*.db")
        named = [path for path in found if month_of_file(path.name) == month]
        return sorted(named, key=lambda path: generation_of_file(path.name))

    def stored_months(self) -> list[int]:
        """Return the months that have their own file, oldest first."""
        try:
            names = os.listdir(self.folder)  # noqa: PTH208 - at each read: names, not objects
        except FileNotFoundError:
            return []
        months = set()
        for name in names:
            month = month_of_file(name)
            if month is None:
                continue
            months.add(month)
            if (generation := generation_of_file(name)) and generation > generation_of_file(
                self.path(month).name
            ):
                # Another process has replaced the month's file.
                self._paths[month] = self.folder / name
        months.discard(OLD_MONTHS)
        return sorted(months)
