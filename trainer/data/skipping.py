"""Examples that cannot be read: replaced by the next ones, counted and named.

What replaces an example depends on the data alone, so a resumed run sees the same.
Knows indices and messages; no format, order or batch.
"""

import functools
from collections.abc import Iterator

import numpy as np

from trainer.data.order import rows_of
from trainer.data.source import Examples, Unreadable
from trainer.errors import TrainingFailed, UserError
from trainer.screen import warn

ATTEMPTS = 1000  # examples in a row that may be unreadable before that is the trouble
NAMED = 10  # get a line of their own on the screen; `lines` has all


class Replacing:
    """Examples with those that cannot be read replaced by the next that can.

    Args:
      examples: a source, opened.
      on_error: 'skip' replaces, 'fail' raises TrainingFailed.
    """

    def __init__(self, examples: Examples, on_error: str):
        self.examples, self.on_error = examples, on_error

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index: int) -> dict:
        """An example and, as its `index`, which one it is."""
        errors = []
        for step in range(min(len(self), ATTEMPTS)):
            actual = (index + step) % len(self)
            try:
                return {**self.examples[actual], 'index': np.int32(actual)}
            except Unreadable as error:
                errors.append(error)
                if self.on_error == 'fail':
                    raise TrainingFailed(
                        f"{error}; mend or remove it, or set Images.on_error = 'skip'."
                    ) from error
        raise UserError(
            f'{self.examples.name}: {len(errors)} examples in a row cannot be read, '
            f'beginning with {errors[0]}; mend the data.'
        )


class Skips:
    """What was left out of a data set, found while opening or while reading.

    Attributes:
      lines: one for each, with its place and the reason.

    Raises:
      UserError: problems were found while opening, and `on_error` is 'fail'.
    """

    def __init__(self, examples: Examples, on_error: str):
        self.examples = examples
        self.lines: list[str] = []
        self._seen: set[int] = set()
        for remark in examples.remarks:
            _warn_once(remark)
        problems = examples.problems
        if problems and on_error == 'fail':
            more = f' (and {len(problems) - 1} more)' if len(problems) > 1 else ''
            raise UserError(
                f"{problems[0]}{more}; mend it, or set Images.on_error = 'skip'."
            )
        for line in problems:
            self._add(line, _warn_once)

    def note(self, indices: np.ndarray) -> None:
        """Names examples that were replaced; reads each once more, to say why."""
        for index in indices.tolist():
            if index in self._seen:
                continue
            self._seen.add(index)
            try:
                self.examples[index]
                reason = 'could not be read for a while'
                self._add(f'{self.examples.identify(index)}: {reason}')
            except Unreadable as error:
                self._add(str(error))

    def watch(self, batches, order, start_step: int, share) -> Iterator[dict]:
        """The batches, each compared with the order that was asked for.

        Readers run in other processes; what they replaced shows in `index`.
        """
        rows = rows_of(share, order.batch)
        try:
            for step, batch in enumerate(batches, start_step):
                expected, _ = order(step * order.batch + rows)
                self.note(expected[batch['index'] != expected])
                yield batch
        finally:
            batches.close()

    def _add(self, line, say=warn):
        self.lines.append(line)
        if len(self.lines) <= NAMED:
            say(f'left out: {line}')
        elif len(self.lines) == NAMED + 1:
            say(f'left out: more than {NAMED}; the rest stands in the report')


@functools.cache
def _warn_once(message: str) -> None:
    """Splits of one source have the same things to say."""
    warn(message)
