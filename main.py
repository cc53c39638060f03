"""The command line: flags become a command, and every ending an exit code.

    python main.py --gin_file=configs/resnet18.gin

Imports the room of a command only when it is called, so that help answers at once.
"""

import logging
import pathlib
import sys
import time
import traceback

from trainer import __version__, answers, command_line, errors
from trainer.command_line import FLAGS
from trainer.screen import escaped, keep_standard_streams

STARTED = time.perf_counter()
ROOT = pathlib.Path(__file__).resolve().parent


def main(argv: list[str]) -> int:
    """Runs the command that `argv` (with the program's name) asks for; an exit code."""
    keep_standard_streams()
    try:
        return run(argv)
    except KeyboardInterrupt:
        print('\ninterrupted', file=sys.stderr)
        return errors.INTERRUPTED
    except Exception as error:
        ending = errors.ending_of(error)
        code = getattr(ending, 'exit_code', errors.INTERNAL_ERROR)
        report(ending, code)
        return code


def run(argv: list[str]) -> int:
    """Parses the flags and calls the command."""
    words = command_line.parse(argv)
    if FLAGS.version == '' and words[:1] != ['publish']:
        answers.write([f'juniper {__version__}\n'], None)
        return errors.DONE
    if FLAGS.help or len(argv) == 1:
        answers.write([f'{help_text()}\n'], None)
        return errors.DONE
    name, *words = words or ['train']
    command_line.check(name, words)
    from trainer import commands

    return commands.run(name, FLAGS, words=words, argv=argv, started=STARTED)


def help_text() -> str:
    """What there is: commands, flags, configs by their own first comment."""
    lines = [f'juniper {__version__}: train vision models in JAX from one gin file', '']
    lines += ['python main.py [command] [flags], for example:']
    lines += ['  python main.py --gin_file=configs/resnet18.gin', '']
    lines += command_line.help_lines()
    lines += [
        '',
        'configs (and configs/models/*.gin, layered with a second --gin_file)',
    ]
    for path in sorted((ROOT / 'configs').glob('*.gin')):
        first = path.read_text().partition('\n')[0].lstrip('# ')
        lines.append(f'  {path.relative_to(ROOT)!s:<22} {first}')
    lines += ['', 'exit codes: 0 done, 2 your mistake, 3 training failed, ']
    lines[-1] += '75 interrupted and resumable, 70 our mistake, or a run that hung'
    return '\n'.join(lines)


def report(error: Exception, code: int) -> None:
    """One line on the screen; the traceback with --debug, and in the run's log."""
    kind = 'interrupted' if code == errors.INTERRUPTED else 'error'
    message = str(error)
    if code == errors.INTERNAL_ERROR:
        message = ' '.join(f'internal: {type(error).__name__}: {error}'.split())
    print(f'{kind}: {escaped(message)}', file=sys.stderr, flush=True)
    logging.getLogger('juniper').debug('%s', kind, exc_info=error)
    if FLAGS.is_parsed() and FLAGS.debug:
        traceback.print_exception(error)


if __name__ == '__main__':
    sys.exit(main(sys.argv))
