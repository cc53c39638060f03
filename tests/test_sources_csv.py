"""Tables of pictures: what their columns mean, and what is wrong with their cells."""

import numpy as np
import pytest

from tests.picture_folders import picture, write
from trainer.data.images import Images
from trainer.data.sources.csv import Csv
from trainer.errors import UserError


@pytest.fixture
def table(tmp_path):
    """Writes pictures 0.png ... 19.png and a table; opens a split of it."""
    for number in range(20):
        write(tmp_path / f'{number}.png', picture(seed=number, height=20, width=20))

    def opened(text, split='all', on_error='skip', **fields):
        path = tmp_path / 'table.csv'
        path.write_text(text)
        source = Csv(file=str(path), **fields)
        images = Images(source=source, split=split, batch=2, on_error=on_error)
        return images.open()

    return opened


def lines(function, header='path,label'):
    return '\n'.join([header, *(f'{i}.png,{function(i)}' for i in range(20))])


def test_a_class_for_each_picture(table):
    dataset = table(lines(lambda i: 'ab'[i % 2]))
    assert dataset.class_names == ('a', 'b')
    assert dataset.label_counts().tolist() == [10, 10]
    assert dataset.image_shape == (64, 64, 3)
    assert set(dataset[0]) == {'image', 'label', 'index'}
    rows = table(lines(lambda i: 'ab'[i % 2]), 'test')
    assert rows.label_counts().tolist() == [2, 2]


@pytest.mark.parametrize('delimiter', [';', '\t'])
def test_semicolons_tabs_marks_and_quotes(table, delimiter):
    text = lines(lambda i: '"a, or b"' if i % 2 else 'c')
    text = '\ufeff' + text.replace('png,', f'png{delimiter}')
    dataset = table(text.replace('path,label', f'Image{delimiter}Class'))
    assert dataset.class_names == ('a, or b', 'c')


def test_a_split_column_decides(table):
    text = lines(
        lambda i: f'{i % 3},{"Training" if i < 12 else "valid"}', 'file,y,split'
    )
    assert [len(table(text, split)) for split in ('train', 'val', 'test')] == [12, 8, 8]
    assert table(text).class_names == ('0', '1', '2')


def test_without_a_header(table):
    text = lines(lambda i: 'ab'[i % 2]).removeprefix('path,label\n')
    assert len(table(text)) == 20


def test_whole_numbers_are_classes_in_their_order(table):
    assert table(lines(lambda i: (2, 10)[i % 2])).class_names == ('2', '10')


def test_several_columns_of_zero_and_one_are_labels(table):
    dataset = table(lines(lambda i: f'{i % 2},{int(i < 5)}', 'path,red,blue'))
    assert dataset.class_names == ('red', 'blue')
    assert dataset.label_counts().tolist() == [10, 5]
    assert dataset[1]['labels'].tolist() in ([1, 1], [1, 0])
    assert dataset[1]['labels'].dtype == np.float32


def test_numbers_are_targets(table):
    dataset = table(lines(lambda i: f'{i / 7},{-i}', 'path,x,y'))
    assert dataset.target_names == ('x', 'y') and dataset.class_names == ()
    targets = dataset.column('target')
    assert targets.shape == (20, 2) and targets.dtype == np.float32
    np.testing.assert_array_equal(targets[3], dataset[3]['target'])
    ages = table(lines(lambda i: i, 'path,age'), kind='target')
    assert ages.target_names == ('age',)


def test_columns_choose_what_is_learnt(table):
    text = lines(lambda i: f'{"ab"[i % 2]},{i}.5,u', 'path,kind,age,note')
    assert table(text, columns=['kind']).class_names == ('a', 'b')
    assert table(text, columns=['age']).target_names == ('age',)
    with pytest.raises(UserError, match=r'hold text; set Csv\.columns'):
        table(text)


def test_bad_rows_are_named_by_line_and_left_out(table, capsys):
    text = lines(lambda i: {3: 'nan', 4: '', 5: 'x', 6: 'inf'}.get(i, i / 2))
    text += '\n99.png,1.5\n1.png,2,3\n'
    dataset = table(text)
    assert len(dataset) == 16 and dataset.target_names == ('label',)
    said = capsys.readouterr().err
    for line, reason in [
        (5, "label is 'nan'; expected a finite number"),
        (6, "label is ''"),
        (7, "label is 'x'"),
        (8, "label is 'inf'"),
        (22, '99.png: No such file'),
        (23, '3 cells, but 2 columns'),
    ]:
        assert f'table.csv, line {line}: {reason}' in said
    assert len(dataset.skipped) == 6
    with pytest.raises(UserError, match=r'line 23: .*\(and 5 more\).*on_error'):
        table(text, on_error='fail')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', r'table\.csv is empty'),
        ('name,label\nx,1\n', 'no column of paths; expected .*columns are name, label'),
        ('path\n0.png\n', 'no column label'),
        ('path,x,x\n0.png,1,2\n', "more than one column 'x'"),
        ('path,label\n0.png,a\n', 'one class only, a'),
        ('path,label\n', 'no usable row'),
        ('path,label\n77.png,a\n', r'no usable row; left out: .*line 2: 77\.png'),
    ],
)
def test_tables_that_say_nothing(table, text, message):
    with pytest.raises(UserError, match=message) as caught:
        table(text)
    assert '\n' not in str(caught.value)


def test_a_missing_table(tmp_path):
    with pytest.raises(UserError, match='cannot be read: No such file'):
        Csv(file=str(tmp_path / 'no.csv')).open('train')


@pytest.mark.parametrize('written', [' {}.png ', 'sub\\..\\{}.png', '"{}.png"'])
def test_paths_as_other_systems_write_them(table, tmp_path, written):
    (tmp_path / 'sub').mkdir()
    rows = (f'{written.format(i)}, {"ab"[i % 2]}' for i in range(20))
    dataset = table('\r\n'.join(['path,label', *rows]))
    assert len(dataset) == 20 and dataset.class_names == ('a', 'b')
    assert dataset[3]['image'].shape == (64, 64, 3)


def test_a_table_of_wide_characters_and_a_header_of_any_bytes(tmp_path):
    write(tmp_path / 'a.png', picture())
    path = tmp_path / 'table.csv'
    path.write_bytes('path,label\na.png,Bär\na.png,cat\n'.encode('utf-16'))
    assert Csv(file=str(path)).open('all').class_names == ('Bär', 'cat')
    path.write_bytes('gr\u00f6\u00dfe,label\n'.encode('latin-1'))
    with pytest.raises(UserError, match=r'its columns are gr\\udcf6\\udcdfe, label'):
        Csv(file=str(path)).open('all')


def test_a_row_without_its_split_is_named(table):
    text = lines(lambda i: f'{"ab"[i % 2]},{"train" if i else " "}', 'path,y,split')
    dataset = table(text, 'train')
    assert len(dataset) == 19 and 'line 2: no split is given' in dataset.skipped[0]


def test_a_path_may_begin_at_home(table, tmp_path, monkeypatch):
    table(lines(lambda i: 'ab'[i % 2]))
    monkeypatch.setenv('HOME', str(tmp_path))
    assert len(Csv(file='~/table.csv').open('all')) == 20
