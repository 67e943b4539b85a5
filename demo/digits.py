"""Array: principal components by a tall-and-skinny SVD."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from sklearn.datasets import load_digits

from demo.pipeline import Pipeline

ROWS = 200
"""Images of a chunk."""


def explained_variance(images: Any) -> Any:
    """Return the share of all variance that each principal component explains, the largest first."""
    x = da.from_array(images, chunks=(ROWS, images.shape[1]))
    _, singular, _ = da.linalg.svd(x - x.mean(axis=0))
    variance = singular**2
    return variance / variance.sum()


def text(shares: Any) -> str:
    """Return the first components as bars, and how many tell nearly all."""
    bars = [
        f"component {number}  {share:6.1%}  {'█' * round(share * 200)}"
        for number, share in enumerate(shares[:6], 1)
    ]
    enough = int(np.searchsorted(np.cumsum(shares), 0.9)) + 1
    return "\n".join([*bars, f"{enough} of {len(shares)} components explain 90% of the variance."])


def same(ours: Any, dasks: Any) -> bool:
    """Compare closely: LAPACK rounds in its own way for each number of threads."""
    return bool(np.allclose(ours, dasks, rtol=1e-9, atol=1e-12))


def pipeline() -> Pipeline:
    """Return the pipeline over scikit-learn's digits."""
    images = load_digits().data
    return Pipeline(
        title="Digits: an array",
        about=(
            f"The {len(images):,} handwritten digits that come with scikit-learn, 8 by 8 pixels each, are centred and "
            "factorised (QR in chunks, then one small SVD): how many directions tell them apart?"
        ),
        collection=explained_variance(images),
        text=text,
        same=same,
    )
