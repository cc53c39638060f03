"""Looking for a TFDS data set leaves nothing behind."""

import tempfile

import pytest

from trainer.data.images import Images
from trainer.errors import UserError


def test_an_unprepared_set_leaves_no_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    monkeypatch.setattr('trainer.data.find_tfds.tensorflow_is_installed', lambda: False)
    images = Images(
        name='mnist', data_dir=str(tmp_path / 'data'), split='train', batch=4
    )
    with pytest.raises(UserError, match='never prepared'):
        images.open()
    assert not list(tmp_path.glob('tmp*'))
