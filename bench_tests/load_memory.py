"""Peak memory of loading a checkpoint, measured by hand: ``python bench_tests/load_memory.py``.

A LLaDA checkpoint of about 500 MB is written to a folder that is removed again, and loaded in a process of
its own, on Linux. The bound holds for what loading adds to a process that has imported its libraries.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

MB = 10**6
ALLOWED = "1.3 n + 200 MB"

CONFIG = {
    "model_type": "llada",
    "architectures": ["LLaDAModelLM"],
    "block_type": "llama",
    "layer_norm_type": "rms",
    "activation_type": "silu",
    "rope": True,
    "rope_theta": 500000.0,
    "rms_norm_eps": 1e-5,
    "include_bias": False,
    "weight_tying": False,
    "d_model": 1024,
    "n_heads": 16,
    "mlp_hidden_size": 3072,
    "vocab_size": 16000,
    "max_sequence_length": 1024,
    "mask_token_id": 15999,
    "eos_token_id": 15998,
    "pad_token_id": 15998,
}


def shapes(n_layers: int) -> dict[str, tuple[int, ...]]:
    """Return the published key and the shape of every weight."""
    width, wide, rows = CONFIG["d_model"], CONFIG["mlp_hidden_size"], CONFIG["vocab_size"]
    found: dict[str, tuple[int, ...]] = {
        "wte": (rows, width),
        "ln_f": (width,),
        "ff_out": (rows, width),
    }
    for layer in range(n_layers):
        found |= {f"blocks.{layer}.{name}_proj": (width, width) for name in "qkv"}
        found |= {f"blocks.{layer}.{name}": (width,) for name in ("attn_norm", "ff_norm")}
        found |= {f"blocks.{layer}.{name}": (wide, width) for name in ("ff_proj", "up_proj")}
        found |= {f"blocks.{layer}.attn_out": (width, width), f"blocks.{layer}.ff_out": (width, wide)}
    return {f"model.transformer.{name}.weight": shape for name, shape in found.items()}


def write(folder: Path, dtype: str, n_shards: int) -> int:
    """Write a checkpoint of about 500 MB in *n_shards* files and return its size in bytes."""
    import torch
    from safetensors.torch import save_file

    number = getattr(torch, dtype)
    per_layer = sum(torch.Size(shape).numel() for shape in shapes(1).values()) - sum(
        torch.Size(shape).numel() for shape in shapes(0).values()
    )
    n_layers = round((500 * MB / number.itemsize - 2 * CONFIG["vocab_size"] * CONFIG["d_model"]) / per_layer)
    config = {**CONFIG, "n_layers": n_layers, "torch_dtype": dtype}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    names = list(shapes(n_layers).items())
    source, index = torch.Generator().manual_seed(0), {}
    for shard in range(n_shards):
        file = f"model-{shard + 1:05}-of-{n_shards:05}.safetensors" if n_shards > 1 else "model.safetensors"
        part = {
            name: (torch.ones(shape) if len(shape) == 1 else 0.02 * torch.randn(shape, generator=source)).to(
                number
            )
            for name, shape in names[shard::n_shards]
        }
        save_file(part, folder / file)
        index |= dict.fromkeys(part, file)
    if n_shards > 1:
        text = json.dumps({"weight_map": index})
        (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def load(folder: str, dtype: str) -> None:
    """Load the checkpoint in *folder* and print what that took in this process, in bytes."""
    import torch
    import transformers

    from decoders.models import llada
    from decoders.protocols import ModelRequest

    torch.set_num_threads(1)
    assert transformers.LlamaForCausalLM
    before = memory("VmRSS")
    model = llada.load(ModelRequest(name="llada", source=folder, dtype=dtype, device="cpu"))
    peak = memory("VmHWM")
    parameters = sum(p.numel() * p.element_size() for p in model.network.parameters())
    print(json.dumps({"added": peak - before, "peak": peak, "parameters": parameters}))


def memory(field: str) -> int:
    """Return VmRSS, what this process holds now, or VmHWM, the most it ever held, in bytes.

    The peak that ``resource`` tells would include that of the process which started this one.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{field}:"))) * 1024


def measure(dtype: str, n_shards: int, as_dtype: str) -> bool:
    """Print one measurement, and return whether it keeps the bound."""
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder), dtype, n_shards)
        command = [sys.executable, __file__, "--load", folder, "--as", as_dtype]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    limit = 1.3 * max(size, found["parameters"]) + 200 * MB
    kept = found["added"] <= limit
    print(
        f"{dtype}, {n_shards} file{'s' * (n_shards > 1)}, loaded as {as_dtype}: {size / MB:.0f} MB on disk, "
        f"{found['parameters'] / MB:.0f} MB of weights in memory, loading adds {found['added'] / MB:.0f} MB "
        f"at its peak (whole process {found['peak'] / MB:.0f} MB), "
        f"allowed {limit / MB:.0f} MB ({ALLOWED}): {'kept' if kept else 'BROKEN'}"
    )
    return kept


def main() -> int:
    """Measure, or load for a measurement; return 1 when the bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", metavar="DIR", help="load DIR and print bytes as JSON")
    parser.add_argument("--as", dest="as_dtype", default="float32", help="number type to load as")
    asked = parser.parse_args()
    if asked.load is not None:
        load(asked.load, asked.as_dtype)
        return 0
    cases = (("bfloat16", 1, "bfloat16"), ("bfloat16", 3, "bfloat16"), ("float32", 1, "float32"))
    return 0 if all([measure(*case) for case in cases]) else 1


if __name__ == "__main__":
    sys.exit(main())
