"""Make src/softclass/data/samples/digits.npz again, byte for byte, from the digits that come with scikit-learn.

python scripts/make_samples.py            writes the file
python scripts/make_samples.py --check    says whether it is what would be written; exit status 1 if not
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).resolve().parents[1] / "src" / "softclass" / "data" / "samples" / "digits.npz"


def digits() -> bytes:
    """Return the archive: x uint8 (1797, 8, 8) and y uint8 (1797,), stored, dated 1980."""
    bunch = load_digits()
    values = bunch.images.astype(np.int64)  # 0..16, whole numbers stored as floats
    pixels = ((values * 255 + 8) // 16).astype(np.uint8)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in (("x.npy", pixels), ("y.npy", bunch.target.astype(np.uint8))):
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3
            member.external_attr = 0o644 << 16
            archive.writestr(member, content.getvalue())
    return file.getvalue()


def main() -> int:
    """Write the file, or compare it."""
    wanted = digits()
    if sys.argv[1:] == ["--check"]:
        same = TARGET.is_file() and TARGET.read_bytes() == wanted
        print(f"{TARGET.name}: {'as made' if same else 'differs'}")
        return 0 if same else 1
    TARGET.write_bytes(wanted)
    print(f"{TARGET.name}: {len(wanted):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
