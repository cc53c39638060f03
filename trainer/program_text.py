"""What each operation of a compiled program is, and whose line it was traced from.

Reads XLA's own text of the program; knows nothing of time.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping

KINDS = ('convolution', 'matmul', 'elementwise', 'other')
# What reads or writes out of order, or shrinks, is not elementwise, whatever is fused
# with it.
SHAPING = re.compile(
    r'reduce(-window|-scatter)?|select-and-scatter|sort|scatter|gather|while|call|'
    r'dynamic-(update-)?slice|all-(reduce|gather)'
)
ARITHMETIC = re.compile(
    r'add|subtract|multiply|divide|remainder|power|maximum|minimum|negate|abs|sign|'
    r'exponential(-minus-one)?|log(-plus-one|istic)?|tanh|sine|cosine|r?sqrt|cbrt|'
    r'erf|floor|ceil|round-nearest-even|clamp|select|compare|convert|and|or|xor|not|'
    r'shift-(left|right-logical|right-arithmetic)'
)
INSTRUCTION = re.compile(r'\s+(?:ROOT )?%(\S+) =.*? ([a-z][\w-]*)\(')
TABLES = {
    'FileNames': r'^(\d+) "(.*)"$',
    'FileLocations': r'^(\d+) \{file_name_id=(\d+) .*? line=(\d+)',
    'StackFrames': r'^(\d+) \{file_location_id=(\d+) parent_frame_id=(\d+)\}',
}


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of a program.

    Attributes:
      kind: one of KINDS.
      path: the JAX operation with what it was traced within; '' if not known.
      source: file and line of the innermost frame outside installed packages; ''
        if not known.
    """

    kind: str = 'other'
    path: str = ''
    source: str = ''


def module_name(text: str) -> str:
    """The name of the program in this text, as traces have it."""
    return re.match(r'HloModule ([^,\s]+)', text)[1]


def operations(text: str) -> dict[str, Operation]:
    """The operations of a program by name, from `compiled.as_text()`."""
    computations = _computations(text)
    sources = _sources(text)
    found = {}
    for line in text.splitlines():
        match = INSTRUCTION.match(line)
        if match:
            path = re.search(r'op_name="([^"]*)"', line)
            frame = re.search(r'stack_frame_id=(\d+)', line)
            found[match[1]] = Operation(
                _kind(set(_performed(line, computations))),
                path[1].removeprefix('jit(step)/') if path else '',
                sources.get(frame[1], '') if frame else '',
            )
    return found


def _computations(text: str) -> dict[str, list[str]]:
    """The lines of each computation, by its name."""
    lines, name = {}, ''
    for line in text.splitlines():
        head = re.match(r'(?:ENTRY )?%(\S+) \(.*\{$', line)
        name = head[1] if head else name
        if INSTRUCTION.match(line):
            lines.setdefault(name, []).append(line)
    return lines


def _performed(line: str, computations: Mapping[str, list[str]]) -> Iterator[str]:
    """The opcodes of an instruction and of all that it calls."""
    yield INSTRUCTION.match(line)[2]
    target = re.search(r'custom_call_target="([^"]*)"', line)
    if target:
        yield from _of_library(target[1].lower())
    for called in re.findall(r'(?:calls|to_apply)=%([^\s,]+)', line):
        for inner in computations.get(called, ()):
            yield from _performed(inner, computations)


def _of_library(target: str) -> Iterator[str]:
    """What the function of a library does, by its name."""
    if 'conv' in target:
        yield 'convolution'
    elif re.search('gemm|matmul|dot', target):
        yield 'dot'


def _kind(performed: set[str]) -> str:
    if 'convolution' in performed:
        return 'convolution'
    if 'dot' in performed:
        return 'matmul'
    shaping, counting = (
        any(map(pattern.fullmatch, performed)) for pattern in (SHAPING, ARITHMETIC)
    )
    return 'elementwise' if counting and not shaping else 'other'


def _sources(text: str) -> dict[str, str]:
    """File and line by the number of a stack frame, in the tables above the program."""
    files, places, frames = (
        {row[0]: row[1:] for row in re.findall(pattern, _section(text, name), re.M)}
        for name, pattern in TABLES.items()
    )

    def source(frame: str) -> str:
        while frame in frames:
            place, parent = frames[frame]
            name, line = places[place]
            path = pathlib.Path(*files[name])
            if 'site-packages' not in path.parts:
                return f'{"/".join(path.parts[-2:])}:{line}'
            frame = str(int(parent) - 1)  # one more than the caller's; 1 is none
        return ''

    return {frame: source(frame) for frame in frames}


def _section(text: str, name: str) -> str:
    return text.partition(f'\n{name}\n')[2].partition('\n\n')[0]
