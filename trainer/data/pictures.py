"""Decodes one image file to uint8, whatever its kind; one line where it cannot.

Grey pictures (1, L, LA, 16-bit) become [H, W, 1], all others [H, W, 3] RGB. Alpha is
dropped, of 16 bits the high byte is kept, of an animation the first frame, and what
EXIF says of the camera's turn is done. Knows bytes and pixels, nothing of labels.
"""

import io
import os
import stat
import struct

import cv2
import numpy as np
from PIL import Image, ImageOps

from trainer.data.source import Unreadable, printable

SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff')
MAX_PIXELS = 50_000_000  # what a header may promise before anything is decoded
MAX_BYTES = 64 * 2**20
GREY = ('1', 'L', 'LA', 'La', 'I', 'I;16', 'I;16B', 'I;16L', 'I;16N')
START_OF_JPEG, END_OF_JPEG, TAIL = b'\xff\xd8', b'\xff\xd9', 1024
FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive; Huffman-coded

# What cannot be decoded is named by us, in one line.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
Image.MAX_IMAGE_PIXELS = None  # the limit is ours, see `_check_pixels`


def read_picture(
    path: str, channels: int | None = None, enough: int | None = None
) -> np.ndarray:
    """The picture in a file, uint8 [H, W, C].

    Args:
      path: of a regular file of at most MAX_BYTES.
      channels: 1 or 3; None for those that it has.
      enough: pixels of the short side that will do, see `decode`.

    Raises:
      Unreadable: it is not there, or no picture, or damaged, or too large.
    """
    picture = decode(read_bytes(path), printable(path), enough=enough)
    return conform(picture, channels)


def read_bytes(path: str) -> bytes:
    """The contents of a regular file of a sane size; raises Unreadable."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return _read_all(file, path)
        finally:
            os.close(file)
    except OSError as error:
        raise Unreadable(f'{printable(path)}: {os.strerror(error.errno)}') from error


def _read_all(file, path):
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable(f'{printable(path)}: no regular file')
    if status.st_size > MAX_BYTES:
        raise Unreadable(
            f'{printable(path)}: {status.st_size / 2**20:,.0f} MiB, more than '
            f'{MAX_BYTES // 2**20}'
        )
    parts, missing = [], status.st_size
    while missing and (part := os.read(file, missing)):
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b''.join(parts)


def decode(
    data: bytes, name: str, upright: bool = True, enough: int | None = None
) -> np.ndarray:
    """Encoded bytes -> uint8 [H, W, 1 or 3].

    Args:
      data: of an image file.
      name: for the message.
      upright: whether EXIF's turn is done.
      enough: a JPEG whose short side stays at least so long is decoded at a half, a
        quarter or an eighth of its size, which costs a fraction of the time.

    Raises:
      Unreadable: they are no picture, or a damaged one, or promise too many pixels.
    """
    try:
        size, channels = _jpeg_header(data) or (None, None)
        if size:
            _check_pixels(size, name)
            shrink = _shrink(size, enough)
            decoded = _by_opencv(data, channels, upright, shrink)
            if decoded is not None:
                return decoded
        with Image.open(io.BytesIO(data)) as picture:
            _check_pixels(picture.size, name)
            return _by_pillow(picture, name, upright)
    except Unreadable:
        raise
    except Exception as error:  # whatever broken bytes make a decoder raise
        raise Unreadable(f'{name}: {_reason(data, error)}') from error


def is_grey(path: str) -> bool | None:
    """Whether a picture has one channel, by its header; None where there is none."""
    try:
        with Image.open(path) as picture:
            return picture.mode in GREY
    except Exception:
        return None


def conform(image: np.ndarray, channels: int | None) -> np.ndarray:
    """Grey <-> RGB, [H, W, 1 or 3] -> [H, W, channels]; None leaves it as it is."""
    if channels in (None, image.shape[-1]):
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=-1)
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]


def sides(image: np.ndarray) -> str:
    """Such as '640 x 480', width first as people say it."""
    return f'{image.shape[1]} x {image.shape[0]}'


def _jpeg_header(data):
    """((width, height), channels) of a whole JPEG that OpenCV reads as Pillow does.

    None for all else: other kinds, CMYK, 12 bits, an end that is missing. A fifth of
    the time that Pillow takes to open one (ITU T.81, B.2: 0xff, marker, length).
    """
    # Some versions of OpenCV give half a picture where the end is missing.
    if data[:2] != START_OF_JPEG or END_OF_JPEG not in data[-TAIL:]:
        return None
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in FRAMES:
            bits, height, width, channels = struct.unpack_from('>BHHB', data, at + 4)
            known = bits == 8 and height and width and channels in (1, 3)
            return ((width, height), channels) if known else None
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def _check_pixels(size, name):
    width, height = size
    if width * height > MAX_PIXELS:
        raise Unreadable(
            f'{name}: {width:,} x {height:,} pixels, more than '
            f'{MAX_PIXELS // 10**6} million'
        )


def _shrink(size, enough):
    """1, 2, 4 or 8: by how much a picture may be smaller."""
    fitting = [n for n in (8, 4, 2) if enough and min(size) >= n * enough]
    return fitting[0] if fitting else 1


def _by_opencv(data, channels, upright, shrink):
    """Twice as fast as Pillow, the same pixels; None where it fails."""
    flags = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
    if shrink > 1:
        kind = 'GRAYSCALE' if channels == 1 else 'COLOR'
        flags = getattr(cv2, f'IMREAD_REDUCED_{kind}_{shrink}')
    if not upright:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        return None
    if channels == 1:
        return image[..., None]
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if shrink > 1 else image


def _by_pillow(picture, name, upright):
    if upright:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode == 'F':
        raise Unreadable(f'{name}: floating-point pixels, which have no known range')
    if picture.mode.startswith('I'):
        return (np.asarray(picture).clip(0, 2**16 - 1) >> 8).astype(np.uint8)[..., None]
    if picture.mode in GREY:
        return np.array(picture.convert('L'))[..., None]
    if picture.mode == 'P':  # through RGBA, or a transparent colour makes it warn
        picture = picture.convert('RGBA')
    return np.array(picture.convert('RGB'))


def _reason(data, error):
    if not data:
        return 'an empty file'
    if data[:1024].lstrip()[:1] == b'<':
        return 'HTML or XML, no picture'
    if isinstance(error, Image.UnidentifiedImageError):
        return 'no picture of a known kind'
    return f'damaged ({" ".join(str(error).split())[:80]})'
