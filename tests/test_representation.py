from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from partae import AutoEncoder, Factorization, calibrate, dilation
from partae.checks import ROUNDING, InputError
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.model import LeastSquares, SparseDBN, SparseRBM
from partae.morphology import read_operator
from partae.representation import Representation


class TwoSquares(Representation):
    """A decoder built by hand: two atoms of one pixel each, the code is those pixels."""

    @property
    def atoms(self) -> Tensor:
        atoms = torch.zeros(2, 1, 5, 5)
        atoms[0, 0, 1, 1] = atoms[1, 0, 3, 3] = 1
        return atoms

    def _encode(self, images: Tensor) -> Tensor:
        return images[:, 0, [1, 3], [1, 3]]

    def _decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        return torch.einsum("bk,kchw->bchw", code, self.atoms if atoms is None else atoms)


@pytest.fixture
def model() -> Representation:
    return AutoEncoder(Dense((1, 4, 4), 3), Dictionary((1, 4, 4), 3)).eval().requires_grad_(False)


def test_the_verbs_give_the_kind_of_array_that_they_take(model: Representation) -> None:
    images = torch.rand(5, 1, 4, 4)
    code = model.encode(images)
    for verb, given in (
        (model.encode, images),
        (model.decode, code),
        (model.reconstruct, images),
        (partial(model.max_approximation, operator=dilation(1)), images),
        (partial(model.max_approximation_of_code, operator=dilation(1)), code),
    ):
        expected = verb(given)
        assert isinstance(expected, torch.Tensor)
        # as numpy makes them: in double precision, and with rows that run backwards
        for array in (given.numpy(), given.double().numpy(), given.numpy()[:, ::-1][:, ::-1]):
            found = verb(array)
            assert isinstance(found, np.ndarray)
            np.testing.assert_array_equal(found, expected.numpy())
    assert np.asarray(model.atoms).shape == (3, 1, 4, 4)


def built(kind: type[Representation]) -> Any:
    dense, dictionary = Dense((3, 4, 5), 3, tied=True), Dictionary((3, 4, 5), 3, "sigmoid")
    if kind is Factorization:
        return Factorization(LeastSquares(), Dictionary((3, 4, 5), 3, "identity"), PCA(3)).eval()
    top = [SparseRBM(Dense((3, 1, 1), 2, tied=True), Dictionary((3, 1, 1), 2, "sigmoid"))] if kind is SparseDBN else []
    return kind(dense, dictionary, *top).eval()  # type: ignore[call-arg]


VERBS: dict[str, Callable[[Any, Any], object]] = {
    "encode": lambda model, images: model.encode(images),
    "forward": lambda model, images: model(images),
    "reconstruct": lambda model, images: model.reconstruct(images),
    "max_approximation": lambda model, images: model.max_approximation(images, dilation(1)),
    "calibrate": lambda model, images: calibrate(model, images, [dilation(1)]),
    "calibrate by a code": lambda model, images: calibrate(model, images, [dilation(1)], code=torch.rand(2, 3)),
}
OWN = [
    (Factorization, "fit", lambda model, images: model.fit(images)),
    (SparseRBM, "free_energy", lambda model, images: model.free_energy(images)),
    (SparseRBM, "sample", lambda model, images: model.sample(images)),
    (SparseDBN, "top_code", lambda model, images: model.top_code(images)),
]
MODELS = (AutoEncoder, Factorization, SparseRBM, SparseDBN)
CASES = [*((kind, name, verb) for kind in MODELS for name, verb in VERBS.items()), *OWN]
IMAGES = np.random.default_rng(0).random((8, 3, 4, 5), np.float32)


@pytest.mark.parametrize(("kind", "name", "verb"), CASES, ids=[f"{kind.__name__}-{name}" for kind, name, _ in CASES])
def test_every_verb_of_every_model_takes_images_in_the_unit_interval_only(kind: Any, name: str, verb: Any) -> None:
    model = built(kind)
    verb(model, torch.from_numpy(IMAGES[:2] if "code" in name else IMAGES))
    rounded = IMAGES.clip(0, 1) + np.float32(ROUNDING / 2)
    verb(model, torch.from_numpy(rounded[:2] if "code" in name else rounded))
    with_nan = IMAGES.copy()
    with_nan[7, 2, 3, 4] = np.nan
    refused = (
        ((255 * IMAGES).astype(np.uint8), r"images of floats; got .*uint8: divide images in \[0, 255\] by 255"),
        (255 * IMAGES, r"images in \[0, 1\]; got values from .*: divide images in \[0, 255\] by 255"),
        (IMAGES - 0.5, r"images in \[0, 1\]; got values from -0\.\d+ to 0\.\d+: undo what made them"),
        (with_nan, "got values from nan to nan, which is not a number"),
        (IMAGES.transpose(0, 2, 3, 1), r"got \(8, 4, 5, 3\): put their axes in the order \(0, 3, 1, 2\)"),
        (IMAGES[0], r"shape \(B, 3, 4, 5\); got \(3, 4, 5\): add an axis in front, images\[None\]"),
        (IMAGES.reshape(8, 60), r"got \(8, 60\): reshape them, images\.reshape\(-1, 3, 4, 5\)"),
        (IMAGES > 0.5, r"images of floats; got .*bool$"),
        (IMAGES[:, :1], r"got \(8, 1, 4, 5\): convert them to 4 x 5 pixels with 3 channels"),
        (IMAGES[..., :3], r"got \(8, 3, 4, 3\): convert them to 4 x 5 pixels"),
    )
    for images, message in refused:
        with pytest.raises(InputError, match=message):
            verb(model, torch.from_numpy(images))
        if name != "fit":  # which takes tensors
            with pytest.raises(InputError, match=message):
                verb(model, images)


