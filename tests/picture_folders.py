"""Folders of real picture files, good and broken, for the tests of sources."""

import pathlib

import cv2
import numpy as np
from PIL import Image

COLOURS = {'ant': (200, 30, 30), 'bee': (30, 200, 30), 'cat': (30, 30, 200)}


def picture(colour=(200, 30, 30), height=40, width=48, seed=0):
    """A smooth coloured picture that JPEG keeps well, [H, W, 3] uint8."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 40, width)[None, :, None] * rng.uniform(0.5, 1)
    image = np.array(colour)[None, None] + ramp + np.zeros((height, 1, 1))
    return image.clip(0, 255).astype(np.uint8)


def write(path, image):
    """A file of the kind that its name says."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(path.suffix.lower(), image[..., ::-1])[1]
    path.write_bytes(encoded.tobytes())
    return path


def write_classes(root, per_class=10, classes=COLOURS, suffix='.jpg'):
    """root/CLASS/NUMBER.jpg for each class."""
    for name in classes:
        for number in range(per_class):
            image = picture(COLOURS.get(name, (90, 90, 90)), seed=number)
            write(root / name / f'{number}{suffix}', image)
    return root


def write_zoo(root):
    """Three classes with one of each trouble: the folder that `data` must explain.

    2 corrupt files, 1 empty class, 1 duplicate across splits, RGBA, greyscale, CMYK,
    EXIF-rotated, 16-bit.
    """
    for split, count in (('train', 8), ('test', 3)):
        write_classes(root / split, count)
    (root / 'train/dog').mkdir()
    (root / 'train/ant/broken.jpg').write_bytes(b'<html>404</html>')
    whole = (root / 'train/bee/0.jpg').read_bytes()
    (root / 'train/bee/cut.JPG').write_bytes(whole[: len(whole) // 2])
    (root / 'test/cat/copy.jpg').write_bytes((root / 'train/cat/1.jpg').read_bytes())
    image = Image.fromarray(picture(COLOURS['cat']))
    image.convert('RGBA').save(root / 'train/cat/alpha.png')
    image.convert('L').save(root / 'train/cat/grey.PNG')
    image.convert('CMYK').save(root / 'train/cat/print.jpeg')
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(root / 'train/cat/turned.jpg', exif=exif)
    deep = np.full((40, 48), 30000, np.uint16)
    cv2.imwrite(str(root / 'train/cat/deep.png'), deep)
    return root
