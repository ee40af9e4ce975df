"""What several lessons of *From Tokens to Transformers* need and none of them teaches.

Rooms, one file each: `datasets` and `grammar` (what is learnt from), `text` (ids, padding, masks, batches),
`training` (seed, threads, the loop), `metrics`, `proofs` (is a gradient right, is a layer equal to the
framework's), `plots`, `explorers` (figures that turn), `exercises` (checks, hints, solutions).

Importing this package imports none of them; each imports PyTorch, Matplotlib and the like when first used.
"""

__version__ = "1.0.0"
