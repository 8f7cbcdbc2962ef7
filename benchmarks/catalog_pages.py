"""Measures a catalog's pages: what making them costs, how large they are, how fast they search.

    python benchmarks/catalog_pages.py

The datasets are made up: 1,000 classes, 19,167 classes, and 200 in one catalog. Times of Python are
of the processor. Times of the browser (Chromium, by Playwright) are by its own clock, and are left
out where it is missing. With matplotlib installed, its SVGs of the same numbers are made as well.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from support import browsing, catalog_sites  # noqa: E402  # The path is set above.

from imagenet_builders.catalog.model import Entry  # noqa: E402  # The path is set above.
from imagenet_builders.catalog.pages import figures  # noqa: E402  # The path is set above.
from imagenet_builders.catalog.pages.render import pages  # noqa: E402  # The path is set above.

_TYPED = ("tench", "great white shark", "n02110341", "254", "e", "dog no such class")

_TYPING = """async ([text]) => {
  const field = document.getElementById("class-search");
  const times = [];
  for (let end = 1; end <= text.length; end += 1) {
    field.value = text.slice(0, end);
    const begun = performance.now();
    field.dispatchEvent(new Event("input"));
    const handled = performance.now();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push([handled - begun, performance.now() - begun]);
  }
  return times;
}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args(argv)
    small = catalog_sites.entry()
    large = catalog_sites.entry("imagenet21k_winter21", slug="large")
    many = [catalog_sites.entry(slug=f"{number}") for number in range(200)]
    found: dict[str, Any] = {"import s": _import_time("imagenet_builders.catalog.pages.render")}
    for name, entries in (("1,000 classes", [small]), ("19,167 classes", [large]), ("200", many)):
        found[name] = _made(entries)
    found["plots"] = _plots(large)
    with tempfile.TemporaryDirectory() as directory:
        catalog_sites.write(catalog_sites.site(large), Path(directory))
        found["search ms"] = _search(Path(directory) / "large" / "index.html")
    print(json.dumps(found, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))
    return 0


def _cpu(what: Callable[[], Any], rounds: int = 3) -> float:
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        what()
        times.append(time.process_time() - begun)
    return round(statistics.median(times), 4)


def _import_time(module: str) -> float:
    """Seconds of the processor that importing a module takes, in processes of their own."""
    code = f"import time; a = time.process_time(); import {module}; print(time.process_time() - a)"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
        )
        for _ in range(3)
    ]
    return round(statistics.median(float(run.stdout) for run in runs), 3)


def _made(entries: Sequence[Entry]) -> dict[str, float]:
    """CPU seconds for all pages, and the largest page with what it loads, in kB."""
    site = catalog_sites.site(*entries)
    made = dict(pages(site))
    shared = sum(len(made[name]) for name in made if name.startswith("assets/"))
    sizes = [
        sum(len(made[name]) for name in made if name.startswith(f"{entry.slug}/"))
        for entry in entries
    ]
    return {
        "CPU s": _cpu(lambda: list(pages(site))),
        "page kB": round((max(sizes) + shared) / 1000),
        "index kB": round((len(made["index.html"]) + shared) / 1000),
    }


def _plots(entry: Entry) -> dict[str, Any]:
    """CPU seconds and kB of all plots of a dataset, and of matplotlib's of the same numbers."""
    every = [*figures.by_class(entry), *figures.densities(entry), *figures.spread(entry)]
    found: dict[str, Any] = {
        "ours": {
            "CPU s": _cpu(
                lambda: [figures.by_class(entry), figures.densities(entry), figures.spread(entry)]
            ),
            "kB": round(sum(len(each.plot) for each in every) / 1000),
        }
    }
    try:
        found["matplotlib"] = {"import s": _import_time("matplotlib.figure")}
    except subprocess.CalledProcessError:
        return found
    drawn = _by_matplotlib(entry)
    found["matplotlib"] |= {
        "CPU s": _cpu(lambda: _by_matplotlib(entry), rounds=1),
        "kB": round(sum(map(len, drawn)) / 1000),
    }
    return found


def _by_matplotlib(entry: Entry) -> list[bytes]:
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.fonttype"] = "none"  # Text stays text.
    made = []

    @contextmanager
    def axes() -> Iterator[Any]:
        figure = Figure((5, 3))
        yield figure.add_subplot()
        file = io.BytesIO()
        figure.savefig(file, format="svg")
        made.append(file.getvalue())

    for split in ("train", "validation"):
        with axes() as plot:
            counts = sorted((row.counts[split] for row in entry.classes), reverse=True)
            plot.stairs(counts, fill=True)
    for each in entry.statistics:
        with axes() as plot:
            plot.pcolormesh(
                each.density.width_edges, each.density.height_edges, each.density.counts
            )
    for name in ("sizes", "aspects", "boxes", "box_areas"):
        with axes() as plot:
            for each in entry.statistics:
                histogram = getattr(each, name)
                plot.stairs(histogram.counts, histogram.edges, label=each.split)
            plot.legend()
    return made


def _search(page: Path) -> dict[str, Any]:
    """Milliseconds from a keystroke to the end of its handling, and to the end of the frame."""
    import pytest

    try:
        with browsing.chromium() as browser, browsing.opened(browser, page) as found:
            times = [each for text in _TYPED for each in found.page.evaluate(_TYPING, [text])]
    except pytest.skip.Exception as reason:
        return {"left out": str(reason)}
    handled, framed = zip(*times, strict=True)
    return {
        "keystrokes": len(times),
        "handled, median": round(statistics.median(handled), 1),
        "handled, most": round(max(handled), 1),
        "framed, median": round(statistics.median(framed), 1),
        "framed, most": round(max(framed), 1),
    }


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "svg")
    sys.exit(main())
