"""What belongs to the project: its files, and what its modules say about themselves."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEFT_OUT = {".venv", ".git", "data", "build"}


@cache
def project_files() -> tuple[Path, ...]:
    """Return every file that is or would be committed, relative to the project."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        paths = [Path(name) for name in listed.stdout.split("\0") if name]
    else:
        # An archive without history: everything but what is made on the way.
        paths = [
            path.relative_to(ROOT)
            for path in ROOT.rglob("*")
            if path.is_file() and not LEFT_OUT & set(path.relative_to(ROOT).parts)
        ]
    return tuple(sorted({path for path in paths if (ROOT / path).is_file()}))


def python_files(*tops: str) -> list[Path]:
    return [
        path
        for path in project_files()
        if path.suffix == ".py" and (not tops or path.parts[0] in tops)
    ]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(), filename=str(path))


def first_line(path: Path) -> str:
    docstring = ast.get_docstring(parsed(path))
    return docstring.splitlines()[0] if docstring else ""
