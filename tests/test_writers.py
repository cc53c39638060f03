"""Metrics are strict JSON, resumable to the byte, and read by TensorBoard itself."""

import functools
import json
import math
import subprocess
import sys
import threading

import jax.numpy as jnp
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainer import provenance, writers
from trainer.trackers import MultiWriter, Start, TensorBoardWriter
from trainer.writers import JsonlWriter, MetricWriter


def write_lines(path, *lines):
    """A metrics.jsonl from (step, scalars) pairs."""
    writer = JsonlWriter(path)
    for step, scalars in lines:
        writer.write_scalars(step, scalars)
    writer.close()


def test_a_line_holds_the_step_and_the_keys_in_order(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    write_lines(path, (10, {'train/loss': 0.5, 'a': None, 'epoch': 2}), (11, {}))
    assert path.read_text() == (
        '{"step": 10, "train/loss": 0.5, "a": null, "epoch": 2}\n{"step": 11}\n'
    )


def test_numbers_of_any_kind_are_written_exactly_and_alike(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    value = np.float32(0.1)
    kinds = {'a': value, 'b': float(value), 'c': jnp.float32(0.1), 'd': np.array(value)}
    write_lines(path, (1, kinds), (np.int64(2), {'n': np.int32(3), 'pi': math.pi}))
    first, second = map(json.loads, path.read_text().splitlines())
    assert {first[key] for key in 'abcd'} == {float(value)}
    assert second == {'step': 2, 'n': 3, 'pi': math.pi}


def test_json_has_no_word_for_nan(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    write_lines(path, (1, {'a': float('nan'), 'b': -np.inf, 'c': jnp.nan}))
    assert path.read_text() == '{"step": 1, "a": null, "b": null, "c": null}\n'


def test_a_line_is_out_when_the_call_returns(tmp_path):
    writer = JsonlWriter(tmp_path / 'metrics.jsonl')
    writer.write_scalars(1, {'a': 1.0})
    assert len(writers.read(tmp_path / 'metrics.jsonl')) == 1
    writer.close()
    writer.close()


@pytest.mark.parametrize('torn', ['', '{"step": 3, "lo', '{"step": 3}', '\0\0\0'])
def test_a_run_that_goes_on_leaves_the_same_bytes(tmp_path, torn):
    lines = [(step, {'train/loss': 1 / step}) for step in range(1, 6)]
    whole, resumed = tmp_path / 'whole.jsonl', tmp_path / 'resumed.jsonl'
    write_lines(whole, *lines)
    write_lines(resumed, *lines[:4])
    with resumed.open('a') as file:
        file.write(torn)
    writers.truncate(resumed, 2)
    write_lines(resumed, *lines[2:])
    assert resumed.read_bytes() == whole.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [resumed.name, whole.name]


def test_truncate_touches_nothing_without_need(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    writers.truncate(path, 3)
    assert not path.exists()
    write_lines(path, (3, {}))
    inode = path.stat().st_ino
    writers.truncate(path, 3)
    assert path.stat().st_ino == inode
    writers.truncate(path, -1)
    assert path.read_text() == ''


def test_the_history_has_one_entry_an_evaluation(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    assert writers.history(path) == []
    write_lines(
        path,
        (5, {'train/loss': 2.0}),
        (10, {'epoch': 1, 'val/loss': 9.0, 'perf/seconds': 4.0}),
        (10, {'epoch': 1, 'val/loss': 1.5}),
        (20, {'epoch': 2, 'val/loss': None}),
    )
    assert writers.history(path) == [
        {'step': 10, 'epoch': 1, 'val/loss': 1.5},
        {'step': 20, 'epoch': 2, 'val/loss': None},
    ]


class Broken(MetricWriter):
    """A writer whose server has gone."""

    def write_scalars(self, step, scalars):
        """Fails."""
        raise ConnectionError('server\nhas gone')

    close = flush = lambda self: self.write_scalars(0, {})


def test_a_writer_that_fails_warns_once_and_stops_nothing(tmp_path, capsys):
    path = tmp_path / 'metrics.jsonl'
    writer = MultiWriter([Broken, functools.partial(JsonlWriter, path)])
    writer.write_hparams({'name': 'a'})
    for step in range(3):
        writer.write_scalars(step, {'a': 1.0})
    writer.flush()
    writer.close()
    assert len(writers.read(path)) == 3
    warning = capsys.readouterr().err
    assert warning.count('\n') == 1
    assert warning.startswith('warning: Broken failed')
    assert 'ConnectionError: server has gone' in warning


def test_the_interface_is_that_of_clu():
    names = {name for name in vars(MetricWriter) if not name.startswith('_')}
    assert names - {'durable', 'needs'} <= set(vars(MultiWriter))
    assert names == {
        *('write_scalars', 'write_hparams', 'write_texts', 'write_images'),
        *('write_histograms', 'flush', 'close'),
        *('end', 'durable', 'needs'),
    }


def load(directory):
    """What TensorBoard's own loader finds."""
    directory = str(directory / 'tensorboard')
    loaded = EventAccumulator(directory, size_guidance={'scalars': 0, 'images': 0})
    return loaded.Reload()


def curve(directory, tag):
    """[(step, value)] as TensorBoard would draw it."""
    return [(event.step, event.value) for event in load(directory).Scalars(tag)]


def test_tensorboard_reads_all_that_is_written(tmp_path):
    writer = TensorBoardWriter(Start(directory=tmp_path))
    writer.write_scalars(1, {'train/loss': np.float32(0.5), 'val/acc_class_3': None})
    writer.write_scalars(2, {'train/loss': float('nan')})
    writer.write_texts(2, {'note': '**hello**'})
    writer.write_histograms(2, {'weights': np.arange(100.0)}, {'weights': 10})
    writer.write_hparams(
        {'name': 'a', 'depth': 18, 'rate': 0.1, 'x': None, 'y': (1, 2)}
    )
    red = np.zeros((2, 4, 6, 3))
    red[..., 0] = 1.0
    writer.write_images(2, {'rgb': red, 'gray': np.full((1, 4, 6, 1), 7, np.uint8)})
    writer.close()
    loaded = load(tmp_path)
    (one, two) = loaded.Scalars('train/loss')
    assert (one.step, one.value, two.step) == (1, 0.5, 2)
    assert math.isnan(two.value)
    assert set(loaded.Tags()['scalars']) == {'train/loss'}
    assert set(loaded.Tags()['images']) == {'rgb/0', 'rgb/1', 'gray/0'}
    assert set(loaded.Tags()['tensors']) >= {'note/text_summary'}
    assert sum(loaded.Histograms('weights')[0].histogram_value.bucket) == 100
    assert (
        b'depth'
        in loaded.SummaryMetadata('_hparams_/session_start_info').plugin_data.content
    )


def test_images_keep_their_colours(tmp_path):
    cv2 = pytest.importorskip('cv2')
    writer = TensorBoardWriter(Start(directory=tmp_path))
    image = np.random.default_rng(0).integers(0, 256, (1, 5, 7, 3), np.uint8)
    writer.write_images(3, {'x': image})
    writer.close()
    (event,) = load(tmp_path).Images('x/0')
    png = np.frombuffer(event.encoded_image_string, np.uint8)
    decoded = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert (event.width, event.height, event.step) == (7, 5, 3)
    np.testing.assert_array_equal(decoded, image[0])


def test_a_run_that_goes_on_draws_no_step_twice(tmp_path):
    first = TensorBoardWriter(Start(directory=tmp_path))
    for step in (1, 2, 3, 4):
        first.write_scalars(step, {'loss': float(step)})
    first.close()
    second = TensorBoardWriter(Start(directory=tmp_path, resumed_from=2))  # at once
    for step in (3, 4, 5):
        second.write_scalars(step, {'loss': -float(step)})
    second.close()
    assert len(list((tmp_path / 'tensorboard').iterdir())) == 2
    assert curve(tmp_path, 'loss') == [(1, 1), (2, 2), (3, -3), (4, -4), (5, -5)]


def test_flush_brings_everything_into_the_file(tmp_path):
    writer = TensorBoardWriter(Start(directory=tmp_path))
    for step in range(200):
        writer.write_scalars(step, {'loss': 1.0})
    writer.flush()
    assert len(curve(tmp_path, 'loss')) == 200
    writer.close()


def test_no_thread_is_left_and_none_keeps_python_alive(tmp_path):
    before = threading.active_count()
    make = functools.partial(TensorBoardWriter, Start(directory=tmp_path / 'a'))
    writer = MultiWriter([make])
    writer.close()
    writer.close()
    assert threading.active_count() == before
    code = (
        'import sys, pathlib, functools\n'
        'from trainer.trackers import MultiWriter, Start, TensorBoardWriter as W\n'
        f's = Start(directory=pathlib.Path({str(tmp_path / "b")!r}))\n'
        'w = MultiWriter([functools.partial(W, s)])\n'
        'w.write_scalars(1, {"a": 1.0}); w.flush()\n'
        'sys.exit(3 if "tensorflow" in sys.modules else 0)'
    )
    command = [sys.executable, '-c', code]
    assert subprocess.run(command, cwd=provenance.SOURCE, timeout=60).returncode == 0
    assert curve(tmp_path / 'b', 'a') == [(1, 1.0)]


def test_final_scores_are_taken_again(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    kept = '{"step": 3, "train/loss": 1.0}\n{"step": 3, "epoch": 1, "test/loss": 1.0}\n'
    path.write_text(kept + '{"step": 3, "test/loss": 0.5}\n')
    writers.truncate(path, 3)
    assert path.read_text() == kept
