"""Which names an experiment may have; knows nothing of configs."""

import re

EMPTY_WORDS = ('base', 'model', 'test', 'default', 'experiment')
ALLOWED = re.compile(r'[A-Za-z0-9][A-Za-z0-9._+=-]*')
LONGEST = 100


def refused(name: str) -> str | None:
    """Why a name cannot name a run directory and be understood, or None if it can.

    Args:
      name: drives run directory, run name and tags, so it says what is trained.
    """
    advice = "; name what is trained, such as 'resnet18'"
    if not name.strip():
        return f'is empty{advice}'
    if name.lower() in EMPTY_WORDS:
        return f'says nothing about the run{advice}'
    if name.upper().startswith('CHANGE_ME'):
        return f'is still the placeholder{advice}'
    if not ALLOWED.fullmatch(name):
        return (
            'cannot name a directory: letters, digits and . _ + = - only, '
            'a letter or digit first'
        )
    if len(name) > LONGEST:
        return f'is longer than {LONGEST} characters{advice}'
    return None
