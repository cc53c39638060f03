"""How much memory a run has taken, and how fast its devices could be at most."""

import resource
import sys

MIB = 2**20

# Dense bfloat16 operations a second of one device that sums in float32, as its maker
# states them; NVIDIA's "with sparsity" is twice that. V100 and T4 have no bfloat16, so
# float16. The devices of TPU v2, v3 and 7x are half a chip.
PEAK_FLOPS = {
    # The data sheet of each, from https://www.nvidia.com/en-us/data-center/.
    'NVIDIA GB200': 2500e12,
    'NVIDIA B200': 2250e12,
    'NVIDIA H200': 989e12,
    'NVIDIA H200 NVL': 835e12,
    'NVIDIA GH200 480GB': 989e12,
    'NVIDIA H100 80GB HBM3': 989e12,
    'NVIDIA H100 NVL': 835e12,
    'NVIDIA H100 PCIe': 756e12,
    'NVIDIA A100-SXM4-40GB': 312e12,
    'NVIDIA A100-SXM4-80GB': 312e12,
    'NVIDIA A100-PCIE-40GB': 312e12,
    'NVIDIA A100 80GB PCIe': 312e12,
    'NVIDIA L40S': 362e12,
    'NVIDIA L40': 181e12,
    'NVIDIA L4': 121e12,
    'NVIDIA A40': 149.7e12,
    'NVIDIA A10': 125e12,
    'NVIDIA A10G': 70e12,
    'Tesla T4': 65e12,
    'Tesla V100-SXM2-16GB': 125e12,
    'Tesla V100-SXM2-32GB': 125e12,
    # NVIDIA's white papers of GA102, Ada and RTX Blackwell: BF16 with FP32 accumulate.
    'NVIDIA GeForce RTX 3090': 71e12,
    'NVIDIA GeForce RTX 4090': 165.2e12,
    'NVIDIA GeForce RTX 5090': 209.5e12,
    'NVIDIA RTX A6000': 154.8e12,
    # https://cloud.google.com/tpu/docs/v5e and beside it v2, v3, v4, v5p, v6e, tpu7x.
    'TPU v2': 22.5e12,
    'TPU v3': 61.5e12,
    'TPU v4': 275e12,
    'TPU v5 lite': 197e12,
    'TPU v5e': 197e12,
    'TPU v5': 459e12,
    'TPU v5p': 459e12,
    'TPU v6 lite': 918e12,
    'TPU v6e': 918e12,
    'TPU7x': 1153.5e12,
}


def memory() -> dict[str, int]:
    """Bytes at the most so far: 'host', and 'device' of the first where it counts."""
    import jax

    unit = 1 if sys.platform == 'darwin' else 1024
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    device = (jax.local_devices()[0].memory_stats() or {}).get('peak_bytes_in_use')
    return {'host': host} | ({'device': device} if device else {})


def peak_flops(kind: str) -> float | None:
    """Of a device of a kind, as JAX calls it; None where it is not known."""
    return PEAK_FLOPS.get(kind)
