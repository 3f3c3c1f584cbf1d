"""Learns the weights of the novelty head; compares those of the alarm head with searched ones.

    python benchmarks/detection/train.py --data DIR [--folds] [--alarm] [--write]

DIR is as for `calibrate.py`. Used are the development halves of MSCLOUD and NAB (both MIT) and
metrics of the project's generator, of another seed than those that `calibrate.py` measures the
thresholds on; series of other licences are never opened.

The novelty head is learnt from NAB (`train_novelty.py`). `--write` writes what was learnt to
`anomify/detection/weights.py`; the same data and versions give the same bytes. The weights of the
alarm head and of the display score are kept as they are there: they were chosen on MSCLOUD and
generated metrics and checked on WSD. `--alarm` prints their figures beside those of the weights
that a search finds (`train_alarm.py`), and writes neither. `--folds` also measures weights on
series that they were not learnt from: four times, those of three quarters of the series are judged
on the last quarter.
"""

import argparse
from pathlib import Path

import numba
import numpy as np
import train_alarm
import train_novelty
from calibrate import CLEAN_SETS
from measured import GENERATED, SEED, digest_of, measured_generated, measured_set
from train_alarm import Weights

from anomify.detection import weights

HEADER = '''"""The weights of the scoring heads, written by `benchmarks/detection/train.py`.

Those of the alarm and of the display score were chosen on the development half of MSCLOUD (MIT) and
metrics of the generator with the seed {seed}, and checked on WSD. Those of the novelty head and its
threshold were learnt from the development half of NAB (MIT). The files of both halves have the
SHA-256 {digest}.
numpy {numpy}, numba {numba}.
"""'''


def main() -> None:
    """Print the weights that were found and their quality."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.json")
    parser.add_argument("--folds", action="store_true", help="judge on series not learnt from")
    parser.add_argument("--alarm", action="store_true", help="search the alarm's weights as well")
    parser.add_argument("--write", action="store_true", help="replace anomify/detection/weights.py")
    arguments = parser.parse_args()
    digest = digest_of(arguments.data)
    clean = {name: measured_set(arguments.data, name) for name in CLEAN_SETS}
    train_novelty.check_novelty(clean["NAB"][0])
    train_alarm.check_alarm(clean["MSCLOUD"][0])
    found = train_novelty.learn_novelty(clean["NAB"])
    text = module_text(digest, train_alarm.shipped(), *found)
    print(text)
    train_novelty.report_novelty("NAB dev, shipped", [(clean["NAB"], train_novelty.shipped())])
    train_novelty.report_novelty("NAB dev, learnt", [(clean["NAB"], found)])
    if arguments.folds:
        train_novelty.report_folds(clean["NAB"])
    if arguments.alarm:
        generated = train_alarm.Generated([measured_generated(*shape) for shape in GENERATED], {})
        for group in generated.groups:
            train_alarm.check_alarm(group[0])
        searched = train_alarm.learn_all(clean["MSCLOUD"], generated)
        print(", ".join(f"{name} {value}" for name, value in searched.items()))
        for title, tried in (("shipped", train_alarm.shipped()), ("searched", searched)):
            folds = [(clean["MSCLOUD"], tried)]
            train_alarm.report_alarm(f"MSCLOUD, {title}", clean["MSCLOUD"], folds, generated)
        if arguments.folds:
            train_alarm.report_folds(clean["MSCLOUD"], generated)
    if arguments.write:
        Path(weights.__file__).write_text(text)


def module_text(digest: str, chosen: Weights, new: Weights, new_threshold: float) -> str:
    """Return the module that holds the weights."""
    alarm = [name for name in chosen if name not in train_alarm.SHOWN_GRID]
    return "\n".join(
        (
            HEADER.format(seed=SEED, digest=digest, numpy=np.__version__, numba=numba.__version__),
            "",
            "from typing import Final",
            "",
            "# The alarm.",
            *(f"{name}: Final = {chosen[name]}" for name in alarm),
            "",
            "# The display score, beside the decaying alarm.",
            *(f"{name}: Final = {chosen[name]}" for name in train_alarm.SHOWN_GRID),
            "",
            "# The novelty head and its threshold.",
            *(f"NEW_{name}: Final = {value}" for name, value in new.items()),
            f"NEW_THRESHOLD: Final = {new_threshold}",
            "",
        )
    )


if __name__ == "__main__":
    main()
