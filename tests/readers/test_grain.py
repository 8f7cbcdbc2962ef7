"""Grain over our data sources and TFDS's, with and without worker processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.building import DUMMY_ARCHIVES
from support.readers import Examples, Run

pytest.importorskip("grain", reason="needs the extra `readers`")

SOURCES = {
    "tfrecord": "reading.data_source('imagenet2012', 'train', data_dir=tfrecord)",
    "array_record": "reading.data_source('imagenet2012', 'train', data_dir=array_record)",
    "in place": "reading.data_source('imagenet2012', 'train', manual_dir=archives)",
    # As init2winit: the bare name, and images as bytes.
    "tfds tfrecord": "tfds.data_source('imagenet2012', split='train', data_dir=tfrecord, **skip)",
    "tfds array_record": (
        "tfds.data_source('imagenet2012', split='train', data_dir=array_record, **skip)"
    ),
}

CODE = """
import absl.flags
import grain
from imagenet_builders import reading

absl.flags.FLAGS.mark_as_parsed()  # As `absl.app.run` does; where JAX is, workers want it.
tfrecord, array_record, archives = sys.argv[1:]
source = {source}
seen = {{"plain": list(map(shown, source))}}  # The process has read; workers are begun after that.
mapped = grain.MapDataset.source(source)
assert len(mapped) == len(source)
seen["MapDataset"] = [shown(mapped[number]) for number in range(len(mapped))]
processes = grain.MultiprocessingOptions(num_workers=2)
seen["mp_prefetch"] = list(map(shown, mapped.to_iter_dataset().mp_prefetch(processes)))
sampler = grain.samplers.IndexSampler(len(source), shuffle=False, num_epochs=1)
loader = grain.DataLoader(data_source=source, sampler=sampler, worker_count=2)
seen["DataLoader"] = list(map(shown, loader))

iterator = iter(mapped.shuffle(seed=3).to_iter_dataset())
next(iterator), next(iterator)
state = iterator.get_state()
then = shown(next(iterator))
iterator.set_state(state)
assert shown(next(iterator)) == then
seen["shuffled"] = list(map(shown, mapped.shuffle(seed=3)))
shards = [list(map(shown, mapped[rank::2])) for rank in range(2)]
assert [each for pair in zip(*shards) for each in pair] == seen["plain"]
print(json.dumps(seen))
"""


@pytest.mark.parametrize("name", SOURCES)
def test_grain_gives_the_examples_in_order(
    name: str,
    run: Run,
    tfrecord_dir: Path,
    array_record_dir: Path,
    expected: Examples,
) -> None:
    prelude = """
import imagenet_builders, tensorflow_datasets as tfds
skip = {"decoders": {"image": tfds.decode.SkipDecoding()}}
"""
    code = (prelude if "tfds" in name else "") + CODE.format(source=SOURCES[name])
    seen = run(code, tfrecord_dir, array_record_dir, DUMMY_ARCHIVES)
    plain, shuffled = seen.pop("plain"), seen.pop("shuffled")
    # What is skipped is not decoded: the bytes are compared elsewhere.
    width = 2 if "tfds" in name else 3
    assert [each[:width] for each in plain] == [each[:width] for each in expected["train"]]
    assert seen == dict.fromkeys(("MapDataset", "mp_prefetch", "DataLoader"), plain)
    assert shuffled != plain
    assert sorted(shuffled) == sorted(plain)
