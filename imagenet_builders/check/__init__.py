"""Says of a `manual_dir`, before anything is built, all that is there, odd, missing or damaged.

survey (`staging/`) -> looks at each file (`archives`, `folders`) -> rows and problems (`gather`)
-> hashes, indexes, space where asked for (`hashing`, `deep`, `needs`) -> `rendering`.
"""
