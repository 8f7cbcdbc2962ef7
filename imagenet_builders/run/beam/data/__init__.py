"""Jobs and their results as data, which others may forge and which yet run nothing when read.

`document` has the bytes, `schema` what they become, by the annotations of functions and
dataclasses; `named` finds functions, and `raised` has the errors.
"""
