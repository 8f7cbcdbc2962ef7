"""Label spaces: the classes, their order in each numbering, and the maps between numberings.

The archives, the packagings and TFDS number the same classes in different ways, and a number does
not tell which way it was. Here every numbering is a named *space*. The spaces have wnids in common,
WordNet's names for classes, such as `n01440764`:

>>> from imagenet_builders import labels
>>> labels.SPACES  # doctest: +NORMALIZE_WHITESPACE
('imagenet2012', 'imagenet21k_winter21', 'imagenet21k_p', 'imagenet12k', 'tiny_imagenet',
 'dogs', 'devkit', 'downsampled_npz', 'slim', 'tiny_wnids_txt')
>>> imagenet2012 = labels.space("imagenet2012")
>>> len(imagenet2012), imagenet2012.wnid_of(0), imagenet2012.id_of("n02119789")
(1000, 'n01440764', 278)
>>> labels.words("n01440764")
'tench, Tinca tinca'
>>> labels.gloss("n02119789")
'small grey fox of southwestern United States; may be a subspecies of Vulpes velox'

Ids of one space become ids of another, whole arrays at once. A space may count from one, like the
devkit. In all spaces -1 means "unlabelled"; a class that the target lacks becomes -1, too:

>>> labels.convert([1, 2, -1], "devkit", "imagenet2012")
array([278, 212,  -1])
>>> labels.mapping("devkit", "imagenet2012")[[1, 2]]
array([278, 212])
>>> labels.convert([0], "devkit", "imagenet2012")
Traceback (most recent call last):
  ...
imagenet_builders.errors.LabelError: label 0 is not in the label space 'devkit', whose ids \
are 1 to 1000 (-1 is an example without a label)

This module imports neither TensorFlow nor TFDS, and NumPy only in functions that give arrays. Data
are read on first use. `README.md` beside this file names the sources of the data.
"""

from imagenet_builders.errors import LabelError
from imagenet_builders.labels.ilsvrc2012 import train_counts, validation_labels, validation_wnids
from imagenet_builders.labels.spaces import (
    SPACES,
    Space,
    convert,
    mapping,
    space,
    wnids,
)
from imagenet_builders.labels.synsets import gloss, words

__all__ = [
    "SPACES",
    "LabelError",
    "Space",
    "convert",
    "gloss",
    "mapping",
    "space",
    "train_counts",
    "validation_labels",
    "validation_wnids",
    "wnids",
    "words",
]
