"""Exercises of lesson 11: sequence to sequence."""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import torch

from course_utils.grading import Exercise, Wrong, ask, autograd, exercise
from course_utils.grading.alike import is_numeric, misfit
from course_utils.grading.blocks import changed
from course_utils.proofs import numbers
from course_utils.text import EOS, PAD, SOS

REAL = np.ones((1, 1), bool)  # mask: one sentence, one word
EXERCISES = {}


# The notebook's functions, which the listings use


def rnn(x, h_0, W_x, W_h, b, mask):
    states, state = np.empty((*x.shape[:2], len(W_h))), h_0
    for t in range(x.shape[1]):
        new = np.tanh(x[:, t] @ W_x + state @ W_h + b)
        states[:, t] = state = np.where(mask[:, t, None], new, state)
    return states


def rnn_back(dstates, x, h_0, W_x, W_h, mask, states):
    before = np.concatenate([h_0[:, None], states[:, :-1]], axis=1)
    da, dh = np.zeros_like(states), np.zeros_like(h_0)
    for t in reversed(range(x.shape[1])):
        dh = dh + dstates[:, t]
        da[:, t] = mask[:, t, None] * dh * (1 - states[:, t] ** 2)
        dh = da[:, t] @ W_h.T + ~mask[:, t, None] * dh
    d = {
        "W_x": np.einsum("ntd,nth->dh", x, da),
        "W_h": np.einsum("nti,ntj->ij", before, da),
        "b": da.sum(axis=(0, 1)),
    }
    return da @ W_x.T, dh, d


def rows(dx, ids, size):
    table = np.zeros((size, dx.shape[2]))
    np.add.at(table, ids, dx)
    return table


def cell(p, name):
    return p[f"{name} W_x"], p[f"{name} W_h"], p[f"{name} b"]


def decoder(rng, V, D, H, peeky):
    """A decoder's parameters under the notebook's names."""
    seen = H if peeky else 0
    shapes = {
        "target": (V, D),
        "decoder W_x": (D + seen, H),
        "decoder W_h": (H, H),
        "decoder b": (H,),
        "head W": (H + seen, V),
        "head b": (V,),
    }
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def as_text(ids):
    """A list of ids as a text, such as "5, 7"."""
    if not is_numeric(ids) or numbers(ids).ndim != 1:
        raise Wrong("return the ids as a list of whole numbers")
    return ", ".join(str(int(word)) for word in numbers(ids))


# 11.1 The batch


def batch(target):
    words, answers = target[:, :-1], target[:, 1:]  # in goes a word, asked is the next one
    return words, answers, answers != PAD


def named(answer, target):
    got = ask(answer, target)
    if not isinstance(got, (tuple, list)) or len(got) != 3:
        raise Wrong("return three arrays: the decoder's words, the answers, and the mask")
    return dict(zip(("words", "answers", "mask"), got))


EXERCISES["11.1"] = exercise(
    batch,
    lambda: [
        (np.array([[2, 7, 1, 3, 0], [2, 5, 6, 9, 3]]),),
        (np.array([[2, 3, 0], [2, 4, 3], [2, 3, 0], [2, 1, 3]]),),
    ],
    """
the listing: `target[:, 1:]` -> `target[:, :-1]`
    the answers are the decoder's own input: the model is asked to repeat what it was given, so the
    loss falls to 0 and nothing about the next word is learnt; the answer at a position is the word
    that comes next
backwards: `target[:, :-1], target[:, 1:]` -> `target[:, 1:], target[:, :-1]`
    this runs backwards: the decoder is given the next word and asked for the one before; given is
    target[:, :-1]
mask of the words: `answers != PAD` -> `words != PAD`
    this mask is that of the words: where <eos> goes in, <pad> is asked for, and that position would
    count; take the answers' mask
last column kept: `target[:, :-1]` -> `target`
    words must have the shape (N, T), one column less than target; yours has its last column too
no eos: `answers != PAD` -> `answers > EOS`
    <eos> must count: a model that is never asked for it never learns to stop
""",
    otherwise=(
        "Words start with <sos> and leave out the last column; answers leave out the first column,"
        " and nothing else; the mask is True where the answer is a real token"
    ),
    use=named,
    hint=(
        "At each position the decoder is given one word and asked for the next. Which columns of"
        " target are given, which asked? And padding does not count where it is *asked for*."
    ),
    praise=(
        "in goes a word, asked is the next one, counted is what is not padding. The listing asked"
        " for what it had given."
    ),
)


