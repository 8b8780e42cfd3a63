#!/usr/bin/env python3
"""scripts/to_safetensors.py reads every way in which checkpoints are saved. Run with a Python that has torch."""

import json
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import torch

CONVERTER = Path(__file__).resolve().parent.parent / "scripts" / "to_safetensors.py"
TENSORS = {"conv1.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "fc.bias": torch.tensor([0.5, -1.25])}


def convert(checkpoint, **options):
    """Saves, converts, and returns (exit code, tensors as lists, message)."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "checkpoint.th", Path(folder) / "out.safetensors"
        torch.save(checkpoint, source, **options)
        result = subprocess.run([sys.executable, CONVERTER, source, target], capture_output=True, text=True)
        if result.returncode != 0:
            return result.returncode, None, result.stderr
        data = target.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    found = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        values = struct.unpack(f"<{(end - start) // 4}f", data[8 + length + start : 8 + length + end])
        found[name] = (entry["shape"], list(values))
    return 0, found, result.stdout


EXPECTED = {name: (list(tensor.shape), tensor.flatten().tolist()) for name, tensor in TENSORS.items()}


class Converter(unittest.TestCase):
    def test_a_bare_state_dict_in_both_file_formats(self):
        for new_format in (True, False):
            self.assertEqual(convert(TENSORS, _use_new_zipfile_serialization=new_format)[1], EXPECTED)

    def test_a_nested_state_dict_with_prefixes_and_another_name_for_fc(self):
        renamed = {"module." + name.replace("fc.", "linear."): tensor for name, tensor in TENSORS.items()}
        renamed["module.bn1.num_batches_tracked"] = torch.tensor(7)
        self.assertEqual(convert({"state_dict": renamed, "epoch": 3, "best_prec1": 91.2})[1], EXPECTED)

    def test_other_precisions_become_float32_and_views_are_made_whole(self):
        self.assertEqual(convert({name: tensor.double() for name, tensor in TENSORS.items()})[1], EXPECTED)
        transposed = {**TENSORS, "conv1.weight": TENSORS["conv1.weight"].permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)}
        self.assertEqual(convert(transposed)[1], EXPECTED)

    def test_a_file_without_tensors_is_refused_with_a_line(self):
        code, _, message = convert({"epoch": 3})
        self.assertEqual(code, 1)
        self.assertIn("no state dict", message)


if __name__ == "__main__":
    unittest.main()
