"""The notebook runs from top to bottom, twice: then nothing is left to do."""

import pathlib

import nbformat
from nbclient import NotebookClient

from tests.picture_folders import write_classes

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / 'notebooks' / 'train_on_colab.ipynb'
SMALL = """
PHOTOS, RUN = pathlib.Path('{home}') / 'photos', pathlib.Path('{home}') / 'run'
CONFIGS = [*CONFIGS, 'configs/models/mlp.gin']
BINDINGS = ['EPOCHS = 2', 'BATCH = 16', 'Images.size = 16']
"""


def executed(home):
    """The cells of code, run with everything small and in its place."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (told,) = (c for c in notebook.cells if 'parameters' in c.metadata.get('tags', ()))
    told.source += SMALL.format(home=home)
    place = {'metadata': {'path': str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=300, resources=place).execute()
    return [cell for cell in notebook.cells if cell.cell_type == 'code']


def said(cell):
    return ''.join(part.get('text', '') for part in cell.outputs)


def test_pictures_become_a_model_a_report_and_answers(tmp_path):
    write_classes(tmp_path / 'photos', 30)
    *_, trained, report, answers = executed(tmp_path)
    assert 'test/acc_top1' in said(trained)
    (shown,) = report.outputs
    assert 'iframe srcdoc' in shown['data']['text/html']
    assert said(answers).count("'file'") == 3
    *_, trained, _, _ = executed(tmp_path)
    assert 'is finished' in said(trained)


def test_the_notebook_is_kept_without_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.get('outputs') for cell in cells)
