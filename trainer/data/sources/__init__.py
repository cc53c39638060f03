"""Sources of examples, one file each; a new file here needs no other change.

Importing the package imports every file in it, so that gin knows each source by name;
what a source needs to read its files is imported when it is opened.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')
