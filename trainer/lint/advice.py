"""What to write instead of a statement that is not gin; knows grammar, not names."""

import ast
import re

LITERALS = {'true': 'True', 'false': 'False', 'none': 'None', 'null': 'None'}
PAIRS = {'(': ')', '[': ']', '{': '}'}
FORMS = (
    "'Name.parameter = value', 'MACRO = value', \"include 'file'\" or 'import module'"
)


def advice(text: str, error: Exception) -> str:
    """One line about a statement that gin's parser refused with `error`."""
    code = '\n'.join(line.split(' #')[0] for line in text.splitlines()).strip()
    if code.startswith('include'):
        return "include wants a path in quotes, such as include 'configs/base.gin'"
    if code.startswith(('import', 'from ')):
        return "import wants a module's name, such as import my_package.my_models"
    name, equals, value = (part.strip() for part in code.partition('='))
    if not equals:
        return f'no gin statement; write {FORMS}'
    if not re.fullmatch(r'(\w+/)*[A-Za-z_][\w.]*', name):
        return f'{name} is no name; write {FORMS}'
    return _about_value(value) or f'not gin: {_reason(error)}'


def _about_value(value: str) -> str | None:
    for look in (_empty, _word, _quotes, _brackets, _call, _arithmetic, _words):
        found = look(value)
        if found:
            return found
    return None


def _empty(value: str) -> str | None:
    return None if value else 'there is no value after ='


def _word(value: str) -> str | None:
    for word in re.findall(
        r'[A-Za-z_]+', re.sub(r"""(['"]).*?\1|[@%][\w./]+""", '', value)
    ):
        if word.lower() in LITERALS and word != LITERALS[word.lower()]:
            right = LITERALS[word.lower()]
            return f"gin writes Python's values; did you mean '{right}'?"
    return None


def _quotes(value: str) -> str | None:
    bare = re.sub(r"""(['"]).*?\1""", '', value)
    sign = re.search(r"""['"]""", bare)
    return f'the quote {sign[0]} is never closed' if sign else None


def _brackets(value: str) -> str | None:
    opened = []
    for sign in re.sub(r"""(['"]).*?\1""", '', value):
        if sign in PAIRS:
            opened.append(sign)
        elif sign in PAIRS.values() and (not opened or PAIRS[opened.pop()] != sign):
            return f'{sign} closes nothing that is open'
    return f'{opened[-1]} is never closed' if opened else None


def _call(value: str) -> str | None:
    call = re.search(r'(@?)([A-Za-z_][\w./]*)\(([^)]*)\)?', value)
    if not call:
        return None
    sign, name, arguments = call.groups()
    if arguments.strip():
        return (
            f'a reference takes no arguments; write @{name}() and bind {name}.parameter'
        )
    return None if sign else f"a reference begins with @; did you mean '@{name}()'?"


def _arithmetic(value: str) -> str | None:
    try:
        tree = ast.parse(re.sub(r'[@%]([\w./]+)', '0', value), mode='eval')
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if any(isinstance(node, ast.BinOp) for node in ast.walk(tree)):
        return 'gin has no arithmetic; write the result as one value'
    return None


def _words(value: str) -> str | None:
    if re.fullmatch(r'[A-Za-z_][\w./:-]*', value):
        signs = f"'{value}' is a string, @{value} a reference, %{value} a macro"
        return f'a word wants a sign: {signs}'
    if re.search(r"""[\w\])'"][ ]+[\w@%\['"(]""", value):
        return 'there is more than one value after =; a comma or bracket may be missing'
    return None


def _reason(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return str(text).split('\n')[0][:100] or type(error).__name__
