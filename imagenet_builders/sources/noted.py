"""What is noted with a table of rows beside its columns, and so kept with the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagenet_builders.locate.links import Links, from_json, to_json

if TYPE_CHECKING:
    import pyarrow as pa

_LINKS = b"links"


def with_note(table: pa.Table, key: bytes, text: str) -> pa.Table:
    """A table with one more note, or another one of that key."""
    return table.replace_schema_metadata({**(table.schema.metadata or {}), key: text})


def with_links(table: pa.Table, links: Links) -> pa.Table:
    """A table of rows that also says which images are links; `links_of` reads it."""
    return with_note(table, _LINKS, to_json(links)) if links else table


def links_of(table: pa.Table) -> Links:
    """The links among the images when a table of rows was made, that lead out of their folder."""
    noted = (table.schema.metadata or {}).get(_LINKS)
    return {} if noted is None else from_json(noted)
