"""What is unusual about a picture file, by its header; decodes nothing.

Knows bytes, and no data set: whether a trait is odd there is asked elsewhere.
"""

import dataclasses
import io

from PIL import Image

from trainer.data.pictures import GREY

TURNED = 0x0112  # EXIF's tag of the camera's turn; 1 is upright
BITS = 258  # TIFF's tag of the bits of each channel
PNG, PNG_DEPTH = b'\x89PNG', 24  # where a PNG has the bits of a channel
GREYSCALE = 'greyscale'


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file says of its picture.

    Attributes:
      width, height: in pixels, as stored.
      traits: such as 'CMYK', '16-bit', 'EXIF-rotated'.
    """

    width: int
    height: int
    traits: tuple[str, ...]


def read_header(data: bytes) -> Header | None:
    """The header of an image file's bytes; None where no picture begins there."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            found = {
                'RGBA': picture.mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La'),
                'CMYK': picture.mode == 'CMYK',
                '16-bit': _is_deep(picture, data),
                GREYSCALE: picture.mode in GREY,
                'palette': picture.mode in ('P', 'PA'),
                'animated': getattr(picture, 'n_frames', 1) > 1,
                'EXIF-rotated': picture.getexif().get(TURNED, 1) != 1,
            }
            traits = tuple(name for name, there in found.items() if there)
            return Header(*picture.size, traits)
    except Exception:  # whatever broken bytes make a decoder raise
        return None


def _is_deep(picture, data: bytes) -> bool:
    """Whether a channel has 16 bits, which a mode of Pillow's need not show."""
    if data.startswith(PNG):
        return data[PNG_DEPTH] == 16
    bits = getattr(picture, 'tag_v2', {}).get(BITS, (8,))
    return picture.mode.startswith('I;16') or 16 in bits
