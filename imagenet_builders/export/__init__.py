"""Exports: the images of a dataset in the forms that other libraries read.

An export is a build: planned, written by workers, resumable, locked, published in one rename. Only
the form of what is written differs; `form` says how one is added.
"""
