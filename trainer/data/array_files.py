"""Reads NumPy files and says what their arrays are; knows no split expression."""

import hashlib
import os
import re
import textwrap

import numpy as np

from trainer.data.source import printable
from trainer.data.splits import canonical
from trainer.errors import UserError

ROLES = {
    'image': ('image', 'images', 'x', 'data', 'inputs', 'features'),
    'label': ('label', 'labels', 'y', 'target', 'targets', 'classes'),
}
SLACK = 1e-3  # by which floats may leave [0, 1], after a resize for example
Parts = dict[str | None, dict[str, np.ndarray]]


def load(path: str) -> dict[str, np.ndarray]:
    """Arrays by name; never unpickles."""
    name = printable(path)
    try:
        # NumPy leaves a broken archive open.
        with open(os.path.expanduser(path), 'rb') as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {'images': _as_text(loaded)}
            with loaded:
                return {key: _as_text(loaded[key]) for key in loaded.files}
    except OSError as error:
        raise UserError(f'{name} cannot be read: {error.strerror or error}.') from error
    except Exception as error:  # whatever a broken archive makes NumPy raise
        reason = textwrap.shorten(str(error), 120)  # it may quote the file
        raise UserError(
            f'{name} is no .npz or .npy file of plain arrays: {reason}.'
        ) from error


def sort(name: str, found: dict[str, np.ndarray]) -> Parts:
    """Arrays by split and role: 'x_train' and 'train_images' are split and role."""
    parts: Parts = {}
    for key, array in found.items():
        words = [word for word in re.split('[^a-z]+', key.lower()) if word]
        roles = [r for r, names in ROLES.items() if set(words) & set(names)]
        splits = [canonical(word) for word in words if canonical(word)]
        if len(roles) == 1 and len(words) == 1 + len(splits) <= 2:
            if not array.ndim or array.dtype.kind not in 'uifbU':
                raise UserError(
                    f'{name}: {key} is of type {array.dtype} and shape {array.shape}; '
                    f'expected N numbers, images, vectors or names.'
                )
            parts.setdefault(splits[0] if splits else None, {})[roles[0]] = array
    for split, fields in parts.items():
        counts = {role: len(fields.get(role, ())) for role in ROLES}
        if len(set(counts.values())) != 1 or not counts['label']:
            where = f' of {split}' if split else ''
            raise UserError(
                f'{name} has {counts["image"]} images{where} and {counts["label"]} '
                f'labels; expected as many of both, and one at least.'
            )
    if not parts:
        raise UserError(
            f'{name} has the arrays {", ".join(found)}; expected images and labels, or '
            f'x_train, y_train, x_test and y_test.'
        )
    if len(parts) > 1 and None in parts:
        if 'train' in parts:
            raise UserError(
                f'{name} has arrays of a split called train and others of none; '
                f'expected a split for each, as in x_train and x_test.'
            )
        parts['train'] = parts.pop(None)
    return parts


def join(name: str, parts: Parts, role: str) -> np.ndarray:
    """The arrays of a role, of all splits one after the other."""
    arrays = [fields[role] for fields in parts.values()]
    if len({array.shape[1:] for array in arrays}) > 1:
        shapes = ', '.join(str(array.shape) for array in arrays)
        raise UserError(f'{name}: {role}s of the splits do not match: {shapes}.')
    return np.concatenate(arrays)


def kind_of(labels: np.ndarray) -> str:
    """'label', 'labels' or 'target', by type and shape."""
    if labels.ndim > 1 and labels.shape[1] > 1:
        return 'labels' if np.isin(labels, (0, 1)).all() else 'target'
    return 'label' if labels.dtype.kind in 'iubU' else 'target'


