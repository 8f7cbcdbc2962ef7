"""The page on troubleshooting has what the code says, and nothing else."""

from __future__ import annotations

import re

from support import messages

# Said to developers only.
_OTHERS = {
    "only download_and_prepare calls this",
    "a JPEG of one or three channels needs no repair",
    "the last attempt has no pause",
    "there already is an output named …",
    "there is a dataset … already",
    "there is a kind of source … already",
}


def test_each_message_on_the_page_is_in_the_code() -> None:
    patterns = messages.patterns()
    assert len(patterns) > 500
    gone = [each for each in patterns if not messages.in_the_code(each)]
    assert not gone


def test_each_message_in_the_code_is_on_the_page() -> None:
    """If it is not, mend `docs/steward/troubleshooting.md`: a term is a message, or part of one."""
    patterns = messages.patterns()
    lacking = {
        text: where
        for text, where in messages.messages().items()
        if text not in _OTHERS
        and not any(messages.belong_together(text, each) for each in patterns)
    }
    assert not lacking


def test_each_class_of_errors_is_on_the_page() -> None:
    table = set(re.findall(r"^\| `(\w+Error)` \|", messages.PAGE.read_text(), re.MULTILINE))
    assert table == messages.error_classes()


def test_each_message_has_a_cause_and_a_cure() -> None:
    text = messages.PAGE.read_text()
    for term in re.finditer(r"^`[^`]+`\n(?=.)(?!`|:   )", text, re.MULTILINE):
        raise AssertionError(f"no explanation follows {term[0]}")
