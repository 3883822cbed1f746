"""Gain models: right on what they are made of, steady under what should not matter."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.errors import GainStateError
from frugal_chains.routing.gain import (
    BlendedGain,
    Example,
    Fitted,
    fit_gain,
    from_bytes,
    group_folds,
    to_bytes,
)
from frugal_chains.routing.gain import _logistic as logistic
from frugal_chains.routing.gain._encode import Encoder
from frugal_chains.routing.gain._logistic import Design, solve
from frugal_chains.routing.gain._neighbours import Neighbours
from frugal_chains.routing.gain._sparse import Sparse
from frugal_chains.routing.gain._tasks import Tasks, chances, learn_trust
from frugal_chains.routing.gain._weigh import non_negative

NAMES = ("small", "large")
HARD = ["integral", "derivative", "theorem", "proof", "lemma", "matrix"]
EASY = ["colour", "city", "animal", "flower", "river", "song"]
FILLER = ["the", "of", "a", "what", "is", "which", "one", "in", "about", "for"]


def _examples(count: int, *, seed: int = 0, dense: bool = False) -> list[Example]:
    """Half of the questions are hard: only the large model gets them right, nine times in ten."""
    rng, found = random.Random(seed), []
    for number in range(count):
        hard = number % 2
        cut = rng.choices(HARD if hard else EASY, k=3) + rng.choices(FILLER, k=6)
        rng.shuffle(cut)
        luck = rng.random() < 0.1
        vector = [rng.gauss(0, 0.3) + hard, rng.gauss(0, 0.3) - hard, rng.gauss(0, 0.3)]
        found.append(
            Example(
                prompt=" ".join(cut) + f" {number}",
                scores={"small": float(not hard) if not luck else float(hard), "large": 1.0},
                task="maths" if hard else "facts",
                embedding=vector if dense else None,
            )
        )
    return found


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit_gain(_examples(300), NAMES)


@pytest.fixture(scope="module")
def model(fitted: Fitted) -> BlendedGain:
    return fitted.model


@pytest.fixture(scope="module")
def embedded() -> BlendedGain:
    return fit_gain(_examples(300, dense=True), NAMES).model


def _gain(model: BlendedGain, question: str) -> float:
    return model.predict(question).gain("large", "small")


# -- what it learns ----------------------------------------------------------------------------


def test_it_tells_where_the_stronger_model_wins(model: BlendedGain) -> None:
    assert _gain(model, "what is the proof of a theorem about the matrix") > 0.6
    assert _gain(model, "which city is one of the river") < 0.3


def test_out_of_fold_scores_are_those_of_unseen_rows(fitted: Fitted) -> None:
    hard = np.arange(300) % 2 == 1
    gain = fitted.unseen[:, 1] - fitted.unseen[:, 0]
    assert gain[hard].mean() > 0.6 > 0.3 > gain[~hard].mean()


def test_an_embedding_is_used_where_there_is_one(embedded: BlendedGain) -> None:
    assert embedded.needs_embedding
    hard = embedded.predict("zzz", [1.0, -1.0, 0.0]).gain("large", "small")
    easy = embedded.predict("zzz", [0.0, 0.0, 0.0]).gain("large", "small")
    assert hard > easy + 0.3
    # Without one the text decides alone: a router whose embedder fails goes on.
    assert embedded.predict("the proof of a theorem").gain("large", "small") > 0.5


@pytest.mark.parametrize("question", ["", " ", "\x00", "?" * 5000, "東京" * 300, "a " * 20_000])
def test_any_text_has_scores(model: BlendedGain, question: str) -> None:
    assert all(0 <= score <= 1 for score in model.predict(question).values())


def test_one_question_and_many_are_predicted_alike(embedded: BlendedGain) -> None:
    asked = ["the proof of a theorem", "a river", ""]
    dense = np.array([[1, -1, 0], [0, 0, 0], [0.5, 0, 0.1]], dtype=np.float32)
    many = embedded.predict_many(asked, dense)
    for question, vector, row in zip(asked, dense.tolist(), many, strict=True):
        assert list(embedded.predict(question, vector).values()) == pytest.approx(row, abs=1e-5)


# -- what must not matter ----------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(HARD + EASY + FILLER), min_size=1, max_size=12))
def test_case_spacing_and_politeness_change_no_score(cut: list[str]) -> None:
    model = _shared_model()
    plain = model.predict(" ".join(cut))
    assert model.predict("  \n".join(cut).upper()) == plain
    assert model.predict("Hello, could you please " + " ".join(cut) + " Thank you!") == plain


_MODELS: list[BlendedGain] = []


def _shared_model() -> BlendedGain:
    if not _MODELS:
        _MODELS.append(fit_gain(_examples(120), NAMES).model)
    return _MODELS[0]


def test_the_order_of_rows_hardly_matters() -> None:
    rows = _examples(120)
    mixed = rows[:]
    random.Random(5).shuffle(mixed)
    one, other = (fit_gain(each, NAMES, seed=1).model for each in (rows, mixed))
    for question in ("the proof of a theorem", "a river in the city"):
        assert _gain(one, question) == pytest.approx(_gain(other, question), abs=0.12)


def test_the_same_rows_and_seed_give_the_same_model() -> None:
    one, other = (fit_gain(_examples(80), NAMES, seed=3).model for _ in range(2))
    assert to_bytes(one) == to_bytes(other)


def test_a_long_head_that_prompts_share_does_not_make_them_alike() -> None:
    head = "You are a careful assistant of a large company and answer in one line only. " * 20
    rows = [replace(row, prompt=head + row.prompt) for row in _examples(200)]
    model = fit_gain(rows, NAMES).model
    hard, easy = _gain(model, head + "the proof of a theorem"), _gain(model, head + "a river song")
    assert hard > easy + 0.4
    assert "careful" not in model.distinct(head + "the proof of a theorem")
    assert model.distinct("the proof of a theorem") == "the proof of a theorem"


# -- learning on -------------------------------------------------------------------------------


def test_later_rows_move_the_model(embedded: BlendedGain) -> None:
    row = Example(
        prompt="quantum chromodynamics",
        scores={"small": 0.0, "large": 1.0},
        task="maths",
        embedding=[1.0, -1.0, 0.0],
    )
    before = embedded.predict("quantum chromodynamics").gain("large", "small")
    later = embedded.learned([row] * 50)
    assert later.predict("quantum chromodynamics").gain("large", "small") >= before - 0.02
    assert later.rows == embedded.rows + 50
    assert later.neighbours is not None
    assert embedded.neighbours is not None
    assert len(later.neighbours.vectors) == len(embedded.neighbours.vectors) + 50
    # The first model is what it was.
    assert embedded.predict("quantum chromodynamics").gain("large", "small") == before


def test_words_learn_from_single_rows(model: BlendedGain) -> None:
    wrong = Example(prompt="what is the river song", scores={"small": 0.0, "large": 1.0})
    before = _gain(model, "the river song")
    after = _gain(model.learned([wrong] * 30), "the river song")
    assert after > before + 0.01
    assert model.learned([]) is model


# -- explanations and storage ------------------------------------------------------------------


def test_it_explains_by_words_tasks_and_neighbours(embedded: BlendedGain) -> None:
    lines = embedded.explain("the proof of a theorem", [1.0, -1.0, 0.0])
    text = "\n".join(lines)
    assert lines[0].startswith("large")
    assert "'theorem'" in text or "'proof'" in text
    assert "like the task 'maths'" in text
    assert "cosine" in text


def test_a_stored_model_predicts_the_same(embedded: BlendedGain) -> None:
    again = from_bytes(to_bytes(embedded))
    assert again.names == NAMES
    vector = [1.0, 0.0, 0.2]
    assert again.predict("a theorem", vector) == embedded.predict("a theorem", vector)
    assert again.explain("a theorem", vector) == embedded.explain("a theorem", vector)


@pytest.mark.parametrize("stored", [b"", b"no zip", b"PK\x03\x04 broken"])
def test_what_is_no_model_says_so(stored: bytes) -> None:
    with pytest.raises(GainStateError, match="calibration again"):
        from_bytes(stored)


# -- the arithmetic ----------------------------------------------------------------------------


def _matrix(rng: np.random.Generator) -> tuple[Sparse, np.ndarray]:
    dense = np.where(rng.random((40, 25)) < 0.2, rng.normal(size=(40, 25)), 0).astype(np.float32)
    dense[7] = 0  # a row without any entry
    rows = [(np.flatnonzero(row).astype(np.int32), row[np.flatnonzero(row)]) for row in dense]
    return Sparse.of(rows), dense


def test_sparse_products_are_those_of_the_dense_matrix() -> None:
    rng = np.random.default_rng(0)
    sparse, dense = _matrix(rng)
    used = dense[:, sparse.ids]
    weights = rng.normal(size=used.shape[1]).astype(np.float32)
    values = rng.normal(size=40).astype(np.float32)
    assert np.allclose(sparse.dot(weights), used @ weights, atol=1e-5)
    assert np.allclose(sparse.transposed_dot(values), used.T @ values, atol=1e-5)
    assert np.allclose(sparse.column_energy(abs(values)), (used**2).T @ abs(values), atol=1e-5)


def test_the_solver_finds_the_ridge_solution_of_linear_algebra() -> None:
    rng = np.random.default_rng(1)
    sparse, dense = _matrix(rng)
    used = dense[:, sparse.ids].astype(np.float64)
    right = (used.T @ rng.normal(size=40)).astype(np.float32)
    found = solve(
        lambda x: sparse.transposed_dot(sparse.dot(x)) + np.float32(2) * x, right, 1e-6, 200
    )
    expected = np.linalg.solve(used.T @ used + 2 * np.eye(used.shape[1]), right)
    assert np.allclose(found, expected, atol=1e-4)


def test_the_logistic_fit_has_no_gradient_left() -> None:
    """Against the dense formula: at the minimum of a convex function its gradient is zero."""
    rows = _examples(120)
    encoder = Encoder.fit([row.prompt for row in rows])
    questions = [encoder.encode(row.prompt) for row in rows]
    design = Design.of(questions)
    target = np.array([[row.scores["small"]] for row in rows])
    weights, _ = logistic.fit(design, target, 1.0)
    grams = np.zeros((len(rows), 1 << 18), dtype=np.float32)
    for line, each in zip(grams, questions, strict=True):
        line[each.ids] = each.values
    assert design.grams is not None
    shapes = logistic.scaled(np.stack([each.shape for each in questions]))
    dense = np.hstack([grams[:, design.grams.ids], shapes, np.ones((len(rows), 1))])
    chance = 1 / (1 + np.exp(-dense @ weights[:, 0]))
    ridge = np.append(np.ones(dense.shape[1] - 1), 1e-3)
    gradient = dense.T @ (chance - target[:, 0]) + ridge * weights[:, 0]
    first = dense.T @ (0.5 - target[:, 0])
    assert np.linalg.norm(gradient) < 5e-3 * np.linalg.norm(first)


def test_weights_are_never_negative_and_noise_gets_little() -> None:
    rng = np.random.default_rng(2)
    signal = rng.normal(size=500)
    features = np.stack([signal, -signal, rng.normal(size=500)], axis=1)
    weights = non_negative(features, 0.8 * signal + 0.1 * rng.normal(size=500))
    assert weights[0] == pytest.approx(0.8, abs=0.05)
    assert weights[1] == 0
    assert 0 <= weights[2] < 0.05


def test_means_of_small_tasks_are_drawn_to_the_whole() -> None:
    rows = _examples(200)
    rows.append(Example(prompt="lonely", scores={"small": 0.0, "large": 0.0}, task="rare"))
    encoder = Encoder.fit([row.prompt for row in rows])
    scores = np.array([[row.scores[name] for name in NAMES] for row in rows])
    tasks = Tasks.fit([encoder.encode(r.prompt) for r in rows], scores, [r.task for r in rows])
    assert tasks is not None
    by_name = dict(zip(tasks.names, tasks.means, strict=True))
    assert by_name["maths"][0] == pytest.approx(0.1, abs=0.06)
    assert by_name["facts"][0] == pytest.approx(0.9, abs=0.06)
    assert by_name["rare"][0] > 0


def test_trust_goes_to_the_evidence_that_tells() -> None:
    rng = np.random.default_rng(3)
    kinds = rng.integers(0, 4, 400)
    good = rng.normal(size=(400, 4))
    good[np.arange(400), kinds] += 2
    evidence = np.stack([good, rng.normal(size=(400, 4))])
    trust = learn_trust(evidence, kinds, np.zeros(4))
    assert trust[0] > 1 > 0.2 > trust[1]
    assert np.allclose(chances(evidence, trust, np.zeros(4)).sum(axis=1), 1)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60), st.integers(2, 5))
def test_folds_part_the_rows_and_keep_equal_prompts_together(prompts: list[str], k: int) -> None:
    found = group_folds(prompts, k, 0)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(prompts)))
    for prompt in set(prompts):
        assert sum(prompt in {prompts[at] for at in fold} for fold in found) == 1


# -- each part by itself -----------------------------------------------------------------------


def _by_hand(question: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Epanechnikov's kernel over squared distances, as wide as the first row that is left out."""
    by_distance = sorted(
        (sum((a - b) ** 2 for a, b in zip(question, row, strict=True)), at)
        for at, row in enumerate(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    )
    taken = round(2 * math.sqrt(len(rows)))
    width, _ = by_distance[taken]
    weights = [(1 - distance / width, at) for distance, at in by_distance[:taken]]
    return sum(weight * scores[at] for weight, at in weights) / sum(each for each, _ in weights)


@given(st.integers(0, 10_000), st.integers(9, 80))
def test_the_nearest_neighbours_decide_and_the_nearer_the_more(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    rows, scores = rng.normal(size=(count, 4)) * rng.uniform(1, 9), rng.random((count, 3))
    question = rng.normal(size=4)
    near = Neighbours.fit(rows.astype(np.float32), scores, [f"row {at}" for at in range(count)])
    found = near.predict(5 * question[None, :].astype(np.float32))[0]
    expected = _by_hand(question / np.linalg.norm(question), rows, scores)
    assert found == pytest.approx(expected, abs=1e-3)
    half = count // 2  # and the same when the second half comes later
    later = Neighbours.fit(rows[:half].astype(np.float32), scores[:half], ["a"] * half).learned(
        rows[half:].astype(np.float32), scores[half:], ["b"] * (count - half)
    )
    assert later.predict(question[None, :].astype(np.float32))[0] == pytest.approx(found, abs=1e-5)


def test_the_nearest_are_named_best_first() -> None:
    rows = np.array([[0, 2], [1, 1], [3, 0], [-1, 0]], dtype=np.float32)
    near = Neighbours.fit(rows, np.zeros((4, 2)), list("abcd"))
    named = near.nearest(np.array([1, 0], dtype=np.float32), 2)
    assert [at for _, at in named] == [2, 1]
    assert [cosine for cosine, _ in named] == pytest.approx([1, math.sqrt(0.5)])


@pytest.mark.parametrize("question", [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_a_single_row_is_every_question_s_neighbour(question: list[float]) -> None:
    near = Neighbours.fit(np.array([[2.0, 0.0]], dtype=np.float32), np.array([[0.25, 1]]), ["a"])
    assert near.predict(np.array([question], dtype=np.float32)).tolist() == [[0.25, 1.0]]


def test_rows_that_are_all_alike_count_alike() -> None:
    scores = np.arange(12, dtype=np.float64)[:, None] / 11
    near = Neighbours.fit(np.ones((12, 2), dtype=np.float32), scores, ["a"] * 12)
    assert 0 <= near.predict(np.ones((1, 2), dtype=np.float32))[0, 0] <= 1


def test_a_task_of_few_rows_is_drawn_further_than_one_of_many() -> None:
    means = {}
    for count in (1, 30):
        rows = _examples(200)
        rows += [
            Example(prompt=f"lonely {n}", scores={"small": 0.0, "large": 0.0}, task="rare")
            for n in range(count)
        ]
        encoder = Encoder.fit([row.prompt for row in rows])
        scores = np.array([[row.scores[name] for name in NAMES] for row in rows])
        tasks = Tasks.fit([encoder.encode(r.prompt) for r in rows], scores, [r.task for r in rows])
        assert tasks is not None
        means[count] = dict(zip(tasks.names, tasks.means[:, 0], strict=True))["rare"]
    assert 0.5 > means[1] > 0.1 > means[30] > 0


def test_the_trust_in_what_tells_tasks_is_learned(model: BlendedGain) -> None:
    """Without rows it is a half; the words of these examples always tell their task."""
    assert model.tasks is not None
    assert model.tasks.trust[0] > 1


def test_a_word_of_one_prompt_alone_tells_nothing() -> None:
    encoder = Encoder.fit(["alpha beta", "beta gamma", "delta"])
    assert len(encoder.encode("alpha").ids) == 0
    assert len(encoder.encode("beta").ids) == 1


def test_words_learn_of_the_candidates_that_were_asked(model: BlendedGain) -> None:
    question = model.encoder.encode("the river song")
    row = Example(prompt="the river song", scores={"small": 0.0})
    before, after = model.words, model.learned([row]).words
    moved = (after.predict(question) - before.predict(question)).tolist()
    assert moved[0] < -0.01
    assert moved[1] == 0
    assert (after.certainty[question.ids] > before.certainty[question.ids]).all()


def test_what_is_stored_is_a_gain_model_of_this_version(
    model: BlendedGain, monkeypatch: pytest.MonkeyPatch
) -> None:
    part: Any = model.by_text
    with pytest.raises(GainStateError, match="is no gain model"):
        from_bytes(to_bytes(part))
    with monkeypatch.context() as patched:
        patched.setattr("frugal_chains.routing.gain._state.VERSION", 99)
        newer = to_bytes(model)
    with pytest.raises(GainStateError, match="has version 99"):
        from_bytes(newer)
