"""What several lessons of *From Tokens to Transformers* need and none of them teaches.

Rooms, one file each. To read first, in about this order:

- `training` (seed, threads, the loop), `text` (ids, padding, masks, batches), `proofs` (is a gradient right, is a layer
  equal to the framework's, is bad input refused), `metrics`, `timing`
- `plots`, `explorers` (figures that turn), `exercises` (checks, hints, solutions)
- `datasets` (generated and small data), `grammar` and `grammar_rules` (the two languages), `corpora` (fetched on request)

Models that one lesson builds and later ones use, each named in that lesson: `sru` (with `sru_kernels`, `sru_steps`,
`sru_triton`), `attention`, `gnmt`, `decoding`, `transformer`, `bert`, `parallel`. The shared tasks with their budgets and
scores are in `tasks`, what every model reached in `results`. Only `course.py` needs `storing` and `setting_up`.

Importing this package imports none of them; each imports PyTorch, Matplotlib and the like when first used.
"""

__version__ = "1.0.0"