def as_images(name: str, images: np.ndarray) -> np.ndarray:
    """uint8 or float32, [N, H, W, C] or [N, F]."""
    empty = 0 in images.shape[1:]
    if images.dtype.kind not in 'uifb' or images.ndim not in (1, 2, 3, 4) or empty:
        raise UserError(
            f'{name} has images of type {images.dtype} and shape {images.shape}; '
            f'expected numbers, [N, H, W, C] or [N, F].'
        )
    if images.ndim <= 2:
        with np.errstate(over='ignore'):  # what becomes infinite is named
            return images.reshape(len(images), -1).astype(np.float32)
    images = images[..., None] if images.ndim == 3 else images
    if images.shape[-1] not in (1, 3):
        first = images.shape[1] in (1, 3)
        mend = ': put the channels last, .transpose(0, 2, 3, 1)' if first else ''
        raise UserError(
            f'{name} has images of {images.shape[-1]} channels, shape {images.shape}; '
            f'expected [N, H, W, 1] or [N, H, W, 3]{mend}.'
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != 'f':
        raise UserError(
            f"{name} has images of {images.dtype}; expected uint8 (.astype('uint8') if "
            f'they are 0 to 255) or floats in [0, 1].'
        )
    _check_range(name, images)
    return images.astype(np.float32)


def as_values(name: str, kind: str, labels: np.ndarray) -> np.ndarray:
    """Labels of a kind: [N] of any values, or [N, C] float32."""
    flat = labels.reshape(len(labels), -1)
    if kind == 'label':
        whole = labels.dtype.kind != 'f' or (labels == np.round(labels)).all()
        if flat.shape[1] == 1 and whole:
            return flat[:, 0] if labels.dtype.kind != 'f' else flat[:, 0].astype(int)
    elif labels.dtype.kind in 'uifb':
        return flat.astype(np.float32)
    raise UserError(
        f'{name} has labels of shape {labels.shape} and type {labels.dtype}, which are '
        f'no {kind}; see Arrays.kind.'
    )


def usable(name: str, images, values) -> tuple[np.ndarray, list[str]]:
    """Which rows hold finite numbers alone, [N] bool, and a line for each other."""
    problems, good = [], np.ones(len(images), bool)
    for role, array in (('image', images), ('label', values)):
        if array.dtype.kind != 'f':
            continue
        finite = np.isfinite(array.reshape(len(array), -1)).all(1)
        problems += [
            f'{name}, row {row}: the {role} is not finite'
            for row in np.flatnonzero(good & ~finite)
        ]
        good &= finite
    return good, problems


def classes(name: str, values: np.ndarray, names) -> tuple[np.ndarray, list[str]]:
    """Labels as int32 0..C-1, and the names of the C classes.

    Where the file names them, a label is a place in `names`; else the values that
    occur are the classes, in their order.
    """
    names = np.ravel(names).astype(str).tolist()
    if names and values.dtype.kind in 'iu':
        low, high = values.min(initial=0), values.max(initial=0)
        if low < 0 or high >= len(names):
            raise UserError(
                f'{name} has labels from {low} to {high}, but {len(names)} class_names '
                f'({textwrap.shorten(", ".join(names), 60)}); expected a name for each.'
            )
        return values.astype(np.int32), names
    known, places = np.unique(values, return_inverse=True)
    return places.reshape(-1).astype(np.int32), [str(value) for value in known]


def _as_text(array):
    """Bytes as Unicode, which is what all else here knows; the rest as it is."""
    kind = array.dtype.kind
    return np.char.decode(array, 'utf-8', 'replace') if kind == 'S' else array


def _check_range(name, images):
    """Raises UserError for floats that are no share of white."""
    finite = np.isfinite(images)
    low, high = (f(images, where=finite, initial=0) for f in (np.min, np.max))
    if low < -SLACK or high > 1 + SLACK:
        raise UserError(
            f'{name} has images of floats from {low:g} to {high:g}; expected [0, 1]: '
            f'divide them, such as by 255, or save them as uint8.'
        )


def summary(array: np.ndarray) -> list:
    """What tells an array from any other: shape, type and a hash of its bytes."""
    contents = np.ascontiguousarray(array)
    hashed = hashlib.sha256(contents.view(np.uint8)).hexdigest()
    return [array.shape, str(array.dtype), hashed]
