import subprocess
import sys

import pytest

LIGHT = (
    *("band", "counter", "evidence", "explanation", "forecast", "generator", "state", "threshold"),
    "tuning",
)


class TestImports:
    @pytest.mark.parametrize("name", LIGHT)
    def test_need_no_compiler(self, name):
        program = (
            f"import sys, anomify.detection.{name}\n"
            "print(*[name for name in ('numba', 'llvmlite') if name in sys.modules])"
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        assert ended.stdout.strip() == b""
