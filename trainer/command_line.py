"""What may be typed after `python main.py`: commands, flags and words.

Promises that nothing typed is lost in silence. Imports nothing heavy, so that help
answers at once; what a command does is `commands.py`.
"""

import difflib
import re
from collections.abc import Iterable

from absl import flags

from trainer.command_flags import FLAGS
from trainer.command_table import ALWAYS, COMMANDS, CONFIG, PROCESSES
from trainer.errors import UserError

ELSEWHERE = {  # flags that other systems have, and what does it here
    'epochs': '--gin.EPOCHS=10',
    'lr': '--gin.LEARNING_RATE=1e-3',
    'learning_rate': '--gin.LEARNING_RATE=1e-3',
    'batch_size': '--gin.BATCH=64',
    'seed': '--gin.Experiment.seed=1',
    'config': '--gin_file=configs/resnet18.gin',
    'model': '--gin_file=configs/models/resnet18.gin after the other --gin_file',
    'data': '--gin.Images.folder=photos',
    'experiment_name': '--name=NAME',
    'output_dir': '--workdir=DIR',
}


def parse(argv: list[str]) -> list[str]:
    """Fills FLAGS; returns the words that are no flags.

    Raises:
      UserError: an unknown flag (with the nearest one), or a value that is none.
    """
    FLAGS.unparse_flags()
    for name in FLAGS:
        FLAGS[name].unparse()
    try:
        return FLAGS([argv[0], *map(spell_out, _asked_alone(argv[1:]))])[1:]
    except flags.UnrecognizedFlagError as error:
        given = error.flagname
        known = [name for name in FLAGS if name != 'h']
        hint = _here(given) or _bound(error) or nearest(given, known, prefix='--')
        raise UserError(f'There is no flag --{given}{hint}') from error
    except (flags.Error, ValueError) as error:
        raise UserError(_reworded(error)) from error


def _asked_alone(arguments: list[str]) -> list[str]:
    """`--version` has a value where something is published, and else stands alone."""
    if 'publish' in arguments:
        return arguments
    return [f'{word}=' if word == '--version' else word for word in arguments]


def spell_out(argument: str) -> str:
    """--gin.ResNet.depth=50 becomes --gin_bindings=ResNet.depth = 50."""
    head, _, value = argument.partition('=')
    key = head.lstrip('-').removeprefix('gin.')
    if not head.startswith(('--gin.', '-gin.')):
        return argument
    if not key or not _:
        raise UserError(f'{argument!r} has no value; say --gin.{key}=VALUE.')
    from trainer.lint.sugar import sugar_binding

    return f'--gin_bindings={sugar_binding(key, value)}'


def check(name: str, words: list[str]) -> None:
    """Raises UserError for a command, word or flag that would be lost in silence."""
    if name not in COMMANDS:
        hint = _meant(name) or nearest(name, COMMANDS)
        raise UserError(f'There is no command {name!r}{hint}')
    command = COMMANDS[name]
    if words and not command.words:
        hint = _meant(words[0]) or '; values are given as --flag=value.'
        raise UserError(f'{name} takes no word {words[0]!r}{hint}')
    for flag in (flag for flag in FLAGS if FLAGS[flag].present):
        if flag in PROCESSES and not command.is_joint(FLAGS):
            if FLAGS.num_processes == 1:
                continue  # a process of its own, whatever has started it
            raise UserError(
                f'{name} is done by one process, so start it once, without --{flag}; '
                f'several processes do {_joint()}.'
            )
        if flag not in (*command.flags, *ALWAYS):
            known = ', '.join(f'--{other}' for other in command.flags)
            instead = _here(flag) if 'gin_file' in command.flags else ''
            hint = instead or f'; it takes {known}.'
            raise UserError(f'{name} does not look at --{flag}{hint}')
    if FLAGS.format is not None and FLAGS.format not in command.formats:
        choices = ', '.join(command.formats)
        raise UserError(f'{name} writes no {FLAGS.format}; choose --format={choices}.')


def _joint() -> str:
    """The commands that several processes do as one."""
    *several, last = (
        name if command.together == 'always' else f'{name} --{command.together}'
        for name, command in COMMANDS.items()
        if command.together != 'never'
    )
    return f'{", ".join(several)} and {last}'


def nearest(name: str, known: Iterable[str], prefix: str = '') -> str:
    """'; did you mean X?' or the list of what there is."""
    close = difflib.get_close_matches(name, known, 1, 0.5)
    if close:
        return f'; did you mean {prefix}{close[0]}?'
    return f'; there are {", ".join(prefix + k for k in known)}.'


def help_lines() -> list[str]:
    """Commands, and each flag with the commands that look at it."""
    lines = ['commands']
    for name, command in COMMANDS.items():
        lines.append(f'  {name:<11} {command.words:<7} {command.help}')
    lines += ['', 'flags']
    for flag in sorted(flag for flag in FLAGS if len(flag) > 1):
        readers = [name for name, command in COMMANDS.items() if flag in command.flags]
        text = FLAGS[flag].help.partition(';\n')[0]  # absl adds that one may repeat it
        said = f' ({", ".join(readers)})' if readers and flag not in CONFIG else ''
        lines.append(f'  --{flag:<13} {text}{said}')
    return lines


def _here(flag: str) -> str:
    """What does here what a flag does elsewhere; else nothing."""
    instead = ELSEWHERE.get(flag.replace('-', '_'))
    return f'; say {instead}.' if instead else ''


def _bound(error: flags.UnrecognizedFlagError) -> str:
    """The binding that a flag called like a macro or a parameter was; else nothing."""
    name, value = error.flagname, error.flagvalue.partition('=')[2]
    bindable = name.isupper() or '.' in name
    return f'; did you mean --gin.{name}={value or "VALUE"}?' if bindable else ''


def _meant(word: str) -> str:
    """What was meant by a word that looks like a config or KEY=VALUE; else nothing."""
    if word.endswith('.gin'):
        return f'; did you mean --gin_file={word}?'
    key, equals, value = word.partition('=')
    if equals and key in FLAGS:
        return f'; did you mean --{word}?'
    return f'; did you mean --gin.{word}?' if equals and value else ''


def _reworded(error: Exception) -> str:
    """What absl says of a flag's value, in one line that also says what to do."""
    message = ' '.join(str(error).split())
    value = re.match(r'flag --(\w+)=(.*): (\(.Non-boolean|invalid literal)', message)
    if value:
        name, given, kind = value.groups()
        if kind == 'invalid literal':
            return f'--{name} takes a whole number, not {given!r}.'
        return f'--{name} takes no value {given!r}: say --{name}, or leave it out.'
    if message.startswith('Missing value for flag '):
        name = message.rpartition('--')[2]
        return f'--{name} has no value; say --{name}=VALUE.'
    return message.removeprefix('flag ')
