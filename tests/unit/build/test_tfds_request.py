"""What a build takes from TensorFlow Datasets, and what it leaves."""

from __future__ import annotations

from pathlib import Path

import tensorflow_datasets as tfds
from support.paths import DUMMY_DATA
from tensorflow_datasets.core.download import checksums

from imagenet_builders.build import tfds_request
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder


def test_a_build_reads_no_checksums_of_downloads(tmp_path: Path):
    builder = Builder(data_dir=tmp_path)
    config = tfds.download.DownloadConfig(manual_dir=DUMMY_DATA / "imagenet2012")
    manager = builder._make_download_manager(download_dir=tmp_path, download_config=config)
    assert manager._url_infos == {}
    assert manager.downloaded_size == 0
    assert manager.manual_dir == DUMMY_DATA / "imagenet2012"


def test_afterwards_others_read_them():
    known = checksums.get_all_url_infos
    with tfds_request.no_url_infos():
        assert checksums.get_all_url_infos() == {}
    assert checksums.get_all_url_infos is known
    assert checksums.get_all_url_infos()
