"""Options are checked when they are made; defaults suit the machine and what it grants."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagenet_builders.errors import ImagenetBuildersError, OptionError
from imagenet_builders.options import OPTIONS, BuildOptions
from imagenet_builders.run import cpus
from imagenet_builders.run.cpus import usable_cpus, worker_count


def test_the_defaults_are_those_documented() -> None:
    options = BuildOptions()
    assert (options.workers, options.scratch_dir, options.bad_images) == (None, None, "fail")
    assert worker_count(options) == usable_cpus() >= 1
    assert worker_count(BuildOptions(workers=3)) == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workers": 0}, "workers must be a whole number from 1 to 1024, not 0"),
        ({"workers": -1}, "workers .* not -1"),
        ({"workers": 1025}, "workers .* not 1025"),
        ({"workers": 1.5}, "workers .* not 1.5"),
        ({"workers": "4"}, "workers .* not '4'"),
        ({"bad_images": "ignore"}, "bad_images must be one of fail, skip, not 'ignore'"),
        ({"bad_images": ""}, "bad_images .* not ''"),
        ({"bad_images": None}, "bad_images .* not None"),
        ({"scratch_dir": ""}, "scratch_dir must name a directory, not be empty"),
        ({"scratch_dir": 7}, "scratch_dir must be the path of a directory, not 7"),
        ({"workers": True}, "workers .* not True"),
        ({"strict": 1}, "strict must be True or False, not 1"),
        ({"wait": "no"}, "wait must be True or False, not 'no'"),
        ({"mode": -1}, "mode must be an octal mode .* not -1"),
        ({"mode": "2775"}, "mode must be an octal mode .* not '2775'"),
        ({"group": "²"}, "group must be the name or number of a group here, not '²'"),
        ({"group": 100}, "group must be the name or number of a group here, not 100"),
        ({"jpeg_quality": 101}, "jpeg_quality must be a whole number from 1 to 100, not 101"),
        ({"jpeg_subsampling": "4:1:1"}, "jpeg_subsampling must be one of 4:2:0, 4:4:4, not"),
        ({"source": "rar"}, "source must be one of tar, .*, not 'rar'"),
    ],
)
def test_an_invalid_value_is_named(given: dict, said: str) -> None:
    with pytest.raises(OptionError, match=said) as caught:
        BuildOptions(**given)
    assert isinstance(caught.value, ImagenetBuildersError)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(OptionError, match=said):
        BuildOptions().replace(**given)


def test_options_are_frozen_and_given_by_name() -> None:
    options = BuildOptions(workers=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.workers = 3  # type: ignore[misc]  # What is refused.
    with pytest.raises(TypeError):
        BuildOptions(2)  # type: ignore[call-arg]  # What is refused.
    assert options.replace(bad_images="skip") == BuildOptions(workers=2, bad_images="skip")
    assert options == BuildOptions(workers=2)


def test_options_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BuildOptions.from_environment({}) == BuildOptions()
    environment = {
        "IMAGENET_BUILDERS_WORKERS": " 5 ",
        "IMAGENET_BUILDERS_SCRATCH_DIR": "/scratch",
        "IMAGENET_BUILDERS_BAD_IMAGES": "skip",
    }
    expected = BuildOptions(workers=5, scratch_dir="/scratch", bad_images="skip")
    assert BuildOptions.from_environment(environment) == expected
    assert BuildOptions.from_environment(dict.fromkeys(environment, "")) == BuildOptions()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert BuildOptions.from_environment() == expected


VARIABLES = [
    ("WORKERS", "5", {"workers": 5}),
    ("SCRATCH_DIR", "/scratch", {"scratch_dir": "/scratch"}),
    ("ARRAY_RECORD_DIR", "/array_record", {"array_record_dir": "/array_record"}),
    ("BAD_IMAGES", "skip", {"bad_images": "skip"}),
    ("DECODE", "1", {"decode": True}),
    ("STRICT", "1", {"strict": True}),
    ("STRICT", "no", {}),
    ("CLASSES", "archive", {"classes": "archive"}),
    ("JPEG_QUALITY", "90", {"jpeg_quality": 90}),
    ("JPEG_SUBSAMPLING", "4:4:4", {"jpeg_subsampling": "4:4:4"}),
    ("NO_WAIT", " Yes", {"wait": False}),
    ("NO_WAIT", "0", {}),
    ("ALLOW_FEWER_SPLITS", "true", {"allow_fewer_splits": True}),
    ("MODE", "2775", {"mode": 0o2775}),
    ("GROUP", "0", {"group": "0"}),
    ("SOURCE", "tar", {"source": "tar"}),
    ("STAGE", "1", {"stage": True}),
]


@pytest.mark.parametrize(("variable", "text", "expected"), VARIABLES)
def test_each_option_has_a_variable(variable: str, text: str, expected: dict) -> None:
    environment = {f"IMAGENET_BUILDERS_{variable}": text}
    assert BuildOptions.from_environment(environment) == BuildOptions(**expected)
    known = {option.variable for option in OPTIONS.values()}
    assert known == {f"IMAGENET_BUILDERS_{name}" for name, _, _ in VARIABLES}


@pytest.mark.parametrize(
    ("name", "value"), [("WORKERS", "two"), ("WORKERS", "0"), ("BAD_IMAGES", "no")]
)
def test_an_invalid_variable_is_an_error(name: str, value: str) -> None:
    with pytest.raises(OptionError, match=value):
        BuildOptions.from_environment({f"IMAGENET_BUILDERS_{name}": value})


def test_the_scratch_directory_is_the_most_specific_one_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/home/steward")
    options = BuildOptions()
    assert options.scratch_for("/data") == Path(f"/data/.imagenet_builders-{os.getuid()}")
    assert options.scratch_for(tmp_path) == tmp_path / f".imagenet_builders-{os.getuid()}"
    monkeypatch.setenv("TMPDIR", "/fast")
    assert options.scratch_for("/data") == Path(f"/fast/imagenet_builders-{os.getuid()}")
    monkeypatch.setenv("SLURM_TMPDIR", "/local/job7")
    assert options.scratch_for("/data") == Path(f"/local/job7/imagenet_builders-{os.getuid()}")
    options = BuildOptions(scratch_dir="~/scratch")
    assert options.scratch_for("/data") == Path(
        f"/home/steward/scratch/imagenet_builders-{os.getuid()}"
    )
    assert list(tmp_path.iterdir()) == []  # Naming it does not make it.


# --- CPUs ------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_only_cpus_in_the_affinity_mask_count() -> None:
    """As with `taskset`, and as Slurm does."""
    one = min(os.sched_getaffinity(0))
    code = (
        "from imagenet_builders.options import BuildOptions\n"
        "from imagenet_builders.run.cpus import usable_cpus, worker_count\n"
        "print(usable_cpus(), worker_count(BuildOptions()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: os.sched_setaffinity(0, {one}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "1"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 16),
        ({"cpu.max": "max 100000\n"}, 16),
        ({"cpu.max": "400000 100000\n"}, 4),
        ({"cpu.max": "150000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 16),
        ({"cpu.max": "junk\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
    ],
)
def test_a_cgroup_quota_is_respected(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As containers have it: version 2, then version 1."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    quota = cpus._cgroup_quota(tmp_path)
    monkeypatch.setattr(cpus, "_cgroup_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert usable_cpus() == expected
