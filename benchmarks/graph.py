"""Measures the CPU time of a picture of 10,000 points, beside that of a plain matplotlib Figure.

Run `python benchmarks/graph.py`. Both sides draw the same line, expected range and 25 markers at
800x300 and encode a PNG, alternately in this process; every picture has other data and another
title. It prints the medians of the CPU time, their ratio (goal: at most 0.6), pictures per second
of one core, and bytes.
"""

import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from anomify.rendering.chart import Chart, Mark
from anomify.rendering.draw import draw_chart
from anomify.rendering.encode import encode_png

POINTS = 10_000
MARKERS = 25
ROUNDS = 40
GOAL = 0.6
STEP = 60_000


def chart(number: int) -> Chart:
    """Return a week of a daily season with noise, a range around it and 25 anomalies."""
    random = np.random.default_rng(number)
    times = 1_767_225_600_000 + np.arange(POINTS, dtype=np.int64) * STEP
    expected = 420 + 150 * np.sin(times / 86_400_000 * 2 * np.pi)
    values = expected + random.normal(0, 14, POINTS)
    places = np.sort(random.choice(POINTS, MARKERS, replace=False))
    values[places] += random.choice([-1, 1], MARKERS) * random.uniform(60, 160, MARKERS)
    scores = random.uniform(0.3, 1, MARKERS)
    return Chart(
        title=f'node_network_receive_bytes_total{{instance="web-{number}"}}',
        times=times,
        values=values,
        lowers=(expected - 45).astype(np.float32),
        uppers=(expected + 45).astype(np.float32),
        from_time=int(times[0]),
        until_time=int(times[-1]),
        anomalies=tuple(
            Mark(int(times[place]), int(times[place]), float(score))
            for place, score in zip(places, scores, strict=True)
        ),
        step=STEP,
    )


def ours(picture: Chart) -> bytes:
    """Return the PNG as the product draws it."""
    return encode_png(draw_chart(picture))


def plain(picture: Chart) -> bytes:
    """Return the PNG as matplotlib's example for web servers draws it: a Figure, no pyplot."""
    figure = Figure(figsize=(8, 3), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    moments = picture.times.astype("datetime64[ms]")
    axes.fill_between(
        moments, picture.lowers, picture.uppers, color="#6e7781", alpha=0.15, label="Expected range"
    )
    axes.plot(moments, picture.values, color="#1f6feb", linewidth=1.1, label="Value")
    found = np.searchsorted(picture.times, [mark.first_time for mark in picture.anomalies])
    axes.vlines(
        moments[found], 0, [mark.score * 700 for mark in picture.anomalies], color="#d9480f"
    )
    axes.plot(
        moments[found],
        [mark.score * 700 for mark in picture.anomalies],
        "^",
        color="#d9480f",
        label=f"Anomaly ({len(found)})",
    )
    axes.set_xlim(
        datetime.fromtimestamp(picture.from_time / 1000, UTC),
        datetime.fromtimestamp(picture.until_time / 1000, UTC),
    )
    axes.set_title(picture.title, parse_math=False)
    axes.grid(visible=True)
    axes.legend(loc="upper left")
    body = io.BytesIO()
    figure.savefig(body, format="png")
    return body.getvalue()


def measure(draw: Callable[[Chart], bytes], picture: Chart) -> tuple[float, int]:
    """Return the CPU milliseconds of one picture, all threads of the process, and its bytes."""
    begin = time.process_time()
    size = len(draw(picture))
    return (time.process_time() - begin) * 1000, size


def main() -> None:
    """Measure both, print the table and exit with 1 where the goal is missed."""
    sides = {"anomify": ours, "matplotlib Figure + Agg": plain}
    for draw in sides.values():
        draw(chart(0))
    costs: dict[str, list[tuple[float, int]]] = {name: [] for name in sides}
    for number in range(1, ROUNDS + 1):
        picture = chart(number)
        for name, draw in sides.items():
            costs[name].append(measure(draw, picture))
    figures = {}
    for name, rounds in costs.items():
        spent = [cost for cost, _ in rounds]
        figures[name] = {
            "cpu_ms_median": round(statistics.median(spent), 2),
            "cpu_ms_p95": round(sorted(spent)[int(len(spent) * 0.95)], 2),
            "pictures_per_cpu_second": round(1000 / statistics.median(spent), 1),
            "bytes_median": int(statistics.median(size for _, size in rounds)),
        }
    ours_ms, plain_ms = (figure["cpu_ms_median"] for figure in figures.values())
    ratio = round(ours_ms / plain_ms, 3)
    if "--json" in sys.argv:
        print(json.dumps({"sides": figures, "ratio": ratio, "goal": GOAL}))
    else:
        for name, figure in figures.items():
            print(
                f"{name:24} {figure['cpu_ms_median']:7.2f} ms median {figure['cpu_ms_p95']:7.2f}"
                f" ms p95 {figure['pictures_per_cpu_second']:7.1f} pictures/s"
                f" {figure['bytes_median']:7d} bytes"
            )
        print(f"ratio of CPU time {ratio} (goal: at most {GOAL})")
    sys.exit(0 if ratio <= GOAL else 1)


if __name__ == "__main__":
    main()
