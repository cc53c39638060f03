"""What all tests share: a compile cache of their own, and small runs."""

import functools
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import main
from tests.faults.tallies import (  # noqa: F401 - hooks and a fixture
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
    tally,
)

ROOT = pathlib.Path(__file__).resolve().parents[1]

os.environ.setdefault('JUNIPER_CACHE', tempfile.mkdtemp(prefix='juniper_cache_'))


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers():
    """A process more than cores: tests wait for disks, clocks and other processes."""
    return (yield) + 1


@pytest.fixture(scope='session', autouse=True)
def compile_cache():
    """One compile cache for the whole session and its subprocesses."""
    from trainer.compilation import enable_cache

    enable_cache()


@pytest.fixture(scope='module', autouse=True)
def forgotten_programs():
    """Lets go of a file's compiled programs at its end: all together take gigabytes."""
    yield
    if 'jax' in sys.modules:
        sys.modules['jax'].clear_caches()


@pytest.fixture(scope='module')
def quickly_compiled():
    """Programs that run a few times are compiled in half the time, and are slower."""
    import jax

    jax.config.update('jax_disable_most_optimizations', True)
    yield
    jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture
def juniper(tmp_path):
    """Runs `python main.py ...` as a user would; gives the completed process."""

    def run(*arguments, cwd=tmp_path, timeout=300, **env):
        command = [sys.executable, str(ROOT / 'main.py'), *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=cwd,
            env=os.environ | {key: str(value) for key, value in env.items()},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def here(tmp_path, monkeypatch, capfd):
    """Does `main.py ...` in this process, and gives what another one would."""

    def run(*arguments, cwd=tmp_path):
        monkeypatch.chdir(cwd)
        capfd.readouterr()
        code = main.main(['main.py', *map(str, arguments)])
        return subprocess.CompletedProcess(arguments, code, *capfd.readouterr())

    return run


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A server laid out as a hub of weights; gives the folder of a repository."""

    def files_of(repository):
        folder = tmp_path / 'hub' / repository / 'resolve' / 'main'
        folder.mkdir(parents=True)
        return folder

    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path / 'hub')
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv('HF_ENDPOINT', f'http://127.0.0.1:{server.server_port}')
    monkeypatch.setenv('JUNIPER_CACHE', str(tmp_path / 'cache'))
    yield files_of
    server.shutdown()
    server.server_close()
