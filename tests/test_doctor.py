"""The doctor finds what is wrong with a machine and says what mends it."""

import collections
import json
import shutil
import subprocess

import jax
import pytest

import main
from trainer import accelerators, doctor
from trainer.doctor import Check


def test_this_machine_can_train(capsys):
    checks = doctor.examine()
    assert [check for check in checks if check.status == 'fail'] == []
    names = [check.name for check in checks]
    assert names[0] == 'python' and {'jax', 'orbax-checkpoint', 'tqdm'} <= set(names)
    by_name = {check.name: check.message for check in checks}
    assert by_name['digits'] == '1,797 images of 8x8x1'
    assert by_name['devices'].startswith(f'{jax.device_count()} x cpu')
    assert doctor.summary(checks).endswith('0 to mend')


def test_the_command_gives_lines_or_json(monkeypatch, capsys):
    found = [Check('python', 'ok', '3.11'), Check('jax', 'warn', 'old')]
    monkeypatch.setattr(doctor, 'examine', lambda: found)
    assert main.main(['main.py', 'doctor']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ['warn', 'jax', 'old']
    assert lines[2] == '1 ok, 1 to know, 0 to mend'
    found.append(Check('digits', 'fail', 'gone'))
    assert main.main(['main.py', 'doctor', '--json']) == 2
    listed = json.loads(capsys.readouterr().out)
    assert listed[-1] == {'name': 'digits', 'status': 'fail', 'message': 'gone'}


@pytest.mark.parametrize(
    ('version', 'wanted', 'good'),
    [
        ('0.10.2', '>=0.10.2,<0.12', True),
        ('0.12.0', '>=0.10.2,<0.12', False),
        ('0.12rc1', '<0.12', False),
        ('0.9.9', '>=0.10', False),
        ('5.0.0.93', '>=4.10', True),
        ('2', '==2.0', True),
        ('7', '', True),
    ],
)
def test_ranges(version, wanted, good):
    assert doctor.in_range(version, wanted) is good


def test_requirements_are_read_with_their_ranges(tmp_path):
    path = tmp_path / 'requirements.txt'
    path.write_text('# a comment\n-r other.txt\njax>=0.1,<0.2   # why\ntqdm\n')
    assert doctor.requirements(path) == [('jax', '>=0.1,<0.2'), ('tqdm', '')]
    assert ('numpy', '>=2.0') in doctor.requirements()


def test_packages_that_are_missing_or_old():
    missing = doctor.package('no-such-package', '>=1')
    assert missing.status == 'fail'
    assert missing.message == 'is not installed: pip install "no-such-package>=1"'
    old = doctor.package('jax', '>=99')
    assert old.status == 'fail' and 'pip install "jax>=99"' in old.message


def test_a_check_that_breaks_is_a_finding(monkeypatch):
    def broken():
        raise RuntimeError('no driver\nat all')

    monkeypatch.setattr(jax, 'devices', broken)
    (check,) = [c for c in doctor.examine() if c.name == 'devices']
    assert check == Check('devices', 'fail', 'RuntimeError: no driver at all')


@pytest.mark.parametrize(
    ('kind', 'plugins', 'environ', 'said'),
    [
        ('gpu', [], {}, 'pip install -r requirements-cuda.txt'),
        ('tpu', [], {}, 'pip install -r requirements-tpu.txt'),
        ('gpu', [], {'JAX_PLATFORMS': 'cpu'}, 'unset JAX_PLATFORMS'),
        ('gpu', [], {'JAX_PLATFORMS': 'cuda,cpu'}, 'requirements-cuda.txt'),
        ('gpu', [], {'CUDA_VISIBLE_DEVICES': ''}, 'unset CUDA_VISIBLE_DEVICES'),
        ('tpu', [], {'CUDA_VISIBLE_DEVICES': ''}, 'requirements-tpu.txt'),
        ('gpu', ['jax-cuda13-plugin'], {}, 'jax-cuda13-plugin 1.2 does not start'),
    ],
)
def test_an_accelerator_that_jax_does_not_see(
    monkeypatch, kind, plugins, environ, said
):
    version = dict.fromkeys(plugins, '1.2').get
    monkeypatch.setattr(accelerators, 'installed', version)
    monkeypatch.setattr(accelerators, 'hardware', lambda: {kind: 'a big one'})
    monkeypatch.setattr(accelerators.os, 'environ', environ)
    status, message = doctor.devices()
    assert status == 'warn'
    assert 'this machine has a big one; ' in message and said in message


def test_gpus_are_asked_for_and_else_looked_for(monkeypatch):
    said = subprocess.CompletedProcess([], 0, stdout='NVIDIA A\nNVIDIA B\n')
    monkeypatch.setattr(accelerators.subprocess, 'run', lambda *_, **__: said)
    assert accelerators.nvidia() == 'NVIDIA A, NVIDIA B'

    def no_driver(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(accelerators.subprocess, 'run', no_driver)
    monkeypatch.setattr(accelerators.glob, 'glob', lambda _: ['/dev/nvidia0'])
    assert accelerators.nvidia() == '/dev/nvidia0'


def test_tpu_chips_are_told_from_network_cards(tmp_path):
    for slot, chip in {'a': '0x0063', 'b': '0x0063', 'c': '0x0042'}.items():
        (tmp_path / slot).mkdir()
        (tmp_path / slot / 'vendor').write_text('0x1ae0\n')
        (tmp_path / slot / 'device').write_text(f'{chip}\n')
    assert accelerators.tpu(tmp_path) == '2 TPU chips'
    assert accelerators.tpu(tmp_path / 'none') == ''


def test_little_room_is_said(monkeypatch):
    usage = collections.namedtuple('usage', 'total used free')
    for free, status in ((2**40, 'ok'), (2**30, 'warn'), (2**20, 'fail')):
        found = usage(2**40, 0, free)
        monkeypatch.setattr(shutil, 'disk_usage', lambda _, found=found: found)
        assert doctor.disk()[0] == status


def test_few_open_files_are_said(monkeypatch):
    monkeypatch.setattr(doctor.resource, 'getrlimit', lambda _: (256, 4096))
    status, message = doctor.open_files()
    assert status == 'warn' and 'ulimit -n' in message


def test_a_cache_that_cannot_be_written_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv('JUNIPER_CACHE', str(tmp_path / 'new'))
    assert doctor.compile_cache() == ('ok', f'{tmp_path / "new"}, 0 MiB')
    assert not (tmp_path / 'new').exists()
    monkeypatch.setenv('JUNIPER_CACHE', '/proc/cache')
    status, message = doctor.compile_cache()
    assert status == 'warn' and 'JUNIPER_CACHE' in message
