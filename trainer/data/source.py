"""What the trainer asks of a source of examples; knows no format and no batch.

A source of one's own is a frozen dataclass that subclasses `Source`, is
`@gin.register`ed, and opens to an `Examples`: then `Images.source = @Mine()` reads it.
What an example may hold stands in docs/design.md.
"""

import abc
import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np

IGNORE = 255  # in a segmentation: this pixel is not scored

Shape = tuple[int | None, ...]


class Unreadable(Exception):
    """One example that cannot be read; says which file, and why, in one line."""


class Examples(abc.ABC):
    """One split of a source, opened: examples by index; must be safe to pickle.

    Attributes:
      name: of source and split, for messages.
      fingerprint: hex digest of what the data is, wherever it lies.
      image_shape: (H, W, C), None where examples may differ or nobody knows yet.
      class_names, segmentation_names, keypoint_names, flip_pairs, target_names: what
        the label fields mean; empty where there is no such field.
      category_ids, keypoint_category: the ids by which COCO names the classes, and
        the class with the keypoints; () and None where nobody has given any.
      problems: one line for each bad file or label found while opening; it was left
        out, or the run refused, as `Images.on_error` says.
      remarks: one line for each thing that a person should know and that is no error.
      own_splits: how many examples each split has that the data itself comes in, as a
        folder does with train, val and test below it; empty where it was split here.
      labels_known: the label fields that `column` gives without reading an example.
      enough: pixels of an image's short side that will do, since it is made smaller
        at once; None for all. A source may heed it.
    """

    name: str
    fingerprint: str
    image_shape: Shape = (None, None, None)
    class_names: tuple[str, ...] = ()
    segmentation_names: tuple[str, ...] = ()
    keypoint_names: tuple[str, ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    target_names: tuple[str, ...] = ()
    category_ids: tuple[int, ...] = ()
    keypoint_category: int | None = None
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    own_splits: Mapping[str, int] = MappingProxyType({})
    labels_known: tuple[str, ...] = ()
    enough: int | None = None

    @abc.abstractmethod
    def __len__(self) -> int:
        """How many examples there are."""

    @abc.abstractmethod
    def __getitem__(self, index: int) -> dict:
        """Example `index`, the same at every call.

        Raises:
          Unreadable: its file or its labels are damaged.
        """

    def __iter__(self) -> Iterator[dict]:
        """All examples, in order."""
        return (self[index] for index in range(len(self)))

    def column(self, field: str) -> np.ndarray:
        """One label field of all examples that can be read, [N, ...].

        Reads them one by one; overridden where labels are known without an image.
        """
        values = []
        for index in range(len(self)):
            with contextlib.suppress(Unreadable):
                values.append(self[index][field])
        return np.array(values)

    def files(self, index: int) -> tuple[str, ...]:
        """Paths of what an example is read from, its picture first; or none."""
        return ()

    def identify(self, index: int) -> str:
        """What a person would look for: a file, a row, an id."""
        return f'example {index}'


class Source(abc.ABC):
    """A description of where examples come from.

    Attributes:
      default_size: side to which images are brought where a config names neither
        `Images.size` nor transforms; None leaves them as they are.
    """

    default_size: ClassVar[int | None] = None

    @abc.abstractmethod
    def open(self, split: str) -> Examples:
        """The examples of a split expression such as 'train[:90%]'.

        Raises:
          UserError: nothing is there, or no such split.
        """


def digest(*facts) -> str:
    """A fingerprint: hex SHA-256 of JSON-able facts, the same on every machine."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def printable(text: str) -> str:
    """A name as one line of valid Unicode, whatever bytes a file system holds."""
    shown = text.encode('utf-8', 'backslashreplace').decode()
    return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
