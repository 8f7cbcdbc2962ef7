"""What the benchmarks share: starting contestants, measuring them, and showing what came out.

`storage`, `page_cache` and `machine` deal with the system, `measuring` with one command; `program`
has what the programs have in common; `contestants` knows the commands, `rounds` runs those for
imagenet2012 in turn, and `table` shows their results.
"""
