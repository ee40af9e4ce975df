"""Exercises of lesson 11: sequence to sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_utils.exercises import Exercise, Wrong
from course_utils.proofs import relative_error
from course_utils.text import EOS, PAD, SOS

Array = NDArray[Any]
Parameters = dict[str, Array]


# ---------------------------------------------------------------- the notebook's functions, which the listings use


def rnn(x: Array, h_0: Array, W_x: Array, W_h: Array, b: Array, mask: Array) -> Array:
    states, state = np.empty((*x.shape[:2], len(W_h))), h_0
    for t in range(x.shape[1]):
        states[:, t] = state = np.where(mask[:, t, None], np.tanh(x[:, t] @ W_x + state @ W_h + b), state)
    return states


def rnn_back(dstates: Array, x: Array, h_0: Array, W_x: Array, W_h: Array, mask: Array, states: Array) -> tuple[Array, Array, Parameters]:
    before = np.concatenate([h_0[:, None], states[:, :-1]], axis=1)
    da, dh = np.zeros_like(states), np.zeros_like(h_0)
    for t in reversed(range(x.shape[1])):
        dh = dh + dstates[:, t]
        da[:, t] = mask[:, t, None] * dh * (1 - states[:, t] ** 2)
        dh = da[:, t] @ W_h.T + ~mask[:, t, None] * dh
    d = {"W_x": np.einsum("ntd,nth->dh", x, da), "W_h": np.einsum("nti,ntj->ij", before, da), "b": da.sum(axis=(0, 1))}
    return da @ W_x.T, dh, d


def rows(dx: Array, ids: Array, size: int) -> Array:
    table = np.zeros((size, dx.shape[2]))
    np.add.at(table, ids, dx)
    return table


def cell(p: Parameters, name: str) -> tuple[Array, Array, Array]:
    return p[f"{name} W_x"], p[f"{name} W_h"], p[f"{name} b"]


def decoder(rng: np.random.Generator, V: int, D: int, H: int, peeky: bool) -> Parameters:
    """A decoder's parameters under the notebook's names."""
    seen = H if peeky else 0
    shapes = {"target": (V, D), "decoder W_x": (D + seen, H), "decoder W_h": (H, H), "decoder b": (H,), "head W": (H + seen, V), "head b": (V,)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


# ---------------------------------------------------------------- 11.1 the batch


def batch(target: Array) -> tuple[Array, Array, Array]:
    words, answers = target[:, :-1], target[:, 1:]  # in goes a word, asked is the next one
    return words, answers, answers != PAD


def check_batch(answer: Callable[..., Any]) -> str:
    for target in (np.array([[2, 7, 8, 3, 0], [2, 5, 6, 9, 3]]), np.array([[2, 3, 0], [2, 4, 3], [2, 3, 0]])):
        got = answer(target.copy())
        if not isinstance(got, (tuple, list)) or len(got) != 3:
            raise Wrong("return three arrays: the decoder's words, the answers, and the mask")
        words, answers, mask = (np.asarray(part) for part in got)
        shape = (len(target), target.shape[1] - 1)
        for name, part in (("words", words), ("answers", answers), ("mask", mask)):
            if part.shape != shape:
                raise Wrong(f"{name} must have the shape (N, T) = {shape}, one place less than target; yours has {part.shape}")
        if np.array_equal(words, answers):
            raise Wrong("the answers are the decoder's own input: the model is asked to repeat what it was given, so the loss falls to 0 and nothing "
                        "about the next word is learnt; the answer at a place is the word that comes next")  # fmt: skip
        if np.array_equal(words, target[:, 1:]):
            raise Wrong("this runs backwards: the decoder is given the next word and asked for the one before; given is target[:, :-1]")
        if not np.array_equal(words, target[:, :-1]) or not np.array_equal(answers, target[:, 1:]):
            raise Wrong("words start with <sos> and leave out the last column; answers leave out the first column, and nothing else")
        if mask.dtype != bool:
            raise Wrong("the mask is an array of True and False: compare the ids with PAD")
        if np.array_equal(mask, words != PAD):
            raise Wrong("this mask is that of the words: where <eos> goes in, <pad> is asked for, and that place would count; take the answers' mask")
        if np.array_equal(mask, (answers != PAD) & (answers != EOS)):
            raise Wrong("<eos> must count: a model that is never asked for it never learns to stop")
        if not np.array_equal(mask, answers != PAD):
            raise Wrong(f"the mask is True where the answer is a real token; for the answers {answers[0].tolist()} yours is {mask[0].tolist()}")
    return "in goes a word, asked is the next one, counted is what is not padding. The listing asked for what it had given."


# ---------------------------------------------------------------- 11.2 the parts


def parts(V: int, D: int, H: int, rng: np.random.Generator) -> Any:
    embedding = {"E": rng.standard_normal((V, D))}
    layer = {"W_x": rng.standard_normal((D + H, H)), "W_h": rng.standard_normal((H, H)), "b": np.zeros(H)}
    read_out = {"W": rng.standard_normal((2 * H, V)), "b": np.zeros(V)}  # [s_t, context] has 2H numbers

    def copies(context: Array, T: int) -> Array:
        return np.repeat(context[:, None], T, axis=1)  # T copies, one a step

    trained = [*embedding.values(), *layer.values(), *read_out.values()]  # the read-out too
    return embedding, layer, read_out, copies, trained


def _parts_with(*faults: str) -> Callable[..., Any]:
    def answer(V: int, D: int, H: int, rng: np.random.Generator) -> Any:
        embedding, layer, read_out, copies, trained = parts(V, D, H, rng)
        if "narrow" in faults:
            read_out["W"] = rng.standard_normal((H, V))
        if "one trained" in faults:
            trained = [*embedding.values(), *layer.values(), read_out["W"]]
        elif "untrained" in faults:
            trained = [*embedding.values(), *layer.values()]
        elif "names" in faults:
            trained = [*embedding, *layer, *read_out]
        repeat: dict[str, Callable[..., Array]] = {
            "by H": lambda c, T: np.repeat(c[:, None], c.shape[1], axis=1),
            "flat": lambda c, T: np.repeat(c, T, axis=0),
            "steps first": lambda c, T: np.stack([c] * T),
        }
        chosen = [repeat[fault] for fault in faults if fault in repeat]
        return embedding, layer, read_out, (chosen or [copies])[0], trained

    return answer


def check_parts(answer: Callable[..., Any]) -> str:
    V, D, H, T = 9, 3, 4, 6
    got = answer(V, D, H, np.random.default_rng(2))
    if not isinstance(got, (tuple, list)) or len(got) != 5:
        raise Wrong("return five things in the listing's order: embedding, layer, read_out, copies, trained")
    embedding, layer, read_out, copies, trained = got
    context, found = np.arange(2.0 * H).reshape(2, H), []
    copied = np.asarray(copies(context.copy(), T))
    if copied.shape != (2, T, H):
        by_H = {
            (2, H, H): "that is one copy for each unit, H of them, where each of the T steps needs one",
            (T, 2, H): "the steps must be the second axis, behind the rows of the batch",
        }.get(copied.shape, "one copy a step, each step of its own in the second axis")
        found.append(f"copies(context (2, {H}), T={T}) has the shape {copied.shape}, not (N, T, H) = {(2, T, H)}: {by_H}")
    elif not np.array_equal(copied, np.repeat(context[:, None], T, axis=1)):
        found.append("copies mixes up the rows: step t of row n must be the context of row n")
    if np.shape(read_out["W"]) != (2 * H, V):
        found.append(f"the read-out reads [s_t, context], which has 2H = {2 * H} numbers; its W has the shape {np.shape(read_out['W'])}")
    arrays = {
        f"{part}[{name!r}]": array
        for part, group in (("embedding", embedding), ("layer", layer), ("read_out", read_out))
        for name, array in group.items()
    }
    if any(isinstance(array, str) for array in trained):
        raise Wrong("trained must hold the arrays themselves, not their names: take the dictionaries' values()")
    forgotten = [name for name, array in arrays.items() if not any(array is one for one in trained)]
    if forgotten:
        found.append(f"the optimizer never gets {', '.join(forgotten)}, so it stays as it was drawn; trained must hold every array")
    if np.shape(layer["W_x"]) != (D + H, H):
        found.append(f"the layer's W_x was right before: it reads [word, context], D + H = {D + H} rows; yours has the shape {np.shape(layer['W_x'])}")
    if found:
        raise Wrong((f"{len(found)} faults are left. " if len(found) > 1 else "one fault is left: ") + "; ".join(found))
    return "all three found. With T = H the copy was right by accident: test with sizes that all differ."


# ---------------------------------------------------------------- 11.3 the way back


def repaired_back(p: Parameters, context: Array, words: Array, dlogits: Array, cache: Any) -> tuple[Array, Parameters]:
    x, states, seen = cache
    H, mask = context.shape[1], np.ones(words.shape, bool)
    dseen = dlogits @ p["head W"].T
    dstates, by_head = dseen[:, :, :H], dseen[:, :, H:].sum(axis=1)
    dx, by_start, d = rnn_back(dstates, x, context, p["decoder W_x"], p["decoder W_h"], mask, states)  # here: the gradient, not the states
    dwords, by_inputs = dx[:, :, :-H], dx[:, :, -H:].sum(axis=1)
    grads = {f"decoder {name}": value for name, value in d.items()}
    grads |= {"head W": np.einsum("nth,ntv->hv", seen, dlogits), "head b": dlogits.sum(axis=(0, 1))}
    return by_start + by_inputs + by_head, {**grads, "target": rows(dwords, words, len(p["target"]))}


def _back_with(mistake: str) -> Callable[..., tuple[Array, Parameters]]:
    def answer(p: Parameters, context: Array, words: Array, dlogits: Array, cache: Any) -> tuple[Array, Parameters]:
        x, states, seen = cache
        H, mask = context.shape[1], np.ones(words.shape, bool)
        dseen = dlogits @ p["head W"].T
        dstates, by_head = dseen[:, :, :H], dseen[:, :, H:].sum(axis=1)
        above = {"states": states, "other half": dseen[:, :, H:], "seen": seen[:, :, :H] * 0 + x[:, :, :H]}.get(mistake, dstates)
        dx, by_start, d = rnn_back(above, x, context, p["decoder W_x"], p["decoder W_h"], mask, states)
        dwords, by_inputs = dx[:, :, :-H], dx[:, :, -H:].sum(axis=1)
        by_start, by_head, by_inputs = (0 * part if mistake == f"no {name}" else part for name, part in
                                        (("start", by_start), ("head", by_head), ("inputs", by_inputs)))  # fmt: skip
        grads = {f"decoder {name}": value for name, value in d.items()}
        grads |= {"head W": np.einsum("nth,ntv->hv", seen, dlogits), "head b": dlogits.sum(axis=(0, 1))}
        return by_start + by_inputs + by_head, {**grads, "target": rows(dwords, words, len(p["target"]))}

    return answer


BACK_MISTAKES = {
    "states": "this is the listing still: the layer's way back is handed what the layer *wrote* in the forward pass, in place of a gradient. "
    "Which array has the same shape and says how the loss changes with each state?",
    "other half": "the layer's way back gets the half of dseen that belongs to the context; [s_t, c] has the state in its first H numbers",
    "seen": "the layer's way back is handed the layer's input; what it needs is the gradient by its output, dstates",
    "no start": "the context is also the decoder's first state: by_start belongs to the sum, and it was there before",
    "no head": "the context is also seen by the read-out at every step: by_head belongs to the sum, and it was there before",
    "no inputs": "the context is also seen at the decoder's inputs: by_inputs belongs to the sum, and it was there before",
}


def check_back(answer: Callable[..., Any]) -> str:
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        N, T, V, D, H = 3, 5, 7, 4, 4
        p, context = decoder(rng, V, D, H, peeky=True), rng.standard_normal((N, H))
        words, dlogits = rng.integers(0, V, (N, T)), rng.standard_normal((N, T, V))
        copied = np.repeat(context[:, None], T, axis=1)
        x = np.concatenate([p["target"][words], copied], axis=2)
        states = rnn(x, context, *cell(p, "decoder"), np.ones((N, T), bool))
        given = (p, context, words, dlogits, (x, states, np.concatenate([states, copied], axis=2)))
        got = answer(*given)
        if not isinstance(got, (tuple, list)) or len(got) != 2 or not isinstance(got[1], dict):
            raise Wrong("return the gradient by the context and a dictionary of gradients, as the listing does")

        def same(other: tuple[Array, Parameters], got: Any = got) -> bool:
            if set(got[1]) != set(other[1]):
                raise Wrong(f"the dictionary must keep its names: {', '.join(other[1])}")
            pairs = [(got[0], other[0]), *((got[1][name], other[1][name]) for name in other[1])]
            return all(np.shape(a) == np.shape(b) and relative_error(np.asarray(a), b) < 1e-9 for a, b in pairs)

        if same(repaired_back(*given)):
            continue
        for mistake, sentence in BACK_MISTAKES.items():
            if same(_back_with(mistake)(*given)):
                raise Wrong(sentence)
        right = [name for name, value in repaired_back(*given)[1].items() if relative_error(np.asarray(got[1][name]), value) < 1e-9]
        raise Wrong(f"right are the gradients by {', '.join(right) or 'none'}; what do the wrong ones have in common, on the way back?")
    return "the layer's way back wants dL/ds_t, not what the read-out got as input. Both have one shape, so nothing complains, and the read-out still learns."


# ---------------------------------------------------------------- 11.4 writing


def repaired_write(p: Parameters, context: Array, most: int) -> list[int]:
    word, state = SOS, context
    written: list[int] = []
    while len(written) < most:
        x = p["target"][[[word]]]
        states = rnn(x, state, *cell(p, "decoder"), np.ones((1, 1), bool))
        state = states[:, -1]  # stored: the next step goes on from here
        logits = states @ p["head W"] + p["head b"]  # the layer's output, not its input
        word = int(logits[0, 0].argmax())
        if word == EOS:
            break
        written.append(word)
    return written


def _write_with(*faults: str) -> Callable[..., list[int]]:
    def answer(p: Parameters, context: Array, most: int) -> list[int]:
        word, state = SOS, context
        written: list[int] = []
        while len(written) < most:
            x = p["target"][[[word]]]
            states = rnn(x, state, *cell(p, "decoder"), np.ones((1, 1), bool))
            state = state if "not stored" in faults else states[:, -1]
            logits = (x if "input" in faults else states) @ p["head W"] + p["head b"]
            word = int(logits[0, 0].argmax())
            if word == EOS and "never stops" not in faults:
                return [*written, EOS] if "with eos" in faults else written
            written.append(word)
        return written

    return answer


WRITE_MISTAKES = {
    ("not stored", "input"): "the read-out gets the layer's input x, as in the listing: with D = H the shapes fit, but it was trained on the layer's output "
    "(and as long as the states are not read, nobody can see whether they are stored)",
    ("not stored",): "one fault is left: each step starts from the context again, since the new state is never stored; the model forgets what it has written",
    ("with eos",): "<eos> ends the writing and is not part of it: break before it is appended",
    ("not stored", "with eos"): "two things: the new state is never stored, so each step starts from the context again; and <eos> does not belong to what is written",
    ("never stops",): "writing must stop at <eos>, not only after `most` words; that line was right before",
}


def check_write(answer: Callable[..., Any]) -> str:
    asked = []
    for seed in range(60):  # random decoders; those whose greedy sequence ends early and late are both among them
        rng = np.random.default_rng(seed)
        asked.append((decoder(rng, 8, 5, 5, peeky=False), rng.standard_normal((1, 5)), 7))
    got = [answer(*given) for given in asked]
    for ids in got:
        if not isinstance(ids, (list, tuple)) or any(not isinstance(word, (int, np.integer)) for word in ids):
            raise Wrong("return a list of ids (whole numbers)")
    told = [list(ids) for ids in got]
    if told == [repaired_write(*given) for given in asked]:
        return "the state goes on from step to step, and the read-out reads the state. Both faults leave every shape as it was."
    for faults, sentence in WRITE_MISTAKES.items():
        if told == [_write_with(*faults)(*given) for given in asked]:
            raise Wrong(sentence)
    if any(len(ids) > 7 for ids in told):
        raise Wrong("at most `most` words may be written")
    wrong = sum(list(ids) != repaired_write(*given) for ids, given in zip(got, asked))
    raise Wrong(f"{wrong} of 60 random decoders write something else than they should; follow two steps by hand: word, input, state, scores")


# ---------------------------------------------------------------- 11.5 the best sequence


def best(log_p: Callable[[tuple[int, ...]], Array], V: int, most: int) -> tuple[tuple[int, ...], float]:
    found = -np.inf
    champion: tuple[int, ...] = ()

    def search(words: tuple[int, ...], total: float) -> None:
        nonlocal found, champion
        scores = log_p(words)
        if total + scores[EOS] > found:
            found, champion = total + scores[EOS], words
        for word in np.argsort(-scores):  # promising ones first: a good sequence early cuts more
            if word != EOS and len(words) < most and total + scores[word] > found:  # a beginning only loses by going on
                search((*words, int(word)), total + scores[word])

    search((), 0.0)
    return champion, float(found)


def _greedy(log_p: Callable[[tuple[int, ...]], Array], V: int, most: int) -> tuple[tuple[int, ...], float]:
    words: tuple[int, ...] = ()
    total = 0.0
    while True:
        scores = log_p(words)
        word = int(scores.argmax()) if len(words) < most else EOS
        total += float(scores[word])
        if word == EOS:
            return words, total
        words = (*words, word)


def _every(log_p: Callable[[tuple[int, ...]], Array], V: int, most: int, kind: str = "") -> tuple[tuple[int, ...], float]:
    ends: list[tuple[float, tuple[int, ...], float]] = []
    beginnings: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    while beginnings:
        words, total = beginnings.pop()
        scores = log_p(words)
        whole = total + float(scores[EOS])
        rank = whole / (len(words) + 1) if kind == "mean" else total if kind == "open" else whole
        if kind != "open" or len(words) == most:
            ends.append((rank, words, total if kind == "open" else whole))
        if len(words) < most:
            beginnings += [((*words, word), total + float(scores[word])) for word in range(V) if word != EOS]
    rank, words, whole = max(ends)
    return words, whole


def _mean(log_p: Callable[[tuple[int, ...]], Array], V: int, most: int) -> tuple[tuple[int, ...], float]:
    return _every(log_p, V, most, "mean")


def _open(log_p: Callable[[tuple[int, ...]], Array], V: int, most: int) -> tuple[tuple[int, ...], float]:
    return _every(log_p, V, most, "open")


def _beam(log_p: Callable[[tuple[int, ...]], Array], V: int, most: int, width: int = 3) -> tuple[tuple[int, ...], float]:
    ends: list[tuple[float, tuple[int, ...]]] = []
    beam: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    while beam:
        longer: list[tuple[float, tuple[int, ...]]] = []
        for total, words in beam:
            scores = log_p(words)
            ends.append((total + float(scores[EOS]), words))
            if len(words) < most:
                longer += [(total + float(scores[word]), (*words, word)) for word in range(V) if word != EOS]
        beam = sorted(longer, reverse=True)[:width]
    whole, words = max(ends)
    return words, whole


_by = {"mean": _mean, "open": _open, "beam": _beam}


def check_best(answer: Callable[..., Any]) -> str:
    V, most, models = 6, 5, 7
    every = sum((V - 1) ** length for length in range(most + 1))
    given: list[Callable[[tuple[int, ...]], Array]] = []
    told: list[tuple[tuple[int, ...], float]] = []
    calls: list[tuple[int, ...]] = []
    for seed in range(models):

        def log_p(words: tuple[int, ...], seed: int = seed) -> Array:
            if seed == models - 1:  # the least probable first id goes on surely, the others do not: no beam sees it
                likely = np.log([0.22, 0.22, 0.21, 0.06, 0.19, 0.10]) if not words else np.full(V, np.log(1 / V))
                return np.log([0.01, 0.01, 0.01, 0.95, 0.01, 0.01]) if words == (5,) else likely
            scores = 2.0 * np.random.default_rng([seed, *words]).standard_normal(V)
            scores[EOS] += len(words) - 2.5  # short sequences are improbable, so that one has to look far
            return np.asarray(scores - np.log(np.exp(scores).sum()))

        def counted(words: Any, log_p: Callable[..., Array] = log_p) -> Array:
            words = tuple(int(word) for word in words)
            if len(words) > most or EOS in words:
                raise Wrong(f"log_p was asked for what follows {words}: a beginning has at most {most} ids, and nothing follows <eos>")
            calls.append(words)
            return log_p(words)

        got = answer(counted, V, most)
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Wrong("return two things: the ids before <eos> as a tuple, and the log probability")
        told.append((tuple(int(word) for word in got[0]), float(got[1])))
        given.append(log_p)
    true = [best(log_p, V, most) for log_p in given]
    if [words for words, _ in told] != [words for words, _ in true]:
        for kind, sentence in {
            "greedy": "these are the greedy sequences; others are more probable as a whole, though they begin worse",
            "mean": "this maximises the log probability per word; asked is the sum, the probability of the whole sequence",
            "open": "this leaves out the probability of <eos>; a sequence is finished only with it",
            "beam": "this keeps only the three best beginnings at each step, and the best sequence may begin worse than three others: never surely the best",
        }.items():
            if [words for words, _ in told] == [(_greedy if kind == "greedy" else _by[kind])(log_p, V, most)[0] for log_p in given]:
                raise Wrong(sentence)
        missed = next(seed for seed in range(models) if told[seed][0] != true[seed][0])
        raise Wrong(f"{told[missed][0]} is not the most probable sequence (model {missed}): another one has the log probability {true[missed][1]:.3f}")
    for (_, ours), (_, theirs) in zip(told, true):
        if not np.isclose(ours, theirs):
            raise Wrong(f"the right sequence, but its log probability with <eos> is {theirs:.4f}, and yours is {ours:.4f}")
    if len(calls) > 2 * every:
        raise Wrong(f"right, but with {len(calls)} calls where all beginnings of the {models} models are {models * every}: a beginning that is already less probable than "
                    "a finished sequence cannot win any more, since each further word only lowers it; leave its continuations out")  # fmt: skip
    return "surely the best, without trying all: a beginning can only lose by going on. On long sentences even this is too slow, hence beams."


EXERCISES = {
    "11.1": Exercise(
        check=check_batch,
        hint="At each place the decoder is given one word and asked for the next. Which columns of target are given, which asked? "
        "And padding does not count where it is *asked for*.",
        solution=batch,
        wrong={
            "the listing": lambda target: (target[:, :-1], target[:, :-1], target[:, :-1] != PAD),
            "mask of the words": lambda target: (target[:, :-1], target[:, 1:], target[:, :-1] != PAD),
            "backwards": lambda target: (target[:, 1:], target[:, :-1], target[:, :-1] != PAD),
            "last column kept": lambda target: (target, target[:, 1:], target[:, 1:] != PAD),
            "no eos": lambda target: (target[:, :-1], target[:, 1:], target[:, 1:] > EOS),
        },
    ),
    "11.2": Exercise(
        check=check_parts,
        hint="Write the shape of each array beside its line, with N, T, D, H and V all different. Then count the arrays, and the list.",
        solution=parts,
        wrong={
            "the listing": _parts_with("by H", "narrow", "untrained"),
            "copies along H": _parts_with("by H"),
            "too narrow": _parts_with("narrow"),
            "read-out not trained": _parts_with("untrained"),
            "bias not trained": _parts_with("one trained"),
            "copies rows": _parts_with("flat"),
            "steps first": _parts_with("steps first"),
            "names": _parts_with("names"),
        },
    ),
    "11.3": Exercise(
        check=check_back,
        hint="Set it beside `decode_back`, or measure: which gradients differ from finite differences, and which do not? What do the wrong ones pass through?",
        solution=repaired_back,
        wrong={mistake: _back_with(mistake) for mistake in BACK_MISTAKES},
    ),
    "11.4": Exercise(
        check=check_write,
        hint="Follow the second step: from which state does it start? And which array has the read-out been trained on?",
        solution=repaired_write,
        wrong={" and ".join(faults): _write_with(*faults) for faults in WRITE_MISTAKES},
    ),
    "11.5": Exercise(
        check=check_best,
        hint="Search in depth, the most probable word first, and keep the best finished sequence. log p is never above 0, so a total only falls: "
        "when is a beginning out of the race?",
        solution=best,
        wrong={
            "greedy": _greedy,
            "tries all": _every,
            "beam of three": _beam,
            "mean per word": _mean,
            "without eos": _open,
        },
    ),
}