# 11.2 The parts


def parts(V, D, H, rng):
    embedding = {"E": rng.standard_normal((V, D))}
    layer = {
        "W_x": rng.standard_normal((D + H, H)),
        "W_h": rng.standard_normal((H, H)),
        "b": np.zeros(H),
    }
    # [s_t, context] has 2H numbers
    read_out = {"W": rng.standard_normal((2 * H, V)), "b": np.zeros(V)}

    def copies(context, T):
        return np.repeat(context[:, None], T, axis=1)  # T copies, one a step

    trained = [*embedding.values(), *layer.values(), *read_out.values()]  # the read-out too
    return embedding, layer, read_out, copies, trained


def check_parts(answer):
    V, D, H, T = 9, 3, 4, 6
    got = ask(answer, V, D, H, np.random.default_rng(2))
    kinds = (dict, dict, dict, object, (list, tuple))
    if not (
        isinstance(got, (tuple, list))
        and len(got) == len(kinds)
        and all(isinstance(part, kind) for part, kind in zip(got, kinds))
    ):
        raise Wrong(
            "return five things as the listing does: embedding, layer, read_out, copies, trained"
        )
    *groups, copies, trained = got
    context, faults = np.arange(2.0 * H).reshape(2, H), []
    copied = numbers(ask(copies, context, T))
    if copied.shape != (2, T, H):
        why = "one copy a step, the steps along the second axis"
        if copied.shape == (2, H, H):
            why = "that is one copy for each unit, H of them, where each of the T steps needs one"
        if copied.shape == (T, 2, H):
            why = "the steps must be the second axis, behind the rows of the batch"
        faults.append(
            f"copies(context (2, {H}), T={T}) has the shape {copied.shape}, not (N, T, H) ="
            f" {(2, T, H)}: {why}"
        )
    elif not np.array_equal(copied, np.repeat(context[:, None], T, axis=1)):
        faults.append("copies mixes up the rows: step t of row n must be the context of row n")
    arrays = {}
    for group, part in zip(("embedding", "layer", "read_out"), groups):
        arrays |= {f"{group}[{name!r}]": array for name, array in part.items()}
    before = "that line was right before"
    for name, shape, why in (
        ("read_out['W']", (2 * H, V), "the read-out reads [s_t, context], which has 2H numbers"),
        ("layer['W_x']", (D + H, H), f"it reads [word, context]; {before}"),
        ("layer['W_h']", (H, H), before),
        ("layer['b']", (H,), before),
        ("read_out['b']", (V,), before),
        ("embedding['E']", (V, D), before),
    ):
        yours = np.shape(arrays.get(name))
        if yours != shape:
            faults.append(f"{name} has the shape {yours}, not {shape}: {why}")
    if any(isinstance(array, str) for array in trained):
        raise Wrong(
            "trained must hold the arrays themselves, not their names: take the dictionaries'"
            " values()"
        )
    forgotten = [name for name, array in arrays.items() if not any(array is one for one in trained)]
    if forgotten:
        faults.append(
            f"the optimizer never gets {', '.join(forgotten)}, so it stays as it was drawn; trained"
            " must hold every array"
        )
    if faults:
        count = f"{len(faults)} faults are left. " if len(faults) > 1 else "one fault is left: "
        raise Wrong(count + "; ".join(faults))
    return (
        "all three found. With T = H the copy was right by accident: test with sizes that all"
        " differ."
    )