def test_arrays_are_taken_in_any_strides_and_in_the_byte_order_of_the_machine(model: Representation) -> None:
    images = np.random.default_rng(0).random((3, *model.atoms.shape[1:]), dtype=np.float32)
    np.testing.assert_array_equal(model.encode(images[::-1]), model.encode(images[::-1].copy()))
    swapped = images.astype(images.dtype.newbyteorder())
    with pytest.raises(InputError, match=r"in this machine's byte order; got .f4: give \.astype\('float32'\)"):
        model.encode(swapped)


def test_a_code_is_decoded_by_other_atoms_that_are_arrays(model: Representation) -> None:
    code = np.ones((2, len(model.atoms)), np.float32)
    atoms, bias = dilation(1)(model.atoms.detach()), model.bias.detach() + 1
    expected = model.decode(torch.from_numpy(code), atoms, bias).detach().numpy()
    np.testing.assert_allclose(model.decode(code, atoms.numpy()[::-1], bias.numpy()), expected, rtol=1e-5)


def test_grey_images_without_a_channel_and_lists_are_refused(model: Representation) -> None:
    with pytest.raises(InputError, match=r"got \(2, 4, 4\): add the axis of the channel, images\[:, None\]"):
        model.encode(np.ones((2, 4, 4)))
    with pytest.raises(InputError, match=r"got \(4, 4\): add two axes in front, images\[None, None\]"):
        model.encode(np.ones((4, 4)))
    given: Any = [[0.5]]
    with pytest.raises(InputError, match="encode needs an array or a tensor; got list"):
        model.encode(given)
    with pytest.raises(InputError, match=r"decode needs a code of floats; got int64$"):
        model.decode(np.ones((2, 3), np.int64))


@pytest.mark.parametrize("code", [np.ones((2, 4)), np.ones(3), np.ones((1, 1, 3))], ids=lambda code: str(code.shape))
def test_a_code_of_another_shape_is_refused(model: Representation, code: np.ndarray) -> None:
    for verb in (model.decode, partial(model.max_approximation_of_code, operator=dilation(1))):
        with pytest.raises(InputError, match=r"decode needs a code of shape \(B, 3\); got"):
            verb(code)


def test_max_approximation_is_exact_where_atoms_are_disjoint_and_a_sum_where_they_meet() -> None:
    model = TwoSquares()
    images = model.decode(torch.tensor([[0.25, 1.0]]))
    torch.testing.assert_close(model.reconstruct(images), images)

    code = model.encode(images)
    exact = model.render(code, dilation(1))
    torch.testing.assert_close(exact, dilation(1)(images))

    assert model.render(code, "dilation:1").equal(exact)
    model.gains["dilation:2"] = 0.5
    assert model.gain("dilation:disk:2") == model.gain(dilation(2)) == 0.5
    assert model.max_approximation(images, "dilation:1").equal(model.max_approximation(images, dilation(1)))
    with pytest.raises(InputError, match="operators must be among dilation"):
        model.max_approximation(images, "dilatation:1")

    met = model.render(code, dilation(2))[0, 0, 2, 2]
    assert met == 1.25  # both dilated atoms reach the middle: their sum, where the true dilation has their maximum, 1
    assert dilation(2)(images)[0, 0, 2, 2] == 1


@pytest.mark.parametrize("name", ["gradient", "top_hat", "bottom_hat"])
def test_a_difference_of_operators_is_rendered_as_the_difference_of_two_renderings(name: str) -> None:
    linear = TwoSquares()
    code, each = torch.tensor([[0.25, 1.0], [0.5, 0.0]]), read_operator(f"{name}:diamond:1")
    torch.testing.assert_close(linear.render(code, each), linear.decode(code, each(linear.atoms)))

    class Levelled(TwoSquares):
        """Its bias and its activation do not commute with a difference."""

        def _decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
            return torch.sigmoid(super()._decode(code, atoms) - 1)

    model = Levelled()
    reconstruction = model.decode(code)
    torch.testing.assert_close(model.render(code, each), each(reconstruction))
    assert (model.decode(code, each(model.atoms)) - each(reconstruction)).abs().min() > 0.1
