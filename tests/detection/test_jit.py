from pathlib import Path

from anomify.detection import jit


class TestSourcesDigest:
    def test_knows_every_file_that_holds_a_kernel(self):
        here = Path(jit.__file__).parent
        compiled = {path.name for path in here.glob("*.py") if "@compiled" in path.read_text()}
        assert compiled <= set(jit.KERNEL_SOURCES)

    def test_is_one_number_for_one_state_of_the_sources(self):
        assert jit.sources_digest() == jit.sources_digest() > 0
