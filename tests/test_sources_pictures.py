"""Decoding: every kind of picture to the same uint8, every broken file to one line."""

import io
import os
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.picture_folders import picture
from trainer.data import pictures
from trainer.data.pictures import conform, decode, read_picture
from trainer.data.source import Unreadable
from trainer.transforms import resize

RGB = picture(height=30, width=37)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reference(data):
    """What Pillow makes of it."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.array(picture.convert('RGBA').convert('RGB'))


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF'])
@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'L', 'P', 'CMYK', '1', 'LA'])
def test_every_mode_of_every_kind_is_what_pillow_sees(kind, mode):
    try:
        data = encoded(Image.fromarray(RGB).convert(mode), kind)
    except (OSError, KeyError, ValueError):
        pytest.skip(f'{kind} has no mode {mode}')
    image = decode(data, 'it')
    assert image.dtype == np.uint8 and image.shape[-1] in (1, 3)
    np.testing.assert_array_equal(conform(image, 3), reference(data))


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'WEBP'])
@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_pictures_stand_upright_unless_asked_otherwise(kind, mode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(RGB).convert(mode), kind, exif=exif)
    np.testing.assert_array_equal(conform(decode(data, 'it'), 3), reference(data))
    if kind != 'TIFF':  # Pillow itself turns these
        assert decode(data, 'it', upright=False).shape[:2] == RGB.shape[:2]


@pytest.mark.parametrize('suffix', ['.png', '.tiff'])
def test_of_sixteen_bits_the_high_byte_is_kept(suffix):
    deep = np.arange(30 * 37, dtype=np.uint16).reshape(30, 37) * 59
    data = cv2.imencode(suffix, deep)[1].tobytes()
    np.testing.assert_array_equal(decode(data, 'it')[..., 0], deep >> 8)
    colour = np.stack([deep, deep // 2, deep // 3], axis=-1)
    if suffix == '.png':
        data = cv2.imencode(suffix, colour[..., ::-1])[1].tobytes()
        np.testing.assert_array_equal(decode(data, 'it'), colour >> 8)


def test_of_an_animation_the_first_frame_is_kept():
    frames = [Image.fromarray(np.full_like(RGB, level)) for level in (10, 200)]
    data = encoded(frames[0], 'GIF', save_all=True, append_images=frames[1:])
    assert set(np.unique(decode(data, 'it'))) == {10}


def test_a_transparent_palette_gives_its_colours():
    image = Image.fromarray(RGB).convert('P')
    data = encoded(image, 'PNG', transparency=bytes(range(256)))
    np.testing.assert_array_equal(decode(data, 'it'), reference(data))


@pytest.mark.parametrize('mode', ['RGB', 'L'])
@pytest.mark.parametrize('orientation', [1, 6])
def test_a_large_jpeg_may_be_decoded_smaller(mode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    large = Image.fromarray(picture(height=640, width=500)).convert(mode)
    data = encoded(large, 'JPEG', exif=exif)
    whole = decode(data, 'it')
    for enough, shrink in [(251, 1), (250, 2), (64, 4), (62, 8), (2, 8)]:
        small = decode(data, 'it', enough=enough)
        sides = [-(-side // shrink) for side in whole.shape[:2]]
        assert small.shape == (*sides, whole.shape[-1])
        expected = resize(whole, *sides).astype(int)
        assert np.abs(small - expected).max() <= 4


@pytest.mark.parametrize('mode', ['RGB', 'L'])
@pytest.mark.parametrize('progressive', [False, True])
def test_the_header_of_a_jpeg_is_read_as_pillow_reads_it(mode, progressive):
    image = Image.fromarray(RGB).convert(mode)
    data = encoded(image, 'JPEG', progressive=progressive, comment=b'x' * 999)
    assert pictures._jpeg_header(data) == (image.size, len(mode))
    for left in range(len(data)):
        assert pictures._jpeg_header(data[:left]) is None  # no whole JPEG
    ended = {pictures._jpeg_header(data[:n] + b'\xff\xd9') for n in range(len(data))}
    assert ended == {None, (image.size, len(mode))}


def test_channels_follow_the_set():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(conform(grey, 3)[..., 2], grey[..., 0])
    np.testing.assert_array_equal(conform(conform(grey, 3), 1), grey)


GOOD = encoded(Image.fromarray(RGB), 'JPEG')
PNG = encoded(Image.fromarray(RGB), 'PNG')
BROKEN = {
    'empty': (b'', 'an empty file'),
    'html': (b'<!doctype html><h1>404</h1>', 'HTML or XML'),
    'svg': (b'  <svg xmlns=""/>', 'HTML or XML'),
    'text': (b'nothing of the kind', 'no picture of a known kind'),
    'cut jpeg': (GOOD[: len(GOOD) // 2], 'damaged'),
    'cut png': (PNG[: len(PNG) // 2], 'damaged'),
    'crc of png': (PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:], 'damaged'),
    'header of jpeg alone': (GOOD[:20], 'known kind|damaged'),
    'float': (
        encoded(Image.fromarray(RGB[..., 0].astype(np.float32)), 'TIFF'),
        'floating-point',
    ),
}


@pytest.mark.parametrize('kind', BROKEN)
def test_a_broken_file_is_one_line_with_its_name(kind, tmp_path, capfd):
    data, reason = BROKEN[kind]
    path = tmp_path / 'it.jpg'
    path.write_bytes(data)
    with pytest.raises(Unreadable, match=rf'it\.jpg: .*({reason})') as caught:
        read_picture(str(path))
    assert '\n' not in str(caught.value)
    assert capfd.readouterr().err == ''


def test_missing_unreadable_and_odd_files_are_one_line(tmp_path, monkeypatch):
    with pytest.raises(Unreadable, match=r'gone\.jpg: No such file'):
        read_picture(str(tmp_path / 'gone.jpg'))
    os.mkfifo(tmp_path / 'pipe.jpg')
    with pytest.raises(Unreadable, match=r'pipe\.jpg: no regular file'):
        read_picture(str(tmp_path / 'pipe.jpg'))
    path = tmp_path / 'large.jpg'
    path.write_bytes(GOOD)
    monkeypatch.setattr(pictures, 'MAX_BYTES', 100)
    with pytest.raises(Unreadable, match=r'large\.jpg: .* MiB'):
        read_picture(str(path))

    def denied(*_):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(os, 'open', denied)
    with pytest.raises(Unreadable, match='Permission denied'):
        read_picture(str(path))


def bomb(side):
    """A PNG of a few kB that promises side x side pixels."""

    def chunk(kind, body):
        crc = zlib.crc32(kind + body).to_bytes(4)
        return len(body).to_bytes(4) + kind + body + crc

    header = side.to_bytes(4) * 2 + bytes([8, 0, 0, 0, 0])
    body = zlib.compress(bytes(side + 1) * 64, 9)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', body)


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path):
    (tmp_path / 'bomb.png').write_bytes(bomb(20000))
    code = f"""
import resource
from trainer.data.pictures import read_picture
from trainer.data.source import Unreadable
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_picture({str(tmp_path / 'bomb.png')!r})
except Unreadable as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = [sys.executable, '-W', 'error', '-c', code]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    said, grown = done.stdout.strip().splitlines()
    assert said.endswith('bomb.png: 20,000 x 20,000 pixels, more than 50 million')
    assert int(grown) < 100 * 1024  # kB
    assert done.stderr == ''


def test_names_of_any_bytes_are_read_and_shown(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b'/\xff\xfe\n.jpg')
    with open(path, 'wb') as file:
        file.write(GOOD)
    assert read_picture(path).shape == RGB.shape
    with open(path, 'wb') as file:
        file.write(b'')
    with pytest.raises(Unreadable) as caught:
        read_picture(path)
    assert str(caught.value).isprintable()
