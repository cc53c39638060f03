"""The commands that measure a config and keep nothing; `main.py` found the flags.

Each takes the parsed flags and gives an exit code, or raises an `errors.Ending`.
"""

import functools
import json
from collections.abc import Callable, Sequence

from trainer.console import Console, say
from trainer.errors import DONE
from trainer.signals import stop_on_signals


def bench(flags, argv: Sequence[str], started: float) -> int:
    """Measures the train step of a config."""
    from trainer import bench

    return measured(flags, started, bench.bench, bench.text)


def profile(flags, argv: Sequence[str], started: float) -> int:
    """Says where the time of a config's train step goes."""
    from trainer import operations

    find = functools.partial(operations.profile, out=flags.out)
    return measured(flags, started, find, operations.text)


def lr_find(flags, argv: Sequence[str], started: float) -> int:
    """Finds the learning rate from which a config learns fastest."""
    from trainer import range_test

    find = functools.partial(range_test.range_test, out=flags.out)
    return measured(flags, started, find, range_test.text)


def measured(flags, started: float, find: Callable, text: Callable) -> int:
    """Finds figures of a config, and says them as text or JSON."""
    with stop_on_signals('leaving with what is measured') as stop:
        from trainer import asked
        from trainer.compilation import enable_cache

        enable_cache()
        console = Console(quiet=flags.json, started=started)
        experiment = asked.trained(flags)
        found = find(experiment, stop=stop, console=console)
    say(json.dumps(found, indent=2) if flags.json else text(found))
    return DONE


COMMANDS: dict[str, Callable] = {
    'bench': bench,
    'profile': profile,
    'lr_find': lr_find,
}
