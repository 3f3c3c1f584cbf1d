"""Regular expressions of people: RE2, whose search takes time in proportion to the text only."""

from typing import Any, Final

import re2

from anomify.errors import Invalid

# A pattern that would need more is refused when it is compiled (spec/security.md S7).
REGEX_BYTES_MAX: Final = 1024 * 1024


def compile_regex(pattern: str) -> Any:
    """Return the compiled pattern, with `search` and `fullmatch`. Raises Invalid for a bad one."""
    options = re2.Options()
    options.max_mem = REGEX_BYTES_MAX
    # Otherwise it writes people's patterns to the standard error of this process.
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as problem:
        reason = problem.args[0] if problem.args else problem
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise Invalid(f"This is no RE2 expression: {text}.") from None
