"""Accelerators of this machine that JAX does not see, and what makes it see them.

Looks at files, variables and packages; imports no JAX and starts no device.
"""

import glob
import importlib.metadata
import os
import pathlib
import subprocess

DRIVER_SECONDS = 10
GOOGLE = '0x1ae0'  # as PCI vendor; of its network cards too, so chips are listed
TPU_CHIPS = ('0x0027', '0x005e', '0x0062', '0x0063', '0x006f', '0x0076')  # v2 to v7
PLUGINS = {
    'gpu': ('jax-cuda13-plugin', 'jax-cuda12-plugin'),
    'tpu': ('libtpu', 'libtpu-nightly'),
}
REQUIREMENTS = {'gpu': 'requirements-cuda.txt', 'tpu': 'requirements-tpu.txt'}


def hardware() -> dict[str, str]:
    """What there is, by JAX's name of its kind: {'gpu': 'NVIDIA H200, NVIDIA H200'}."""
    found = {'gpu': nvidia(), 'tpu': tpu()}
    return {kind: names for kind, names in found.items() if names}


def nvidia() -> str:
    """Names of the NVIDIA GPUs; their device files where the driver is silent."""
    command = ['nvidia-smi', '--query-gpu=name', '--format=csv,noheader']
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, timeout=DRIVER_SECONDS, check=True
        )
        return ', '.join(asked.stdout.split('\n')).strip(', ')
    except (OSError, subprocess.SubprocessError):
        return ', '.join(sorted(glob.glob('/dev/nvidia[0-9]*')))


def tpu(devices: str = '/sys/bus/pci/devices') -> str:
    """How many TPU chips lie on the bus of this machine."""
    chips = [
        card
        for card in pathlib.Path(devices).glob('*')
        if _read(card / 'vendor') == GOOGLE and _read(card / 'device') in TPU_CHIPS
    ]
    return f'{len(chips)} TPU chips' if chips else ''


def remedy(kind: str) -> str:
    """What to do so that JAX sees the hardware of this kind, 'gpu' or 'tpu'."""
    platforms = os.environ.get('JAX_PLATFORMS', '')
    if platforms and not {kind, 'cuda'} & set(platforms.split(',')):
        return f'JAX_PLATFORMS={platforms} hides it: unset JAX_PLATFORMS'
    visible = os.environ.get('CUDA_VISIBLE_DEVICES', '0')
    if kind == 'gpu' and visible in ('', '-1', 'NoDevFiles'):
        return f'CUDA_VISIBLE_DEVICES={visible!r} hides it: unset CUDA_VISIBLE_DEVICES'
    plugins = [name for name in PLUGINS[kind] if installed(name)]
    if not plugins:
        return f'this jax has no plugin for it: pip install -r {REQUIREMENTS[kind]}'
    return (
        f'{plugins[0]} {installed(plugins[0])} does not start: see `python -c "import '
        f'jax; jax.devices({kind!r})"`, then mend the driver, or '
        f'pip install -U -r {REQUIREMENTS[kind]}'
    )


def installed(package: str) -> str | None:
    """The version of a package, None where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ''
