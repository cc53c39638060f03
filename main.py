"""The command line: flags become a command, and every ending an exit code.

    python main.py --gin_file=configs/resnet18.gin

Knows which commands there are and imports each one's room only when it is called, so
that help answers at once.
"""

import difflib
import logging
import pathlib
import sys
import time
import traceback

from absl import flags

from trainer import __version__, errors

STARTED = time.perf_counter()
ROOT = pathlib.Path(__file__).resolve().parent
COMMANDS = {
    'train': 'train a model, or go on with a run (the default)',
    'check': 'find every mistake in a config before anything runs',
    'evaluate': 'score a run: --workdir, --split, --checkpoint',
    'fast': 'two steps of everything, to see that it runs; keeps nothing',
    'overfit': 'train on one batch until it is learnt, or say that it cannot be',
}

FLAGS = flags.FlagValues()
flags.DEFINE_multi_string(
    'gin_file', [], 'A config; repeatable, later files win.', flag_values=FLAGS
)
flags.DEFINE_multi_string(
    'gin_bindings',
    [],
    "Overrides such as 'EPOCHS = 5'; repeatable, later ones win. "
    '--gin.ResNet.depth=50 is short for --gin_bindings="ResNet.depth = 50".',
    flag_values=FLAGS,
)
flags.DEFINE_string(
    'workdir',
    None,
    'The run directory; the same one again goes on with the run. '
    'Default: runs/<name>_<time>.',
    flag_values=FLAGS,
)
flags.DEFINE_string(
    'resume',
    None,
    'Go on with the newest run that matches a path or glob.',
    flag_values=FLAGS,
)
flags.DEFINE_string(
    'name', None, 'Overrides Experiment.name: the run directory.', flag_values=FLAGS
)
flags.DEFINE_string(
    'split', 'test', 'evaluate: train, eval or test.', flag_values=FLAGS
)
flags.DEFINE_string(
    'checkpoint', 'best', 'evaluate: best, last or a step.', flag_values=FLAGS
)
flags.DEFINE_boolean(
    'debug', False, 'Show full tracebacks on the screen.', flag_values=FLAGS
)
flags.DEFINE_boolean(
    'help', False, 'Show this text.', short_name='h', flag_values=FLAGS
)
flags.DEFINE_boolean('version', False, 'Show the version.', flag_values=FLAGS)


def main(argv: list[str]) -> int:
    """Runs the command that `argv` (with the program's name) asks for; an exit code."""
    try:
        return run(argv)
    except errors.Ending as ending:
        report(ending, ending.exit_code)
        return ending.exit_code
    except KeyboardInterrupt:
        print('\ninterrupted', file=sys.stderr)
        return errors.INTERRUPTED
    except Exception as error:
        report(error, errors.INTERNAL_ERROR)
        return errors.INTERNAL_ERROR


def run(argv: list[str]) -> int:
    """Parses the flags and calls the command."""
    words = parse(argv)
    if FLAGS.version:
        print(f'juniper {__version__}')
        return errors.DONE
    if FLAGS.help or len(argv) == 1:
        print(help_text())
        return errors.DONE
    name = words[0] if words else 'train'
    if name not in COMMANDS:
        raise errors.UserError(f'There is no command {name!r}{nearest(name, COMMANDS)}')
    if len(words) > 1:
        raise errors.UserError(
            f'{words[1]!r} is no flag; values are given as --flag=value.'
        )
    from trainer import commands

    return commands.run(name, FLAGS, argv=argv, started=STARTED)


def parse(argv: list[str]) -> list[str]:
    """Fills FLAGS; returns the words that are no flags.

    Raises:
      UserError: an unknown flag (with the nearest one), or a value that is none.
    """
    FLAGS.unparse_flags()
    for name in FLAGS:
        FLAGS[name].unparse()
    try:
        return FLAGS([argv[0], *map(spell_out, argv[1:])])[1:]
    except flags.UnrecognizedFlagError as error:
        given = error.flagname
        hint = nearest(given, [n for n in FLAGS if n != 'h'], prefix='--')
        raise errors.UserError(f'There is no flag --{given}{hint}') from error
    except flags.Error as error:
        raise errors.UserError(' '.join(str(error).split())) from error


def spell_out(argument: str) -> str:
    """--gin.ResNet.depth=50 becomes --gin_bindings=ResNet.depth = 50."""
    head, _, value = argument.partition('=')
    key = head.lstrip('-').removeprefix('gin.')
    if not head.startswith(('--gin.', '-gin.')):
        return argument
    if not key or not _:
        raise errors.UserError(f'{argument!r} has no value; say --gin.{key}=VALUE.')
    from trainer.lint.sugar import sugar_binding

    return f'--gin_bindings={sugar_binding(key, value)}'


def nearest(name: str, known, prefix: str = '') -> str:
    """'; did you mean X?' or the list of what there is."""
    close = difflib.get_close_matches(name, known, 1, 0.5)
    if close:
        return f'; did you mean {prefix}{close[0]}?'
    return f'; there are {", ".join(prefix + k for k in known)}.'


def help_text() -> str:
    """What there is: commands, configs by their own first comment, flags."""
    lines = [f'juniper {__version__}: train vision models in JAX from one gin file', '']
    lines += ['python main.py [command] [flags], for example:']
    lines += ['  python main.py --gin_file=configs/resnet18.gin', '', 'commands']
    lines += [f'  {name:<10} {text}' for name, text in COMMANDS.items()]
    lines += [
        '',
        'configs (and configs/models/*.gin, layered with a second --gin_file)',
    ]
    for path in sorted((ROOT / 'configs').glob('*.gin')):
        first = path.read_text().partition('\n')[0].lstrip('# ')
        lines.append(f'  {path.relative_to(ROOT)!s:<22} {first}')
    lines += ['', 'flags']
    for name in sorted(n for n in FLAGS if len(n) > 1):
        lines.append(f'  --{name:<13} {FLAGS[name].help}')
    lines += ['', 'exit codes: 0 done, 2 your mistake, 3 training failed, ']
    lines[-1] += '75 interrupted and resumable, 70 our mistake'
    return '\n'.join(lines)


def report(error: Exception, code: int) -> None:
    """One line on the screen; the traceback with --debug, and in the run's log."""
    kind = 'interrupted' if code == errors.INTERRUPTED else 'error'
    message = str(error)
    if code == errors.INTERNAL_ERROR:
        message = ' '.join(f'internal: {type(error).__name__}: {error}'.split())
    print(f'{kind}: {message}', file=sys.stderr, flush=True)
    logging.getLogger('juniper').debug('%s', kind, exc_info=error)
    if FLAGS.is_parsed() and FLAGS.debug:
        traceback.print_exception(error)


if __name__ == '__main__':
    sys.exit(main(sys.argv))
