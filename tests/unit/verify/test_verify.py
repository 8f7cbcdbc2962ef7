"""`imagenet-builders verify`: right datasets are right, and every kind of damage is found."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from makers import ilsvrc2012
from support.building import DUMMY_ARCHIVES, build
from support.built_datasets import files_in, shards
from support.paths import dummy_archives
from support.processes import run_cli, run_python
from support.verifying import (
    changed,
    copy,
    read_frames,
    said,
    verified,
    without_checksums,
    write_frames,
)

from imagenet_builders import cli, datasets
from imagenet_builders.verify import dataset as dataset_module
from imagenet_builders.verify.dataset import verify_dataset

DUMMY_DATA = DUMMY_ARCHIVES.parent

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def run_here(*arguments: str | Path) -> tuple[int, str, str]:
    """Runs the command line in this process. Returns its exit status and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(list(map(str, arguments)))
    return status, out.getvalue(), err.getvalue()


def build_all(data_dir: Path, file_format: str) -> Path:
    for name in datasets.names():
        options = ["--file-format", file_format, "--workers", "1", "--num-shards", "3"]
        options += ["--manual-dir", str(dummy_archives(name)), "--data-dir", str(data_dir)]
        status, _, err = run_here("build", name, *options, "--scratch-dir", data_dir / "scratch")
        assert status == 0, err
    return data_dir


