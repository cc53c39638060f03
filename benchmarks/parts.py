"""Where a run's seconds go: `python -m benchmarks.parts --gin_file=configs/mlp.gin`.

Runs `main.py` with a stopwatch around its parts, each second counted once, in the
part that the main thread is in; the flags are those of `main.py`.
"""

import functools
import json
import sys
import time

import main as program
from trainer import phases

INSIDE = {  # of a run, by class and method
    'trainer.recorder.Recorder': {'first_step': 'first step', 'flush': 'steps'},
    'trainer.loop.Loop': {
        'run': 'steps',
        'evaluate_if_due': 'evaluate',
        'save': 'save',
    },
    'trainer.saver.Saver': {'finish': 'last save'},
    'trainer.run.Run': {'go': 'around', 'scores': 'test'},
}


class Parts:
    """Seconds by part; a part within another stops the other's clock."""

    def __init__(self, started: float):
        self.seconds, self.stack = {'start': 0.0}, ['start']
        self.since = started

    def switch(self) -> None:
        """Gives the seconds since the last switch to the part on top."""
        now = time.perf_counter()
        name = self.stack[-1]
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.since
        self.since = now

    def timed(self, name: str, function):
        """The function, its time counted under a name."""

        @functools.wraps(function)
        def call(*arguments, **keywords):
            self.switch()
            self.stack.append(name)
            try:
                return function(*arguments, **keywords)
            finally:
                self.switch()
                self.stack.pop()

        return call


def watch_phases(parts: Parts) -> None:
    """Counts the phases that a run says aloud, and what is inside once it is there."""
    enter, leave = phases.PhaseLine.__enter__, phases.PhaseLine.__exit__

    def begin(line):
        parts.switch()
        parts.stack.append(line.name)
        return enter(line)

    def end(line, *error):
        leave(line, *error)
        parts.switch()
        parts.stack.pop()
        if line.name == 'import':
            watch_inside(parts)

    phases.PhaseLine.__enter__, phases.PhaseLine.__exit__ = begin, end


def watch_inside(parts: Parts) -> None:
    """Counts the methods in INSIDE."""
    for path, methods in INSIDE.items():
        module, _, name = path.rpartition('.')
        owner = getattr(sys.modules[module], name)
        for method, part in methods.items():
            setattr(owner, method, parts.timed(part, getattr(owner, method)))


def main():
    parts = Parts(program.STARTED)
    watch_phases(parts)
    code = program.main(['main.py', *sys.argv[1:]])
    parts.switch()
    print(json.dumps({name: round(s, 3) for name, s in parts.seconds.items()}))
    sys.exit(code)


if __name__ == '__main__':
    main()
