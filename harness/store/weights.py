"""Weights without torch: the digest of a safetensors file, by the rule by which a trial's record has it."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

_TYPES = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"},
    **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"},
}
"""The format's names of types → torch's."""


def weights_digest(path: Path) -> str:
    """SHA-256 over named tensors, their shapes and types, in the order of their names.

    The same as `train.seeds.tensors_digest` of the file's tensors, read from the bytes alone (the format is a length,
    a JSON header and the tensors). Raises `ValueError` for what is no safetensors file.
    """
    content = path.read_bytes()
    try:
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        data, digest = memoryview(content)[8 + length :], hashlib.sha256()
        for name, tensor in sorted(header.items()):
            begin, end = tensor["data_offsets"]
            if not 0 <= begin <= end <= len(data):
                raise ValueError("it is cut off")
            digest.update(f"{name}:{tuple(tensor['shape'])}:torch.{_TYPES[tensor['dtype']]};".encode())
            digest.update(data[begin:end])
    except (struct.error, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"it is no safetensors file ({error})") from error
    return digest.hexdigest()
