"""The commands that there are, and which flags each looks at; imports nothing heavy."""

import dataclasses
from typing import Literal

CONFIG = ('gin_file', 'gin_bindings', 'gin_imports', 'workdir', 'resume', 'name')
CONFIG_ALONE = tuple(flag for flag in CONFIG if flag != 'resume')
PUBLISHED = ('model', 'registry')
RUN = ('workdir', 'resume', 'checkpoint', 'gin_imports')
PROCESSES = ('coordinator', 'process_id', 'num_processes', 'join_seconds')
ALWAYS = ('debug', 'help', 'h')


@dataclasses.dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
      help: what it does.
      flags: which it looks at; any other one is refused.
      words: what may stand behind it; '' where nothing may.
      formats: what `--format` may ask of it.
      together: when several processes do it as one: 'always', 'never', or the flag with
        which they do.
      alone: which of them do it where they do not do it together: the 'first' alone,
        the first on each 'machine', or 'each', on devices of its own.
    """

    help: str
    flags: tuple[str, ...]
    words: str = ''
    formats: tuple[str, ...] = ()
    together: str = 'never'
    alone: Literal['first', 'machine', 'each'] = 'first'

    def is_joint(self, flags) -> bool:
        """Whether several processes do it as one, with these flags."""
        if self.together in ('always', 'never'):
            return self.together == 'always'
        return bool(flags[self.together].value)


COMMANDS = {
    'train': Command(
        'train a model, or go on with a run (the default)',
        (*CONFIG, 'restarts', *PROCESSES),
        together='always',
    ),
    'check': Command(
        'find every mistake in a config before anything runs',
        (*CONFIG, 'rehearse', 'memory', 'json', *PROCESSES),
        together='memory',
    ),
    'data': Command('report on the data of a config', (*CONFIG, 'out', 'json')),
    'evaluate': Command('score a run', (*RUN, 'split', *PROCESSES), together='always'),
    'search': Command(
        'try the values of Experiment.search, or go on doing so',
        CONFIG_ALONE,
        alone='each',
    ),
    'fast': Command(
        'two steps of everything, to see that it runs',
        (*CONFIG, *PROCESSES),
        together='always',
    ),
    'bench': Command(
        'images a second, step time, MFU, memory of a config, in a minute',
        (*CONFIG_ALONE, 'json', *PROCESSES),
        together='always',
    ),
    'profile': Command(
        'which operations of the train step of a config cost most',
        (*CONFIG_ALONE, 'out', 'json', *PROCESSES),
        together='always',
    ),
    'lr_find': Command(
        'from which learning rate a config learns fastest',
        (*CONFIG_ALONE, 'out', 'json', *PROCESSES),
        together='always',
    ),
    'overfit': Command(
        'train on one batch until it is learnt',
        (*CONFIG, *PROCESSES),
        together='always',
    ),
    'predict': Command(
        'what a run, or a published model, says of images: rows, masks, features',
        (
            *(*RUN, *PUBLISHED, 'top', 'format', 'out'),
            *('features', 'masks', 'overlays', 'annotations'),
        ),
        'FILES',
        ('jsonl', 'csv', 'coco'),
    ),
    'export': Command(
        'write a run for others: weights for PyTorch, a StableHLO program',
        (*RUN, *PUBLISHED, 'format', 'naming', 'out'),
        formats=('safetensors', 'stablehlo'),
    ),
    'publish': Command(
        'keep a run under a name and a version, for good',
        ('as', 'version', 'note', 'licence', 'checkpoint', 'registry', 'gin_imports'),
        'DIR',
    ),
    'models': Command(
        'models by name, and their sizes; or those that are published',
        ('flops', 'profile', 'batch', 'published', 'verify', 'registry', 'json'),
        '[NAMES]',
    ),
    'runs': Command('how runs stand: status, age, step, score', ('json',), '[DIR]'),
    'checkpoints': Command(
        'the checkpoints of a run: step, score, size, health',
        ('workdir', 'resume', 'verify', 'json'),
        '[RUN]',
    ),
    'report': Command(
        'a page on each run: report.html', ('workdir', 'resume'), '[RUNS]'
    ),
    'compare': Command(
        'runs side by side: scores, differences, significance',
        ('metric', 'out', 'json'),
        'RUNS',
    ),
    'doctor': Command(
        'whether this machine can train, what mends it', ('json',), alone='machine'
    ),
}
