"""Which of the things that are staged a build reads: the preferred one, or the kind asked for."""

from __future__ import annotations

from imagenet_builders.errors import OtherDatasetError, SourceError, StagingError
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.words import logger

_LOG = logger(__name__)


def choose(survey: Survey, source: str | None) -> dict[str, Found]:
    """What provides the images of each split; says so where it is not plain, warns of the rest.

    Args:
        survey: What is staged.
        source: The kind asked for (`--source`), or None for the preferred one.

    Returns:
        Split to what provides it; at least one.

    Raises:
        StagingError: Nothing is staged, or nothing of the kind asked for, or only other datasets.
        SourceError: Only what cannot be read as it is.
    """
    if survey.is_other:
        raise not_it(survey)
    chosen = {}
    for split, found in survey.found.items():
        one = preferred(found, source)
        if one is None:
            warn_missing(
                split, f"it is not staged as {source}, only as {', '.join(map(str, found))}"
            )
            continue
        chosen[split] = one
        if len(found) > 1 or not one.layout.startswith("official"):
            say(split, one, found)
    if not chosen:
        raise nothing_staged(survey, source)
    for warning in survey.warnings:
        _LOG.warning(warning)
    for split in survey.missing:
        if not split.endswith(" boxes"):
            warn_missing(split, wanting(survey, split))
    return chosen


def warn_missing(split: str, why: str) -> None:
    """Warns that a split is not staged; the record has the attribute `missing_split`.

    Args:
        split: Its name.
        why: Why it is not built, in words.
    """
    _LOG.warning(f"split {split} will be missing: {why}", extra={"missing_split": split})


def choose_boxes(survey: Survey, split: str, images: Found) -> Found:
    """What provides the boxes of a split, of which something does; says so where it is not plain.

    Args:
        survey: What is staged.
        split: The split.
        images: What provides its images.

    Returns:
        What provides them.

    Raises:
        SourceError: Only what cannot be read as it is.
    """
    found = survey.boxes[split]
    one = preferred(found, None)
    assert one is not None
    if one.paths != images.paths and (len(found) > 1 or not one.layout.startswith("official")):
        say(f"{split} boxes", one, found)
    return one


def say(what: str, chosen: Found, found: tuple[Found, ...]) -> None:
    """Prints what is read, and what is not."""
    others = [str(one) + (f": {one.problem}" if one.problem else "") for one in found]
    others = [text for one, text in zip(found, others, strict=True) if one is not chosen]
    instead = f"; also there: {', '.join(others)}" if others else ""
    note = f"; {chosen.note}" if chosen.note else ""
    _LOG.info(f"{what}: from {chosen}{note}{instead}")


def not_it(survey: Survey) -> OtherDatasetError:
    """The error that all that is staged is another dataset."""
    problems = dict.fromkeys(one.problem for found in survey.found.values() for one in found)
    return OtherDatasetError("; ".join(problems))


def nothing_staged(survey: Survey, source: str | None) -> StagingError | SourceError:
    """The error that nothing (of a kind) is staged, or may be read."""
    if survey.found:
        there = sorted({one.kind for found in survey.found.values() for one in found})
        return StagingError(
            f"nothing of {survey.dataset} is staged as {source}, only as {', '.join(there)}; "
            "leave --source out, or name one of these"
        )
    looked_for = "; ".join(
        f"{split}: {' or '.join(paths)}" for split, paths in survey.missing.items()
    )
    if survey.warnings:  # What may not be read may hold it.
        return SourceError(". ".join(survey.warnings))
    return StagingError(
        f"nothing of {survey.dataset} is staged, and at least one split is needed; "
        f"looked for {looked_for}; `imagenet-builders check` says what is there instead"
    )


def wanting(survey: Survey, split: str) -> str:
    """That something is not there, and under which names it was looked for."""
    text = " or ".join(survey.missing[split])
    return text if text.startswith("there is") else f"there is no {text}"


def preferred(found: tuple[Found, ...], source: str | None) -> Found | None:
    """The first that can be read, of the kind asked for.

    Args:
        found: All that provides something.
        source: The kind asked for, or None for any.

    Returns:
        What is read, or None where nothing of the kind is there.

    Raises:
        SourceError: Nothing of it can be read as it is.
    """
    wanted = [one for one in found if source in (None, one.kind)]
    if not wanted:
        return None
    for one in wanted:
        if not one.problem:
            return one
    raise SourceError(wanted[0].problem)


def layout_of(found: Found) -> str:
    """What `provenance.json` says of a split's source."""
    return f"{found.layout} ({found.kind})" + (f"; {found.note}" if found.note else "")
