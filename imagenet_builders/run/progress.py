"""Progress of a build for people: one bar over all of it, or one line each minute in a log."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self, TextIO

from imagenet_builders.run import console
from imagenet_builders.words import counted, duration_text, size_text

if TYPE_CHECKING:
    from tqdm import tqdm

_LINE_EVERY_SECONDS = 60.0


class Progress:
    """Progress of the writing of a dataset: images, bytes, speed, time left.

    Args:
        name: What is built.
        images: Number of images in all.
        size: Bytes of images in all.
        stream: Where it is shown, stderr by default: as a bar on a terminal, otherwise as one line
            each minute.
    """

    def __init__(self, name: str, *, images: int, size: int, stream: TextIO | None = None):
        self._name = name
        self._images, self._size = images, size
        self._done_images = self._done_size = 0
        self._stream = stream or sys.stderr
        self._started = self._last_line = time.monotonic()
        self._bar: tqdm[Any] | None = None
        self._aside: console.Aside | None = None

    def __enter__(self) -> Self:
        if self._stream.isatty():
            from tqdm import tqdm

            self._bar = bar = tqdm(
                total=self._size,
                desc=self._described(),
                unit="B",
                unit_scale=True,
                dynamic_ncols=True,
                file=self._stream,
                bar_format="{desc}, {n_fmt} of {total_fmt}B {percentage:3.0f}%|{bar}| {rate_fmt}, "
                "{remaining} left",
            )
            bar.set_description_str(self._described())
            self._aside = console.Aside(bar)
            console.LOGGER.addHandler(self._aside)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._aside is not None:
            console.LOGGER.removeHandler(self._aside)

    def update(self, images: int, size: int) -> None:
        """Adds images and bytes that are done."""
        self._done_images += images
        self._done_size += size
        if self._bar is not None:
            self._bar.set_description_str(self._described(), refresh=False)
            self._bar.update(size)
            return
        now = time.monotonic()
        if now - self._last_line >= _LINE_EVERY_SECONDS:
            self._last_line = now
            print(self.line(now - self._started), file=self._stream, flush=True)

    def line(self, seconds: float) -> str:
        """The state after so many seconds, as a line for a log."""
        rate = self._done_size / seconds if seconds > 0 else 0.0
        left = (self._size - self._done_size) / rate if rate else 0.0
        return (
            f"{self._described()}, {size_text(self._done_size)} of {size_text(self._size)}, "
            f"{size_text(round(rate))}/s, {duration_text(left)} left"
        )

    def _described(self) -> str:
        if self._size and not self._images:  # Something else is counted, in bytes alone.
            return self._name
        return f"{self._name}: {self._done_images:,} of {counted(self._images, 'image')}"
