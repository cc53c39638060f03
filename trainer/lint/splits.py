"""Split expressions that no data could have, such as 'train[:50%'.

Which splits there are, and what they hold, only the data knows.
"""

import re
from collections.abc import Iterator

from trainer.data.splits import PART, TFDS_PART, malformed
from trainer.lint import names
from trainer.lint.config import Config
from trainer.lint.finding import Finding
from trainer.lint.statements import Reference
from trainer.lint.usage import Call, Usage
from trainer.lint.values import filled

IMAGES = 'trainer.data.images.Images'
SOURCES = 'trainer.data.sources.'
TFDS = f'{SOURCES}tfds.Tfds'


def unfit(found: Usage, config: Config) -> Iterator[Finding]:
    """A finding for each split that a run would cut and that is no expression."""
    said = set()
    for call in (call for call in found.calls if call.full == IMAGES):
        split, grammar = _value(call, 'split', config), _grammar(call, config)
        if grammar is None or not isinstance(split, str):
            continue
        binding = call.bound['split']
        source, wrong = config.source(binding), malformed(split, grammar)
        if wrong and source not in said:
            said.add(source)
            reader = '' if source is binding else f' (read by {binding})'
            yield Finding(source.place, f'{source} = {split!r}{reader} {wrong}')


def _grammar(call: Call, config: Config) -> re.Pattern | None:
    """What the parts of an expression are; None where a source may have its own."""
    folder, source = (_value(call, name, config) for name in ('folder', 'source'))
    if folder is not None:
        return PART if isinstance(folder, str) else None
    if source is None:
        return TFDS_PART
    if not isinstance(source, Reference):
        return None
    (full,) = names.matching(source.name)
    return TFDS_PART if full == TFDS else PART if full.startswith(SOURCES) else None


def _value(call: Call, parameter: str, config: Config) -> object:
    binding = call.bound.get(parameter)
    return binding and filled(binding.value, config)