COPY, ALL = "np.repeat(context[:, None], T, axis=1)", ", *read_out.values()]"
BY_H = COPY, "np.repeat(context[:, None], context.shape[1], axis=1)"
NARROW, UNTRAINED = ("(2 * H, V)", "(H, V)"), (ALL, "]")
EXERCISES["11.2"] = Exercise(
    check_parts,
    hint=(
        "Write the shape of each array beside its line, with N, T, D, H and V all different. Then"
        " count the arrays, and the list."
    ),
    solution=parts,
    wrong={
        "the listing": changed(parts, BY_H, NARROW, UNTRAINED),
        "copies along H": changed(parts, BY_H),
        "too narrow": changed(parts, NARROW),
        "read-out not trained": changed(parts, UNTRAINED),
        "bias not trained": changed(parts, (ALL, ", read_out['W']]")),
        "copies rows": changed(parts, (COPY, "np.repeat(context, T, axis=0)")),
        "steps first": changed(parts, (COPY, "np.stack([context] * T)")),
        "names": changed(parts, ("layer.values()" + ALL, "layer, *read_out]")),
    },
)


# 11.3 Find the bug: it trains, but badly


def repaired_back(p, context, words, dlogits, cache):
    x, states, seen = cache
    H, mask = context.shape[1], np.ones(words.shape, bool)
    dseen = dlogits @ p["head W"].T
    dstates, by_head = dseen[:, :, :H], dseen[:, :, H:].sum(axis=1)
    W_x, W_h, _ = cell(p, "decoder")
    # here: the gradient, not the states
    dx, by_start, d = rnn_back(dstates, x, context, W_x, W_h, mask, states)
    dwords, by_inputs = dx[:, :, :-H], dx[:, :, -H:].sum(axis=1)
    grads = {f"decoder {name}": value for name, value in d.items()}
    grads |= {"head W": np.einsum("nth,ntv->hv", seen, dlogits), "head b": dlogits.sum(axis=(0, 1))}
    grads["target"] = rows(dwords, words, len(p["target"]))
    return by_start + by_inputs + by_head, grads


def back_cases():
    N, T, V, D, H = 3, 5, 7, 2, 4
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        p, context = decoder(rng, V, D, H, peeky=True), rng.standard_normal((N, H))
        words, dlogits = rng.integers(0, V, (N, T)), rng.standard_normal((N, T, V))
        copied = np.repeat(context[:, None], T, axis=1)
        x = np.concatenate([p["target"][words], copied], axis=2)
        states = rnn(x, context, *cell(p, "decoder"), np.ones((N, T), bool))
        yield p, context, words, dlogits, (x, states, np.concatenate([states, copied], axis=2))


def back_autograd(p, context, words, dlogits, cache):
    def loss(context, target, W_x, W_h, b, W, head_b):
        state, total = context, 0
        for t in range(words.shape[1]):
            x = torch.cat([target[words[:, t]], context], dim=1)
            state = (x @ W_x + state @ W_h + b).tanh()
            logits = torch.cat([state, context], dim=1) @ W + head_b
            total = total + (logits * torch.from_numpy(dlogits[:, t])).sum()
        return total

    dcontext, *grads = autograd(loss, context, *p.values())
    return dcontext, dict(zip(p, grads))


def all_gradients(answer, *given):
    """By name, the context's too."""
    got = ask(answer, *given)
    if not isinstance(got, (tuple, list)) or len(got) != 2 or not isinstance(got[1], dict):
        raise Wrong(
            "return the gradient with respect to the context and a dictionary of gradients, as the"
            " listing does"
        )
    return {"context": got[0], **got[1]}


EXERCISES["11.3"] = exercise(
    repaired_back,
    back_cases,
    """
states: `(dstates, x,` -> `(states, x,`
    this is the listing still: the layer's way back is handed what the layer *wrote* in the forward
    pass, in place of a gradient. Which array has the same shape and says how the loss changes with
    each state?
other half: `(dstates, x,` -> `(dseen[:, :, H:], x,`
    the layer's way back gets the half of dseen that belongs to the context; [s_t, c] has the state
    in its first H numbers
the input: `(dstates, x,` -> `(x[:, :, :H], x,`
    the layer's way back is handed the layer's input; what it needs is the gradient with respect to
    its output, dstates
no start: `by_start + by_inputs` -> `by_inputs`
    the context is also the decoder's first state: by_start belongs to the sum, and it was there
    before
no head: ` + by_head` -> ``
    the context is also seen by the read-out at every step: by_head belongs to the sum, and it was
    there before
no inputs: ` + by_inputs` -> ``
    the context is also seen at the decoder's inputs: by_inputs belongs to the sum, and it was there
    before
""",
    otherwise="What do the wrong ones have in common, on the way back?",
    use=all_gradients,
    truth=back_autograd,
    hint=(
        "Set it beside `decode_back`, or measure: which gradients differ from finite differences,"
        " and which do not? What do the wrong ones pass through?"
    ),
    praise=(
        "the layer's way back wants dL/ds_t, not what the read-out got as input. Both have one"
        " shape, so nothing complains, and the read-out still learns."
    ),
)


