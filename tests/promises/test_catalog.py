"""`imagenet-builders catalog`, from a data directory to a site: what it shows, what it leaves."""

from __future__ import annotations

import html.parser
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from support import command_line
from support.building import DUMMY_ARCHIVES
from support.built_datasets import shards
from support.processes import environment

from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.publish import exchange
from imagenet_builders.write import outputs

DATASET = "imagenet2012-5.1.0"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a dataset and two exports of it."""
    data_dir = tmp_path_factory.mktemp("tfds")
    assert command_line.build(DUMMY_ARCHIVES, data_dir, "--num-shards=3").status == 0
    for form in ("webdataset", "imagefolder"):
        where = [f"--data-dir={data_dir}", f"--out={data_dir / form}"]
        done = command_line.run("export", "imagenet2012", f"--to={form}", *where)
        assert done.status == 0, done.err
    return data_dir


@pytest.fixture
def data_dir(built: Path, tmp_path: Path) -> Path:
    """A copy of it, for this test alone; with the times of files, which tell what has changed."""
    return Path(shutil.copytree(built, tmp_path / "tfds"))


def catalog(data_dir: Path, out: Path, *options: str) -> command_line.Outcome:
    return command_line.run("catalog", f"--data-dir={data_dir}", f"--out={out}", *options)


def files(directory: Path) -> dict[str, bytes]:
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


class _Text(html.parser.HTMLParser):
    """The text of a page, without its scripts and styles; and the addresses that it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        wanted = {"script": "src", "img": "src", "link": "href"}.get(tag)
        self.loads += [value for name, value in attrs if name == wanted and value is not None]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] in ("script", "style"):
            return
        self.text.append(data)


def read(page: Path) -> _Text:
    parser = _Text()
    parser.feed(page.read_text())
    return parser


def test_everything_that_was_built_has_a_page(built: Path, tmp_path: Path) -> None:
    before = command_line.snapshot(built)
    done = catalog(built, tmp_path / "site")
    assert (done.status, done.err) == (0, "")
    assert done.out == f"3 pages: {tmp_path / 'site' / 'index.html'}\n"
    assert command_line.snapshot(built) == before
    site = tmp_path / "site"
    pages = sorted(path.parent.name for path in site.glob("*/index.html"))
    assert pages == [DATASET, f"{DATASET}-imagefolder", f"{DATASET}-webdataset"]
    first = "".join(read(site / "index.html").text)
    assert "imagenet2012" in first
    text = "".join(read(site / DATASET / "index.html").text)
    for said in (
        "1,281,167",  # The official number, beside the 24 that are there.
        "n01440764",
        "FeaturesDict({",
        "PNG re-encoded as JPEG",
        "non-commercial research",
        str(DUMMY_ARCHIVES / "ILSVRC2012_img_train.tar"),
        str(built),
    ):
        assert said in text, said
    for page in pages:
        assert json.loads((site / page / "croissant.json").read_text())["@type"] == "sc:Dataset"
        assert (site / page / "README.md").read_text().startswith("---\n")


def test_no_page_loads_anything_from_elsewhere(built: Path, tmp_path: Path) -> None:
    catalog(built, tmp_path / "site", "--images=2")
    for page in (tmp_path / "site").rglob("*.html"):
        for address in read(page).loads:
            assert "//" not in address, (page, address)
            assert (page.parent / address).is_file(), (page, address)


