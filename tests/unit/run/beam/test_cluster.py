"""What the workers of a cluster must be and have."""

from __future__ import annotations

import dataclasses

import pytest

from imagenet_builders.errors import OptionError
from imagenet_builders.run.beam import cluster as beam_cluster


@pytest.mark.parametrize("what", ["Python", "imagenet_builders", "apache-beam"])
def test_a_worker_with_another_version_is_refused(what: str) -> None:
    facts = beam_cluster.worker_facts()
    beam_cluster.check_facts("the worker w", facts)
    other = dataclasses.replace(facts, versions={**facts.versions, what: "3.1"})
    with pytest.raises(OptionError, match=f"the worker w has {what} 3.1, this machine "):
        beam_cluster.check_facts("the worker w", other)
