"""`README.md`: a dataset's card in Hugging Face's form, Markdown with YAML at its head.

Source: https://github.com/huggingface/hub-docs, `datasetcard.md` and `datasets-cards.md`;
`repocard_data.py` of huggingface_hub 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imagenet_builders.catalog.model import Entry
from imagenet_builders.formats.huggingface.documents import scalar, size_category
from imagenet_builders.words import counted, size_text

CARD = "README.md"


def card(entry: Entry, notice: str, contact: str) -> bytes:
    """The card of a dataset.

    Args:
        entry: The dataset.
        notice: The site's own words, or empty.
        contact: Whom to ask, or empty.
    """
    lines = ["---", *_head(entry), "---", "", f"# {_heading(entry.full_name)}", ""]
    lines += _body(entry, notice, contact)
    return ("\n".join(lines).rstrip() + "\n").encode(errors="backslashreplace")


def _head(entry: Entry) -> Iterator[str]:
    examples = sum(split.examples for split in entry.splits)
    yield f"pretty_name: {scalar(entry.full_name)}"
    if entry.terms is not None:
        name = "imagenet-terms-of-access" if entry.terms.are_of_imagenet else "terms-of-access"
        yield from ("license: other", f"license_name: {name}")
        if entry.terms.url:
            yield f"license_link: {scalar(entry.terms.url)}"
    if entry.classes:
        yield from ("task_categories:", "- image-classification")
        if entry.has_boxes:
            yield "- object-detection"
    yield from ("size_categories:", f"- {size_category(examples)}")
    if not entry.splits:
        return
    yield from ("dataset_info:",)
    if entry.config is not None:
        yield f"  config_name: {scalar(entry.config)}"
    if entry.classes:
        yield from ("  features:", "  - name: image", "    dtype: image")
        yield from ("  - name: label", "    dtype:", "      class_label:", "        names:")
        for row in entry.classes:
            yield f"          '{row.label}': {scalar(row.wnid)}"
    yield "  splits:"
    for split in entry.splits:
        yield f"  - name: {scalar(split.name)}"
        yield f"    num_bytes: {split.size}"
        yield f"    num_examples: {split.examples}"
    size = sum(split.size for split in entry.splits)
    yield from (f"  download_size: {entry.size}", f"  dataset_size: {size}")


def _body(entry: Entry, notice: str, contact: str) -> Iterator[str]:
    if notice:
        yield from (notice, "")
    if entry.terms is not None:
        yield from ("## Terms of access", "", entry.terms.text, "")
    if entry.description:
        yield from ("## What it is", "", entry.description, "")
    if entry.homepage:
        yield from (f"Homepage: <{entry.homepage}>", "")
    yield from ("## What is here", "")
    yield f"{size_text(entry.size)} as {entry.form}, in `{entry.path}`."
    for warning in entry.warnings:
        yield from ("", f"**{warning}**")
    yield from ("", "| split | examples | official | bytes |", "|---|--:|--:|--:|")
    for split in entry.splits:
        official = "" if split.official is None else f"{split.official:,}"
        yield f"| {split.name} | {split.examples:,} | {official} | {split.size:,} |"
    if entry.classes:
        yield from ("", f"{counted(len(entry.classes), 'class', 'classes')}.")
    for difference in entry.differences:
        yield from ("", f"* {difference}")
    if entry.features:
        yield from ("", "## Features", "", *_block("python", entry.features))
    yield from ("", "## How to read it")
    for snippet in entry.snippets:
        yield from ("", f"### {snippet.tab}: {snippet.title}", "")
        if snippet.needs:
            yield from (snippet.needs, "")
        yield from _block(snippet.language, snippet.text)
    if entry.built_at or entry.built_from:
        yield from ("", "## Where it comes from", "")
        if entry.built_at:
            made = ", ".join(f"{name} {version}" for name, version in entry.built_with.items())
            yield f"Built at {entry.built_at}{f' with {made}' if made else ''}."
        yield ""
        for source in entry.built_from:
            known_as = f", {source.known_as}" if source.known_as else ""
            yield f"* `{source.path}`, {source.size:,} bytes{known_as}"
    if entry.verified is not None:
        word = "right" if entry.verified.ok else counted(entry.verified.problem_count, "problem")
        yield from ("", f"Verified at {entry.verified.at}: {word}.")
    if entry.citation:
        yield from ("", "## Citation", "", *_block("bibtex", entry.citation))
    if contact:
        yield from ("", "## Contact", "", contact)


def _block(language: str, text: str) -> Iterator[str]:
    """A block of code, whose fence is longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from (f"{fence}{language}", text, fence)


def _heading(text: str) -> str:
    return text.replace("\n", " ")