# 11.4 Writing


def repaired_write(p, context, most):
    word, state, written = SOS, context, []
    while len(written) < most:
        x = p["target"][[[word]]]  # (1, 1, D)
        states = rnn(x, state, *cell(p, "decoder"), REAL)  # (1, 1, H)
        state = states[:, -1]  # stored: the next step goes on from here
        logits = states @ p["head W"] + p["head b"]  # the layer's output, not its input
        word = int(logits[0, 0].argmax())
        if word == EOS:
            break
        written.append(word)
    return written


def write_all(answer, decoders):
    """What each of these random decoders writes, some much, some little, as texts."""
    return [as_text(ask(answer, *given)) for given in decoders]


def write_cases():
    draws = [np.random.default_rng(seed) for seed in range(40)]
    yield (
        [
            (decoder(rng, 8, 5, 5, False), rng.standard_normal((1, 5)), int(rng.integers(4, 8)))
            for rng in draws
        ],
    )


def how_many_differ(given, got, right):
    wrong = sum(ours != theirs for ours, theirs in zip(got, right))
    return (
        f"{wrong} of {len(right)} random decoders write something else than they should; follow two"
        " steps by hand: word, input, state, scores"
    )


EXERCISES["11.4"] = exercise(
    repaired_write,
    write_cases,
    """
not stored and input: `state = states[:, -1]` -> `pass` `= states @` -> `= x @`
    the read-out gets the layer's input x, as in the listing: with D = H the shapes fit, but it was
    trained on the layer's output (and as long as the states are not read, nobody can see whether
    they are stored)
not stored: `state = states[:, -1]` -> `pass`
    one fault is left: each step starts from the context again, since the new state is never stored;
    the model forgets what it has written
with eos: `break` -> `return [*written, word]`
    <eos> ends the writing and is not part of it: break before it is appended
not stored and with eos: `state = states[:, -1]` -> `pass` `break` -> `return [*written, word]`
    two things: the new state is never stored, so each step starts from the context again; and <eos>
    does not belong to what is written
never stops: `if word == EOS` -> `if False`
    writing must stop at <eos>, not only after `most` words; that line was right before
one too many: `len(written) < most` -> `len(written) <= most`
    at most `most` words may be written; yours writes one more
""",
    otherwise=how_many_differ,
    use=write_all,
    hint=(
        "Follow the second step: from which state does it start? And which array has the read-out"
        " been trained on?"
    ),
    praise=(
        "the state goes on from step to step, and the read-out reads the state. Both faults leave"
        " every shape as it was."
    ),
)


# 11.5 The best sequence, surely


def best(log_p, V, most):
    top = -np.inf, ()  # log probability and ids of the best finished sequence

    def search(words, total):
        nonlocal top
        scores = log_p(words)
        top = max(top, (total + scores[EOS], words))
        for word in np.argsort(-scores):  # promising ones first: a good sequence early cuts more
            longer = total + scores[word]
            # a beginning only loses by going on
            if word != EOS and len(words) < most and longer > top[0]:
                search((*words, int(word)), longer)

    search((), 0.0)
    return top[1], float(top[0])


def beam(log_p, V, most):
    ends, beginnings = [], [(0.0, ())]
    for _ in range(most + 1):
        longer = []
        for total, words in beginnings:
            scores = log_p(words)
            ends.append((total + scores[EOS], words))
            longer += [(total + scores[i], (*words, i)) for i in range(V) if i != EOS]
        beginnings = sorted(longer, reverse=True)[:3]
    return max(ends)[1], max(ends)[0]


MODELS = 7


