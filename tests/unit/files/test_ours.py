"""Whose an open file is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagenet_builders.files.ours import is_ours, is_ours_alone, nearest, owner_and_mode, refused


@pytest.mark.parametrize(("mode", "alone"), [(0o644, True), (0o600, True), (0o664, False)])
def test_others_may_read_what_is_ours_alone_but_not_write(
    mode: int, alone: bool, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    with open(tmp_path / "file") as file:
        assert is_ours(file.fileno())
        assert is_ours_alone(file.fileno()) == alone
        assert f"user {os.geteuid()}, mode {mode:o}" in owner_and_mode(file.fileno())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_is_another_users_is_not_roots(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", 12_345, -1)
    with open(tmp_path / "file") as file:
        assert not is_ours(file.fileno())


def test_a_directory_that_this_user_may_write_in_refuses_nothing(tmp_path: Path) -> None:
    assert refused(tmp_path) is None
    assert refused(tmp_path / "missing") is None
    assert nearest(tmp_path / "missing" / "below") == tmp_path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_whoever_shut_their_own_directory_may_open_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    why = refused(tmp_path)
    tmp_path.chmod(0o700)
    assert why is not None
    assert why.whose == f"belongs to user {os.geteuid()}, mode 500"
    assert "chmod u+wx" in why.ask
