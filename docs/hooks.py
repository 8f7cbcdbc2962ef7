"""What MkDocs does to the pages: adds files from outside `docs/`, and fills in what code knows.

A page says `<!-- generated: NAME -->` where a fact has its home in the code: the text of `--help`,
the table of options, the label spaces, a dataset's description. It is put there when the site is
built, so it cannot disagree with the code. A line in italics before the comment is for
readers of the repository, who see nothing of what is generated; the site does without it.

Documents that must lie elsewhere (README.md, CHANGELOG.md, ...) are pages of the site all the same.
Links are written as they are right in the repository, and led to the site's pages here.

The site also has a catalog, as `imagenet-builders catalog` makes it, of the dummy data, which are
built for it (in some seconds).
"""

from __future__ import annotations

import functools
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributor/contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "contributor/benchmarks.md",
    "dummy_data/README.md": "contributor/dummy-data.md",
    "imagenet_builders/labels/README.md": "contributor/label-data.md",
    "imagenet_builders/datasets/ilsvrc2012/subsets/README.md": "contributor/subset-data.md",
    "LICENSE": "files/LICENSE.txt",
    "CITATION.cff": "files/CITATION.cff",
    "checksums/archives.json": "files/archives.json",
    "examples/slurm/build_on_dask.sbatch": "files/build_on_dask.sbatch",
    "examples/slurm/build_from_local_disk.sbatch": "files/build_from_local_disk.sbatch",
    "examples/train/tensorflow_keras.py": "files/tensorflow_keras.py",
    "examples/train/pytorch.py": "files/pytorch.py",
    "examples/train/jax_grain.py": "files/jax_grain.py",
}
"""Files outside `docs/` that are pages or downloads of the site: path to path in the site."""

CATALOG = "catalog"
"""The directory of the catalog of the dummy data in the site."""

_GENERATED = re.compile(r"^(?:\*.+\*\n)?<!-- generated: (.+) -->$", re.MULTILINE)
_LINK = re.compile(r'(\]\(|<img src=")(?![a-z]+:|#|/)([^)"#\s]+)')


# --- what code knows ------------------------------------------------------------------------------


def generated(name: str) -> str:
    """The Markdown for `<!-- generated: NAME -->`.

    Raises:
        KeyError: Nothing has this name.
    """
    kind, _, argument = name.partition(" ")
    return _GENERATORS[kind](argument)


def _help(command: str) -> str:
    """The text of `--help`, of the program itself or of one of its commands."""
    words = [command] if command else []
    return f"```text\n{_program(*words, '--help').rstrip()}\n```"


def _program(*arguments: str) -> str:
    """What the program prints.

    Raises:
        RuntimeError: It failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "imagenet_builders.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "88", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def _label_spaces(_: str) -> str:
    """A table of the label spaces."""
    from imagenet_builders import labels

    rows = ["| name | classes | ids | what it is |", "|---|--:|---|---|"]
    for name in labels.SPACES:
        space = labels.space(name)
        ids = f"{space.first_id} to {space.last_id:,}"
        rows.append(f"| `{name}` | {len(space):,} | {ids} | {space.description} |")
    return "\n".join(rows)


def _description(dataset: str) -> str:
    """What a dataset's own README says; stock TFDS shows the same text as its description."""
    return (ROOT / "imagenet_builders" / "datasets" / dataset / "README.md").read_text().strip()


def _options(_: str) -> str:
    """Tables of the options of a build, by the sections of `build --help`."""
    from imagenet_builders.cli import reference

    return reference.build_options()


def _datasets(_: str) -> str:
    """A table of the datasets and of the official numbers of their splits."""
    from imagenet_builders import datasets

    rows = ["| name | configurations | splits and their images | classes |", "|---|---|---|--:|"]
    for dataset in datasets.every():
        alike: dict[tuple[str, str], list[str]] = {}
        for config in dataset.configs:
            images = ", ".join(
                f"{split.name} {'(not published)' if split.images is None else f'{split.images:,}'}"
                for split in config.splits
            )
            of_all = alike.setdefault((images, f"{len(config.classes()):,}"), [])
            of_all += [f"`{config.name}`"] if config.name else []
        for (images, classes), configs in alike.items():
            name = f"[`{dataset.name}`](#{dataset.name})"
            rows.append(f"| {name} | {', '.join(configs)} | {images} | {classes} |")
    return "\n".join(rows)