@cache
def log_probabilities(model, words):
    """Of one of the models: V = 6 numbers."""
    if model == 0:  # going on is always likely, so that the limit is felt
        p = np.full(6, 0.02)
        p[EOS] = 0.01 * (1 + len(words))
        p[0] += 1 - p.sum()
        return np.log(p)
    scores = 2.0 * np.random.default_rng([model, *words]).standard_normal(6)
    scores[EOS] += len(words) - 2.5  # short ones are improbable, so that one has to look far
    if model == 1:  # the least probable first id goes on surely, the others do not: no beam sees it
        scores = np.log([0.22, 0.22, 0.21, 0.06, 0.19, 0.10]) if not words else 0.1 * scores
        scores[EOS] += 5 * (words == (5,))
    return scores - np.log(np.exp(scores).sum())


@cache
def best_sequences(V, most):
    models = [partial(log_probabilities, model) for model in range(MODELS)]
    return [as_text(best(log_p, V, most)[0]) for log_p in models]


def search_all(answer, V, most):
    """The sequences of all models; only where these are right, their numbers and the calls too."""
    sequences, totals, calls = [], [], []
    for model in range(MODELS):

        def log_p(words, model=model):
            words = tuple(int(word) for word in words)
            if len(words) > most or EOS in words:
                raise Wrong(
                    f"log_p was asked for what follows {words}: a beginning has at most {most} ids,"
                    " and nothing follows <eos>"
                )
            calls.append(words)
            return log_probabilities(model, words).copy()

        got = ask(answer, log_p, V, most)
        if not isinstance(got, (tuple, list)) or len(got) != 2 or misfit(got[1], 0.0):
            raise Wrong(
                "return two things: the ids before <eos> as a tuple, and the log probability"
            )
        sequences.append(as_text(got[0]))
        totals.append(float(numbers(got[1]).item()))
    every = sum((V - 1) ** length for length in range(most + 1))  # beginnings of one model
    right = sequences == best_sequences(V, most)
    return {
        "sequences": sequences,
        "log probabilities": totals if right else [0.0] * MODELS,
        "few calls": not right or len(calls) <= 2 * every,
    }


def which_sequence(given, got, right):
    pairs = list(zip(got["sequences"], right["sequences"]))
    model = next((i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), None)
    if model is None:
        return (
            "the right sequences, but their log probabilities with <eos> are"
            f" {np.round(right['log probabilities'], 3)}, and yours are"
            f" {np.round(got['log probabilities'], 3)}"
        )
    return (
        f"({pairs[model][0]}) is not the most probable sequence (model {model}): another one has"
        f" the log probability {right['log probabilities'][model]:.3f}"
    )


EXERCISES["11.5"] = exercise(
    best,
    lambda: [(6, 4)],
    """
greedy: `max(top, (total + scores[EOS], words))` -> `(total + scores[EOS], words)`
    `np.argsort(-scores)` -> `[scores.argmax()]` ` and longer > top[0]` -> ``
    these are the greedy sequences; others are more probable as a whole, though they begin worse
tries all: ` and longer > top[0]` -> ``
    right, but with too many calls: a beginning that is already less probable than a finished
    sequence cannot win any more, since each further word only lowers it; leave its continuations
    out
mean per word: `(total + scores[EOS], words)` -> `((total + scores[EOS]) / (len(words) + 1), words)`
    ` and longer > top[0]` -> ``
    this maximises the log probability per word; asked is the sum, the probability of the whole
    sequence
without eos: `top = max(top` -> `if len(words) == most: top = max(top`
    `total + scores[EOS], words` -> `total, words`
    this leaves out the probability of <eos>; a sequence is finished only with it
""",
    others={
        "beam of three": (
            beam,
            (
                "this keeps only the three best beginnings at each step, and the best sequence may"
                " begin worse than three others: never surely the best"
            ),
        )
    },
    otherwise=which_sequence,
    use=search_all,
    same=(
        "-scores -> scores",  # the order changes the number of calls alone
        "longer > top[0] -> longer >= top[0]",  # what is equal only loses by going on
    ),
    hint=(
        "Search in depth, the most probable word first, and keep the best finished sequence. log p"
        " is never above 0, so a total only falls: when is a beginning out of the race?"
    ),
    praise=(
        "surely the best, without trying all: a beginning can only lose by going on. On long"
        " sentences even this is too slow, hence beams."
    ),
)
