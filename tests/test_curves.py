"""Learning curves as pictures: a line for each seed, of all that was logged."""

import json
import pathlib
import sys
from xml.etree import ElementTree

from benchmarks import curves

ROOT = pathlib.Path(__file__).resolve().parents[1]
SVG = '{http://www.w3.org/2000/svg}polyline'


def test_a_line_for_each_seed(tmp_path, monkeypatch, capsys):
    for seed in range(2):
        run = tmp_path / 'runs' / 'unet' / f'seed_{seed}'
        run.mkdir(parents=True)
        rows = [{'step': s, 'train/loss': 1 / (s + seed)} for s in (10, 20, 30)]
        rows += [{'step': 30, 'val/miou': 0.5}]
        (run / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    out = tmp_path / 'curves'
    given = ['curves', str(tmp_path / 'runs/unet'), '--score=miou', f'--out={out}']
    monkeypatch.setattr(sys, 'argv', given)
    curves.main()
    assert 'unet.svg' in capsys.readouterr().out
    lines = ElementTree.parse(out / 'unet.svg').getroot().findall(SVG)
    numbers = [len(line.get('points').split()) for line in lines]
    assert numbers == [3, 3, 3, 3, 1, 1]


def test_the_pictures_in_the_documentation_are_whole_and_small():
    found = sorted((ROOT / 'docs/curves').glob('*.svg'))
    assert len(found) == 6
    for path in found:
        assert (ROOT / f'configs/{path.stem}.gin').is_file()
        assert path.stat().st_size < 10_000
        assert len(ElementTree.parse(path).getroot().findall(SVG)) == 8
