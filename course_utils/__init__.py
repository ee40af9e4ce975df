"""What several lessons of *From Tokens to Transformers* need and none of them teaches.

At the door stands what any lesson imports, to be read in an afternoon, in about this order:

- `training` (seed, threads, the loop), `text` (ids, padding, masks, batches), `expect` (what meets
  bad input), `proofs` (is a gradient right, is a layer equal to the framework's), `metrics`,
  `timing`
- `plots`, `diagrams`, `explorers` (figures that turn), `exercises` (checks, hints, solutions)

Behind it, a folder each; what stands above imports only what stands below it:

- `command`: what `course.py` runs; no lesson imports it
- `tasks`: the shared tasks with their budgets and scores, and what every model reached (`results`)
- `models`: what one lesson builds and proves, and later ones use
- the door, `datasets` and `grammar` (the two languages)

Importing this package imports none of them; each imports PyTorch, Matplotlib and the like when
first used.
"""

__version__ = "2.0.0"