def test_pictures_are_shown_only_if_they_were_asked_for(built: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pictures = site / DATASET / "pictures"
    assert catalog(built, site).status == 0
    assert not pictures.exists()
    assert catalog(built, site, "--images=2").status == 0
    assert len(list(pictures.iterdir())) == 6
    assert catalog(built, site, "--no-images").status == 0
    assert not pictures.exists()


def test_a_second_run_reads_no_shard(data_dir: Path, tmp_path: Path) -> None:
    """Nor any but those that have changed, as their sizes and times tell."""
    site = tmp_path / "site"
    catalog(data_dir, site)
    kept = json.loads((site / ".kept" / f"{DATASET}.json").read_text())["kept"]["surveyed"]
    counts = (site / DATASET / "classes.js").read_bytes()
    shard = shards(data_dir / command_line.DATASET, "train")[0]
    times = os.stat(shard)
    shard.write_bytes(bytes(times.st_size))
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    before = files(site)
    catalog(data_dir, site)
    after = files(site)
    assert {name for name in before if not name.endswith("index.html")} == {
        name for name in after if before[name] == after[name] and not name.endswith("index.html")
    }
    document = site / ".kept" / f"{DATASET}.json"
    assert json.loads(document.read_text())["kept"]["surveyed"] == kept
    assert (site / DATASET / "classes.js").read_bytes() == counts
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    catalog(data_dir, site)
    again = json.loads(document.read_text())["kept"]["surveyed"]
    assert f"{shard} cannot be read" in again["why_not"]


def test_two_catalogs_of_the_same_are_the_same(built: Path, tmp_path: Path) -> None:
    options = ("--workers=1", "--images=1")
    catalog(built, tmp_path / "one", *options)
    catalog(built, tmp_path / "two", "--workers=2", "--images=1")
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    assert one.keys() == two.keys()
    differing = {name for name in one if one[name] != two[name]}
    assert all(name.endswith("index.html") for name in differing)  # The time is in them.


def test_the_verdict_stays_with_its_date_until_the_dataset_changes(
    data_dir: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    assert catalog(data_dir, site, "--verify").status == 0
    document = site / ".kept" / f"{DATASET}.json"
    verdict = json.loads(document.read_text())["kept"]["verified"]
    assert (verdict["ok"], verdict["problem_count"]) == (True, 0)
    catalog(data_dir, site)
    assert json.loads(document.read_text())["kept"]["verified"] == verdict
    assert "changed since verified" not in (site / DATASET / "index.html").read_text()
    os.utime(shards(data_dir / command_line.DATASET, "test")[0], ns=(1, 1))
    catalog(data_dir, site)
    assert "changed since verified" in (site / DATASET / "index.html").read_text()


def test_a_page_has_the_last_verdict_of_verify(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    site, page = tmp_path / "site", tmp_path / "site" / DATASET / "index.html"
    catalog(data_dir, site)
    assert "not verified" in page.read_text()
    where = str(data_dir / command_line.DATASET)
    for asked in (
        [where, str(data_dir / "webdataset")],
        ["imagenet2012", f"--data-dir={data_dir}"],
    ):
        assert command_line.run("verify", *asked).status == 0
        catalog(data_dir, site)
        assert "not verified" not in page.read_text()
    shard = shards(data_dir / command_line.DATASET, "test")[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    assert command_line.run("verify", where).status == 1
    catalog(data_dir, site)
    assert shard.name in page.read_text()
    kept = json.loads((site / ".kept" / f"{DATASET}-webdataset.json").read_text())["kept"]
    assert kept["verified"]["ok"] is True


def test_a_dataset_of_others_has_a_page(tmp_path: Path) -> None:
    """Its features are not those of this package, so it is not verified."""
    directory = tmp_path / "tfds" / "mine" / "1.2.3"
    directory.mkdir(parents=True)
    features = {
        "picture": tfds.features.Image(shape=(None, None, 1)),
        "category": tfds.features.ClassLabel(names=["cat", "dog & co"]),
        "vector": tfds.features.Tensor(shape=(2,), dtype=np.float32),
    }
    tfds.features.FeaturesDict(features).save_config(str(directory))
    outputs.DEFAULT.write(directory / "mine-train.tfrecord-00000-of-00001", _grey(30))
    split = {"name": "train", "shardLengths": ["30"], "numBytes": "1000"}
    info = {"name": "mine", "version": "1.2.3", "splits": [split], "description": "Mine & yours."}
    (directory / "dataset_info.json").write_text(json.dumps(info))
    done = catalog(tmp_path / "tfds", tmp_path / "site", "--images=3", "--verify")
    assert done.status == 0
    assert "is not verified: a feature 'vector' of this kind" in done.err
    [page] = (tmp_path / "site").glob("*/index.html")
    text = "".join(read(page).text)
    for said in ("Tensor(shape=(2,), dtype=float32)", "Mine & yours.", "PNG, grey", "not verified"):
        assert said in text
    assert "dog & co" in (page.parent / "classes.csv").read_text()
    assert "imagenet-builders verify" not in (page.parent / "README.md").read_text()
    assert len(list((page.parent / "pictures").iterdir())) == 3


def _grey(count: int) -> Iterator[FlatExample]:
    for number in range(count):
        file = io.BytesIO()
        Image.new("L", (300 + number, 200), number).save(file, "PNG")
        vector = np.array([1, 2], np.float32)
        yield {"picture": file.getvalue(), "category": number % 2, "vector": vector}


def test_a_dataset_that_is_wrong_is_said_to_be(data_dir: Path, tmp_path: Path) -> None:
    shard = shards(data_dir / command_line.DATASET, "test")[0]
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    done = catalog(data_dir, tmp_path / "site", "--verify")
    assert done.status == 1
    assert f"1 dataset or export is wrong: {shard.parent}\n" in done.out
    assert shard.name in (tmp_path / "site" / DATASET / "index.html").read_text()
    # Later catalogs show the verdict, and are no failures.
    assert catalog(data_dir, tmp_path / "site").status == 0


def test_a_dataset_that_cannot_be_read_fails_a_verification(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / command_line.DATASET / "dataset_info.json").write_text("{")
    for options, status in (((), 0), (("--verify",), 1)):
        done = catalog(data_dir, tmp_path / "site", *options)
        assert done.status == status
        assert f"not in the catalog: {data_dir / command_line.DATASET}: " in done.out


def test_what_cannot_be_read_is_a_row_and_the_rest_is_made(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / command_line.DATASET
    damaged = data_dir / "damaged" / "1.0.0"
    newer = data_dir / "newer" / "1.0.0"
    for copy in (damaged, newer):
        shutil.copytree(source, copy)
    (damaged / "dataset_info.json").write_text('{"name": ')
    info = json.loads((newer / "dataset_info.json").read_text())
    (newer / "dataset_info.json").write_text(json.dumps(info | {"splits": {"train": {}}}))
    building = f".2.0.0.building-{'0' * 16}"
    for empty in ("empty/1.0.0", "half/incomplete.ABCDEF_1.0.0", f"soon/{building}"):
        (data_dir / empty).mkdir(parents=True)
    done = catalog(data_dir, tmp_path / "site")
    assert done.status == 0
    said = [line.removeprefix("not in the catalog: ") for line in done.out.splitlines()]
    assert [line.split(": ")[0].removeprefix(f"{data_dir}/") for line in said] == [
        "damaged/1.0.0",
        "empty/1.0.0",
        "half/incomplete.ABCDEF_1.0.0",
        "newer/1.0.0",
        "soon/2.0.0",
        "3 pages",
    ]
    text = "".join(read(tmp_path / "site" / "index.html").text)
    assert "it may be damaged, or of a newer version" in text
    assert "TensorFlow Datasets is building here, or was interrupted" in text


def test_names_and_texts_that_would_act_are_shown_as_text(data_dir: Path, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\x1b[2J"
    source = data_dir / command_line.DATASET
    info = json.loads((source / "dataset_info.json").read_text())
    info |= {"description": f"{evil}\n# {evil}", "citation": evil, "releaseNotes": {evil: evil}}
    (source / "dataset_info.json").write_text(json.dumps(info))
    names = (source / "label.labels.txt").read_text().splitlines()
    names[0] = evil.replace("\x1b", "")
    (source / "label.labels.txt").write_text("".join(f"{name}\n" for name in names))
    (data_dir / evil.replace("/", "") / "1.0.0").mkdir(parents=True)
    done = catalog(data_dir, tmp_path / "site", f"--contact={evil}")
    assert done.status == 0, done.err
    assert "\x1b" not in done.out + done.err
    for path in (tmp_path / "site").rglob("*"):
        if path.suffix == ".html":
            content = path.read_text()
            assert "<script>alert" not in content, path
            assert "\x1b" not in content, path
    assert "<script>alert(1)" in "".join(read(tmp_path / "site" / DATASET / "index.html").text)


def test_a_catalog_replaces_nothing_but_a_catalog(data_dir: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(mine)
    inside = data_dir / command_line.DATASET / "site"
    for out, said in (
        (mine, "is there and is no catalog"),
        (mine / "thesis.txt", "is there and is no catalog"),
        (link, "is a link, which is not replaced"),
        (data_dir, "the datasets are in it"),
        (tmp_path, "the datasets are in it"),
        (inside, "there is a dataset or an export in"),
        (tmp_path / "no" / "site", "there is no directory"),
    ):
        before = command_line.snapshot(data_dir)
        done = catalog(data_dir, out)
        assert done.status == 2, out
        [sentence] = done.errors
        assert said in sentence
        assert command_line.snapshot(data_dir) == before
    assert (mine / "thesis.txt").read_text() == "mine"
    assert catalog(tmp_path / "nowhere", tmp_path / "site").errors == [
        f"{tmp_path / 'nowhere'} is not a directory; give the one that datasets are in"
    ]


def test_a_site_in_the_data_directory_is_not_in_itself(data_dir: Path) -> None:
    for _ in range(2):
        done = catalog(data_dir, data_dir / "site")
        assert (done.status, done.err) == (0, "")
        assert done.out.startswith("3 pages: ")


def test_readers_always_find_a_whole_catalog(built: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    catalog(built, site)
    missed, done = [], threading.Event()

    def look() -> None:
        while not done.is_set():
            if not (site / DATASET / "croissant.json").is_file():
                missed.append("croissant.json")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(3):
            assert catalog(built, site).status == 0
    finally:
        done.set()
        thread.join()
    assert missed == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


def test_a_dataset_that_is_replaced_meanwhile_has_a_page_of_one_of_them(
    data_dir: Path, tmp_path: Path
) -> None:
    """In one step, as where the file system can do that."""
    directory = data_dir / command_line.DATASET
    other = Path(shutil.copytree(directory, tmp_path / "other"))
    (other / "extra.txt").write_text("other")
    done = threading.Event()

    def replace() -> None:
        while not done.is_set():
            assert exchange._exchange(directory, other)
            time.sleep(0.05)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        made = [catalog(data_dir, tmp_path / "site") for _ in range(3)]
    finally:
        done.set()
        thread.join()
    assert [(each.status, each.out.count("not in the catalog")) for each in made] == [(0, 0)] * 3
    assert "24" in "".join(read(tmp_path / "site" / DATASET / "index.html").text)


def test_what_a_killed_run_has_left_is_removed(built: Path, tmp_path: Path) -> None:
    left = tmp_path / f".site.catalog-{'a' * 16}"
    (left / "site").mkdir(parents=True)
    left.chmod(0o700)
    catalog(built, tmp_path / "site")
    assert not left.exists()


def test_two_hundred_datasets(built: Path, tmp_path: Path) -> None:
    source = built / command_line.DATASET
    info = json.loads((source / "dataset_info.json").read_text())
    for number in range(200):
        copy = tmp_path / "tfds" / f"other_{number}" / "1.0.0"
        copy.mkdir(parents=True)
        for name in ("features.json", "label.labels.txt"):
            os.link(source / name, copy / name)
        splits = [each | {"shardLengths": [], "numBytes": "0"} for each in info["splits"]]
        changed = info | {"name": f"other_{number}", "version": "1.0.0", "splits": splits}
        (copy / "dataset_info.json").write_text(json.dumps(changed))
    done = catalog(tmp_path / "tfds", tmp_path / "site")
    assert (done.status, done.err) == (0, "")
    assert len(list((tmp_path / "site").glob("other_*/index.html"))) == 200


def test_an_empty_data_directory_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "tfds").mkdir()
    done = catalog(tmp_path / "tfds", tmp_path / "site")
    assert done.status == 0
    assert f"there is no dataset and no export in {tmp_path / 'tfds'}\n" in done.out
    assert (tmp_path / "site" / "index.html").is_file()


def test_a_notice_stands_on_every_page(built: Path, tmp_path: Path) -> None:
    notice = tmp_path / "notice.md"
    notice.write_text("Join the group first.")
    options = (f"--notice={notice}", "--contact=help@example.org")
    catalog(built, tmp_path / "site", *options)
    for page in (tmp_path / "site").rglob("index.html"):
        text = "".join(read(page).text)
        assert "Join the group first." in text
        assert "help@example.org" in text
    for bad, said in ((b"\xff\xfe", "is not text in UTF-8"), (b"x" * (1 << 21), "cannot be read")):
        notice.write_bytes(bad)
        done = catalog(built, tmp_path / "site", f"--notice={notice}")
        assert done.status == 2
        assert said in done.errors[0]


def test_storage_that_takes_no_more_is_named_and_the_last_catalog_stays(
    built: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    catalog(built, site)
    before = files(site)
    words = [sys.executable, "-m", "imagenet_builders.cli", "catalog"]
    command = shlex.join([*words, f"--data-dir={built}", f"--out={site}"])
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 1; exec {command}"],
        capture_output=True,
        text=True,
        # Python takes a part of a compiled module that it could keep for the whole.
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        check=False,
    )
    assert done.returncode == 1
    assert "than this process may write; raise `ulimit -f`" in done.stderr
    assert "/proc/" not in done.stderr
    assert files(site) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


def test_an_export_links_to_the_statistics_of_its_dataset(built: Path, tmp_path: Path) -> None:
    """Of the very dataset that it was made from: not of another build of it."""
    data_dir, site = tmp_path / "data", tmp_path / "site"
    shutil.copytree(built, data_dir)
    link = f'<a href="../{DATASET}/index.html#statistics">imagenet2012/5.1.0</a>'
    page = site / f"{DATASET}-imagefolder" / "index.html"
    assert catalog(data_dir, site).status == 0
    assert link in page.read_text()
    assert link not in (site / DATASET / "index.html").read_text()
    assert 'id="statistics"' in (site / DATASET / "index.html").read_text()
    [path] = data_dir.glob("imagenet2012/*/provenance.json")
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"self": "0" * 64}))
    assert catalog(data_dir, site).status == 0
    assert link not in page.read_text()
    path.write_text(json.dumps(document | {"self": [1]}))
    assert catalog(data_dir, site).status == 0
    assert link not in page.read_text()
    path.parent.rename(tmp_path / "elsewhere")
    assert catalog(data_dir, site).status == 0
    assert "whose page has the statistics if it is here" in page.read_text()