@pytest.fixture(scope="module", params=["tfrecord", "array_record"])
def any_data_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_all(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """imagenet2012 in three TFRecord shards a split."""
    data_dir = tmp_path_factory.mktemp("built")
    run_here(
        *("build", "imagenet2012", "--workers", "1", "--num-shards", "3"),
        *("--manual-dir", DUMMY_ARCHIVES, "--data-dir", data_dir),
        *("--scratch-dir", data_dir / "scratch"),
    )
    return data_dir / "imagenet2012" / "5.1.0"


@pytest.fixture
def dataset(built: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage, without the checksums that would find all damage alike."""
    return without_checksums(copy(built, tmp_path))


def test_every_built_dataset_passes(any_data_dir: Path):
    status, out, _ = run_here(
        "verify", "all", "--data-dir", any_data_dir, "--json", "--decode", "--workers", "2"
    )
    report = json.loads(out)
    assert (status, report["ok"]) == (0, True), out
    assert {each["dataset"].partition(":")[0] for each in report["datasets"]} == {
        "imagenet12k",
        "imagenet2012",
        "imagenet2012_dogs",
        "imagenet2012_localization",
        *(f"imagenet2012_downsampled/{size}x{size}" for size in (8, 16, 32, 64)),
        *(f"imagenet2012_resized/{side}" for side in (256, 320, 384, 512)),
        "imagenet21k_winter21/whole",
        "imagenet21k_winter21/p",
        "tiny_imagenet",
    }
    for each in report["datasets"]:
        for split in each["splits"].values():
            assert split["examples"] == split["expected_examples"] > 0
            assert split["shards"] == 3


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_a_dataset_built_by_stock_passes(tmp_path: Path, file_format: str):
    from tensorflow_datasets.datasets.imagenet2012 import imagenet2012_dataset_builder as stock

    ilsvrc2012.make_corpus(
        tmp_path / "manual", test_archive="ILSVRC2012_img_test.tar", test_prefix="", patch=0
    )
    directory = build(
        stock.Builder, tmp_path / "manual", tmp_path / "stock", file_format=file_format
    )
    verdict = verified(directory, decode=True)
    assert verdict.problem_count == 0, said(verdict)
    assert not verdict.sealed
    assert any("no provenance.json" in note for note in verdict.notes)


def test_the_report_calls_a_small_dataset_partial(built: Path):
    status, out, _ = run_here("verify", built)
    assert status == 0
    assert "train is a part of the official dataset: 24 of 1,281,167 images" in out
    assert "  train: 24 images of 6 labels in " in out
    assert "  test: 6 images in " in out


def test_a_dataset_without_one_of_its_shards_is_called_no_part(dataset: Path):
    shards(dataset, "train")[1].unlink()
    status, out, _ = run_here("verify", dataset)
    assert status == 1
    assert "this shard is not there" in out
    assert "train is a part" not in out
    assert "validation is a part of the official dataset" in out


def test_a_directory_of_something_else_is_no_dataset_to_be_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Such as that of all datasets, or a relative path."""
    (tmp_path / "shared" / "imagenet2012" / "5.1.0").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for asked in (tmp_path / "shared", "shared", "shared/imagenet2012"):
        status, out, err = run_here("verify", asked)
        assert (status, out) == (1, "")
        assert "there is no dataset in this directory, for there is no dataset_info.json" in err
        assert "--overwrite" not in err


def test_json_names_a_problem_by_its_place(dataset: Path):
    shard = shards(dataset, "train")[1]
    contents = bytearray(shard.read_bytes())
    contents[500] ^= 1
    shard.write_bytes(contents)
    status, out, _ = run_here("verify", dataset, "--json")
    report = json.loads(out)
    [each] = report["datasets"]
    assert (status, report["ok"], each["ok"], each["problem_count"]) == (1, False, False, 1)
    [problem] = each["problems"]
    assert problem["path"] == str(shard)
    assert (problem["record"], problem["offset"]) == (0, 12)
    assert "checksum" in problem["what"]
    assert problem["expected"] != problem["found"]
    assert problem["sentence"].startswith(f"{shard}, record 0, at byte 12: the checksum of the")
    assert problem["sentence"].endswith("; build it anew with --overwrite")


def change_record(split: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        shard = shards(directory, split)[0]
        contents = read_frames(shard)
        contents[1] = changed(contents[1], change)
        write_frames(shard, contents)

    return damage


def reorder(order: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        shard = shards(directory, "train")[0]
        write_frames(shard, order(read_frames(shard)))

    return damage


def swap_shards(directory: Path) -> None:
    first, second, _ = shards(directory, "train")
    between = first.with_name("between")
    first.rename(between)
    second.rename(first)
    between.rename(second)


def cut(count: int) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        shard = shards(directory, "train")[0]
        os.truncate(shard, shard.stat().st_size - count)

    return damage


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        path = directory / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return damage


def lying_length(directory: Path) -> None:
    import struct

    import google_crc32c

    from imagenet_builders.formats.tfrecord.frame import masked

    shard = shards(directory, "train")[0]
    packed = struct.pack("<Q", 1 << 60)
    crc = masked(google_crc32c.value(packed))
    shard.write_bytes(packed + struct.pack("<I", crc) + shard.read_bytes()[12:])


def not_a_picture(features: dict[str, Any]) -> None:
    image = features["image"]
    features["image"] = image[: len(image) // 2] + b"\0" * 40 + b"\xff\xd9"


def pipe_instead_of(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


INFO = "dataset_info.json"
SHARD = "imagenet2012-train.tfrecord-00000-of-00003"

DAMAGE = {
    "swapped records": (reorder(lambda r: [r[1], r[0], *r[2:]]), "is not in its place"),
    "a record twice": (reorder(lambda r: [r[0], *r]), "is that of the record before"),
    "a record less": (reorder(lambda r: r[1:]), "another number of records"),
    "swapped shards": (swap_shards, "does not come after the last one of the shard before"),
    "a shard less": (lambda d: shards(d, "train")[1].unlink(), "this shard is not there"),
    "a shard more": (
        lambda d: (d / "imagenet2012-train.tfrecord-00003-of-00004").write_bytes(b""),
        "does not belong to the dataset",
    ),
    "debris": (
        lambda d: (d / "imagenet2012-train.tfrecord-00000-of-00003.partial").write_bytes(b""),
        "does not belong to the dataset",
    ),
    "cut off in a frame": (cut(3), "goes beyond the end of the file"),
    "cut off before a frame": (cut(1 << 13), "the end"),
    "a length that lies": (lying_length, "a record goes beyond the end of the file"),
    "an empty shard": (
        lambda d: shards(d, "train")[0].write_bytes(b""),
        "another number of records",
    ),
    "a wrong train label": (
        change_record("train", lambda f: f.update(label=(f["label"] + 1) % 1000)),
        "the label does not agree with n",
    ),
    "a wrong validation label": (
        change_record("validation", lambda f: f.update(label=(f["label"] + 1) % 1000)),
        "the label does not agree with ILSVRC2012_val_",
    ),
    "a label in test": (change_record("test", lambda f: f.update(label=0)), "does not agree"),
    "no label there is": (change_record("train", lambda f: f.update(label=1000)), "not a label"),
    "an unknown class": (
        change_record("train", lambda f: f.update(file_name="n00000001_1.JPEG")),
        "n00000001 is not one of the 1,000 classes of this dataset",
    ),
    "a feature less": (change_record("train", lambda f: f.pop("label")), "label is missing"),
    "a feature more": (
        change_record("train", lambda f: f.update(more=1)),
        "a feature 'more' that the dataset does not have",
    ),
    "a feature of another type": (
        change_record("train", lambda f: f.update(label="3")),
        "label is of another type; expected int64, found bytes",
    ),
    "no image": (change_record("train", lambda f: f.update(image=b"")), "the image is damaged"),
    "a cut off image": (
        change_record("train", lambda f: f.update(image=f["image"][:-40])),
        "the image is damaged",
    ),
    "a PNG": (
        change_record("train", lambda f: f.update(image=b"\x89PNG\r\n\x1a\n")),
        "the image is damaged",
    ),
    "a length in the metadata": (edit(INFO, '"8"', '"7"'), "another number of records"),
    "the size in the metadata": (edit(INFO, '"numBytes": "', '"numBytes": "1'), "numBytes of"),
    "a name in the metadata": (edit(INFO, '"imagenet2012"', '"imagenet2013"'), "not those of"),
    "metadata that are no JSON": (edit(INFO, "{", "{{"), "not JSON"),
    "a name twice": (edit(INFO, '"name"', '"name": "x", "name"'), "a name is there twice"),
    "a pipe for metadata": (
        lambda d: pipe_instead_of(d / INFO),
        "this is not a file of",
    ),
    "a pipe for a shard": (lambda d: pipe_instead_of(d / SHARD), "this shard is not a file"),
    "no metadata": (lambda d: (d / INFO).unlink(), "this file is missing"),
    "other features": (edit("features.json", '"1000"', '"999"'), "the names of 999 classes"),
    "classes in another order": (
        edit("label.labels.txt", "n01440764\nn01443537", "n01443537\nn01440764"),
        "the classes are not those",
    ),
    "no features": (lambda d: (d / "features.json").unlink(), "this file is missing"),
    "no class names": (lambda d: (d / "label.labels.txt").unlink(), "this file is missing"),
    "another count in the provenance": (
        edit("provenance.json", '"examples": 24', '"examples": 25'),
        "examples of split train is not as in dataset_info.json; expected 24, found 25",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found_and_described(dataset: Path, kind: str):
    damage, message = DAMAGE[kind]
    damage(dataset)
    verdict = verified(dataset)
    assert verdict.problem_count
    assert message in said(verdict)
    assert said(verdict).replace("\n", "").isprintable()


def test_pixels_that_cannot_be_decoded_are_found_when_they_are_decoded(dataset: Path):
    change_record("train", not_a_picture)(dataset)
    without, with_pixels = verified(dataset), verified(dataset, decode=True)
    assert "pixels of the image" not in said(without)
    assert "pixels of the image are lost" in said(with_pixels)
    assert "compare that (check --hash), then build with --overwrite --decode" in said(with_pixels)


def stray_marker(features: dict[str, Any]) -> None:
    image = features["image"]
    middle = (image.index(b"\xff\xda") + len(image)) // 2
    features["image"] = image[:middle] + b"\xff\x44" + image[middle + 2 :]


def a_second_start(features: dict[str, Any]) -> None:
    image = features["image"]
    features["image"] = image[: (image.index(b"\xff\xda") + len(image)) // 2] + image


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("change", [stray_marker, a_second_start])
def test_a_jpeg_that_tensorflow_gives_up_on_is_found(
    dataset: Path, change: Callable[[dict[str, Any]], None], decode: bool
):
    change_record("train", change)(dataset)
    assert "the image cannot be decoded" in said(verified(dataset, decode=decode))


def test_problems_are_shown_up_to_a_limit_and_all_counted(dataset: Path):
    for split in ("train", "validation", "test"):
        for shard in shards(dataset, split):
            write_frames(
                shard, [changed(r, lambda f: f.update(label=5)) for r in read_frames(shard)]
            )
    status, out, _ = run_here("verify", dataset)
    assert status == 1
    assert out.count("  problem: ") == 20
    assert "more" in out.splitlines()[-1]


def array_records(file: Path) -> list[bytes] | None:
    """The records as the format's own reader gives them, if it does, in turn and one by one."""
    from array_record.python.array_record_module import ArrayRecordReader

    try:
        reader = ArrayRecordReader(str(file))
        records = [reader.read() for _ in range(reader.num_records())]
        assert records == [reader.read([number])[0] for number in range(len(records))]
        return records
    except (RuntimeError, ValueError, IndexError):
        return None


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_any_flipped_byte_is_found(tmp_path: Path, built: Path, file_format: str):
    """In any file of a dataset with checksums in its provenance; in shards, also without them.

    Without them, a flip in the padding of an ArrayRecord file, which no reader sees, is not found.
    """
    directory = built
    if file_format == "array_record":
        run_here(
            *("build", "tiny_imagenet", "--workers", "1", "--file-format", file_format),
            *("--manual-dir", DUMMY_DATA / "tiny_imagenet", "--data-dir", tmp_path / "built"),
            *("--scratch-dir", tmp_path / "scratch"),
        )
        directory = tmp_path / "built" / "tiny_imagenet" / "1.0.0"
    plain = without_checksums(copy(directory, tmp_path / "plain"))
    sealed = copy(directory, tmp_path / "sealed")
    assert verified(sealed).sealed
    assert verified(sealed).problem_count == 0
    rng = random.Random(5)
    for number in range(75):
        where = sealed if number % 3 else plain
        files = files_in(where) if where is sealed else shards(where)
        file = rng.choice(files)
        before = file.read_bytes()
        at, mask = rng.randrange(len(before)), rng.randrange(1, 256)
        file.write_bytes(before[:at] + bytes([before[at] ^ mask]) + before[at + 1 :])
        found = verified(where).problem_count
        harmless = file_format == "array_record" and where is plain and array_records(file)
        file.write_bytes(before)
        assert found or harmless == array_records(file), (file, at, mask)


def test_the_newest_version_is_verified_unless_another_is_asked_for(tmp_path: Path, built: Path):
    copy(built, tmp_path)
    other = tmp_path / "imagenet2012" / "5.0.0"
    other.mkdir()
    status, out, _ = run_here("verify", "imagenet2012", "--data-dir", tmp_path)
    assert (status, "imagenet2012:5.1.0 in" in out) == (0, True)
    status, out, _ = run_here("verify", "imagenet2012:5.0.0", "--data-dir", tmp_path)
    assert status == 1
    assert f"{other}/dataset_info.json: this file is missing" in out


def test_a_missing_dataset_is_an_error_of_one_sentence(tmp_path: Path):
    status, _, err = run_here("verify", "tiny_imagenet", "--data-dir", tmp_path)
    assert status == 1
    assert "tiny_imagenet is not built: there is no version in" in err
    assert run_here("verify", "../x:y", "--data-dir", tmp_path)[0] == 2
    status, _, err = run_here("verify", "tiny_imagnet", "--data-dir", tmp_path)
    assert status == 2
    assert "there is no dataset 'tiny_imagnet' (is tiny_imagenet meant?); there are" in err


def test_verifying_needs_no_tensorflow(built: Path):
    code = (
        "import sys; from imagenet_builders import cli; status = cli.main(sys.argv[1:]); "
        "print(status, [m for m in ('tensorflow', 'tensorflow_datasets') if m in sys.modules])"
    )
    out = run_python(code, "verify", built, "--workers", "1", "--decode")
    assert out.splitlines()[-1] == "0 []"


def test_several_workers_give_the_verdict_of_one(dataset: Path, monkeypatch: pytest.MonkeyPatch):
    DAMAGE["a wrong train label"][0](dataset)
    one = verify_dataset(dataset, workers=1)
    monkeypatch.setattr(dataset_module, "_SMALL_BYTES", 0)  # So that processes are worth it.
    two = verify_dataset(dataset, workers=2)
    assert one.problem_count == 1
    assert (two.problems, two.splits) == (one.problems, one.splits)


def test_the_exit_status_follows_the_verdict(dataset: Path):
    assert run_cli("verify", dataset).returncode == 0
    shards(dataset, "test")[0].unlink()
    done = run_cli("verify", dataset, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "WRONG, 1 problem" in done.stdout


def test_a_bar_shows_progress(built: Path):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    err = Terminal()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        assert cli.main(["verify", str(built)]) == 0
    assert re.search(r"in all 100% .* verifying imagenet2012:5\.1\.0", err.getvalue())


@pytest.mark.parametrize("by", ["another", "nothing"])
def test_a_dataset_replaced_meanwhile_must_be_verified_again(
    by: str, dataset: Path, monkeypatch: pytest.MonkeyPatch
):
    """What was read of the old one and of the new one says nothing of either."""
    other = copy(dataset, dataset.parent / "other") if by == "another" else None
    read = dataset_module._run

    def replaced(*arguments: Any) -> Any:
        dataset.rename(dataset.with_name("old"))
        if other is not None:
            other.rename(dataset)
        return read(*arguments)

    monkeypatch.setattr(dataset_module, "_run", replaced)
    verdict = verify_dataset(dataset, workers=1)
    [problem] = verdict.problems
    assert verdict.problem_count == 1
    assert problem.sentence == (
        f"{dataset}: this dataset was replaced or removed while it was read; verify it again"
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
def test_a_directory_above_need_not_be_readable(built: Path, tmp_path: Path):
    """As those of users, which others may only go through."""
    path = copy(built, tmp_path)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from imagenet_builders.verify.dataset import verify_dataset\n"
        "path = Path(sys.argv[1])\n"
        "verify_dataset(path, workers=1)\n"
        "os.chroot(path.parent.parent)\n"
        "os.setgroups([]), os.setgid(65534), os.setuid(65534)\n"
        "verdict = verify_dataset(Path('/imagenet2012/5.1.0'), workers=1)\n"
        "print(verdict.problem_count)\n"
    )
    path.parent.parent.chmod(0o755)
    path.parent.chmod(0o711)
    assert run_python(code, path) == "0\n"