def _packagings(_: str) -> str:
    """A table of the packagings that are named and not read."""
    from imagenet_builders import datasets
    from imagenet_builders.check import packagings

    rows = ["| such as | what it is | the way from there |", "|---|---|---|"]
    for row in (*(row for each in datasets.every() for row in each.packagings), *packagings.ROWS):
        if not row.is_read:
            rows.append(f"| `{row.example}` | {row.what} | {row.way} |")
    return "\n".join(rows)


def _features(dataset: str) -> str:
    """The features of a dataset, as TFDS's catalog shows them."""
    import tempfile

    from imagenet_builders import datasets

    with tempfile.TemporaryDirectory() as empty:
        features = datasets.get(dataset).builder()(data_dir=empty).info.features
    return f"```python\n{features!r}\n```"


def _catalog(_: str) -> str:
    """A link to the catalog of the dummy data."""
    return f"[The catalog of the dummy data](../{CATALOG}/index.html) is part of this site."


_GENERATORS: dict[str, Callable[[str], str]] = {
    "help": _help,
    "label-spaces": _label_spaces,
    "description": _description,
    "options": _options,
    "datasets": _datasets,
    "features": _features,
    "packagings": _packagings,
    "catalog": _catalog,
}


# --- the catalog of the dummy data ----------------------------------------------------------------


@functools.cache
def catalog() -> Path:
    """Makes the catalog of the dummy data, once for each process, which removes it at its end."""
    dummy_data = ROOT / "dummy_data"
    work = Path(_temporary().name)
    data_dir, out = work / "tfds", work / "catalog"
    names = [path.name for path in sorted(dummy_data.iterdir()) if _is_dataset(path.name)]
    options = ("--manual-dir", str(dummy_data), "--add-name-to-manual-dir", "--workers", "1")
    at = ("--data-dir", str(data_dir))
    _program("build", *names, *options, *at)
    export = data_dir / "exports" / "imagenet2012-webdataset"
    _program("export", "imagenet2012", *at, "--to", "webdataset", "--out", str(export))
    notice = work / "notice.md"
    notice.write_text("This catalog is of the dummy data, whose pictures are drawn.\n")
    wishes = ("--images", "6", "--verify", "--notice", str(notice))
    _program("catalog", *at, "--out", str(out), *wishes)
    for name, told in ((str(data_dir), "/shared/tfds"), (str(dummy_data), "/datashare/imagenet")):
        _tell(out, name, told)
    return out


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="catalog-")


def _is_dataset(name: str) -> bool:
    from imagenet_builders import datasets

    return name in {each.name for each in datasets.every()}


def _tell(catalog: Path, name: str, told: str) -> None:
    """Has a catalog tell the directory of a cluster instead of this machine's."""
    breakable = name.replace("/", "/<wbr>"), told.replace("/", "/<wbr>")
    for path in catalog.rglob("*"):
        if path.suffix in (".html", ".json", ".md"):
            text = path.read_text()
            path.write_text(text.replace(name, told).replace(*breakable))


# --- MkDocs' hooks --------------------------------------------------------------------------------


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Adds the files from outside `docs/`, and the first page of the catalog."""
    from mkdocs.structure.files import File

    for path, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    # Pages lead to its first page; MkDocs must not make a page of each `README.md` in it.
    first = f"{CATALOG}/index.html"
    files.append(File.generated(config, first, abs_src_path=str(catalog() / "index.html")))
    return files


def on_post_build(config: Any, **_: Any) -> None:
    """Adds the catalog of the dummy data."""
    hidden = shutil.ignore_patterns(".*")
    target = Path(config.site_dir) / CATALOG
    shutil.copytree(catalog(), target, ignore=hidden, dirs_exist_ok=True)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fills in what is generated, and leads links to the site's pages."""
    if page.file.src_uri == "index.md":
        page.meta["hide"] = ["navigation"]  # There is nothing beside it.
    markdown = _GENERATED.sub(lambda match: generated(match[1]), markdown)
    return site_links(markdown, page.file.src_uri)


def site_links(markdown: str, page: str) -> str:
    """Leads links that are right in the repository to the same pages in the site."""
    in_site = {site: path for path, site in OUTSIDE.items()}
    here = posixpath.dirname(in_site.get(page, f"docs/{page}"))

    def lead(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(here, match[2]))
        target = OUTSIDE.get(path) or path.removeprefix("docs/")
        if target == path:
            return match[0]  # MkDocs says that it leads nowhere.
        return match[1] + posixpath.relpath(target, posixpath.dirname(page) or ".")

    return _LINK.sub(lead, markdown)
