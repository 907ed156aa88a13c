"""Parameter groups: own learning rates and options, and parameters that keep every bit."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.base.param_groups import as_param_groups
from zoo.errors import UsageError


def layer():
    return zoo.Recurrent("vanilla", 2, 4, threads=1)


def steps(opt, rnn, count=3):
    for seed in range(count):
        rnn.grad = np.random.default_rng(seed).normal(size=rnn.grad.size)
        opt.step()
    return rnn


def test_each_group_has_the_update_of_an_optimizer_with_its_options():
    groups = {"Wxh": "lr_factor=0.1,weight_decay=0", "*.bh": {"weight_decay": 0.5, "beta1": 0.8}}
    rnn = layer()
    steps(zoo.get_optimizer("adamw", lr=0.1).bind(rnn, param_groups=groups), rnn)
    for name, options in (
        ("Wxh", {"lr": 0.01, "weight_decay": 0}),
        ("Whh", {"lr": 0.1}),
        ("bh", {"lr": 0.1, "weight_decay": 0.5, "beta1": 0.8}),
    ):
        other = layer()
        steps(zoo.get_optimizer("adamw", **options).bind(other), other)
        np.testing.assert_allclose(rnn.params[name], other.params[name], rtol=1e-6, err_msg=name)


def test_frozen_parameters_keep_their_bits_and_do_not_count_in_the_norm():
    rnn, other = layer(), layer()
    steps(zoo.get_optimizer("adamw").bind(rnn, clip_norm=0.5, param_groups="W*:frozen"), rnn)
    np.testing.assert_array_equal(rnn.params["Whh"], other.params["Whh"])
    assert rnn.grads["Whh"].any()  # the gradient of the user is left as it is
    bias, dbias = other.params["bh"], np.empty(4, np.float32)
    opt = zoo.get_optimizer("adamw").bind((bias, dbias), clip_norm=0.5)
    for seed in range(3):
        dbias[:] = np.random.default_rng(seed).normal(size=rnn.grad.size)[-4:]
        opt.step()
    np.testing.assert_allclose(rnn.params["bh"], bias, rtol=1e-6)


def test_the_state_has_the_arrays_of_the_optimizer():
    rnn = layer()
    opt = zoo.get_optimizer("adam").bind(rnn, param_groups=["Wxh:frozen"])
    steps(opt, rnn)
    assert {name: np.shape(value) for name, value in opt.state.items()} == {
        **dict.fromkeys(("step", "lr"), ()),
        **dict.fromkeys(("m", "v", "top"), (rnn.theta.size,)),
    }


def test_parameters_may_share_a_slot():
    rnn, other = layer(), layer()
    steps(zoo.get_optimizer("nadam", lr=0.1).bind(rnn, param_groups="bh:weight_decay=0.3"), rnn)
    steps(zoo.get_optimizer("nadam", lr=0.1).bind(other), other)
    np.testing.assert_array_equal(rnn.params["Whh"], other.params["Whh"])
    assert (rnn.params["bh"] != other.params["bh"]).any()
    with pytest.raises(
        UsageError, match="all parameters share the 'weight' of optimizer 'nadam', which beta1"
    ):
        zoo.get_optimizer("nadam").bind(rnn, param_groups="bh:beta1=0.5")


def test_texts_of_groups_can_be_parsed():
    adam = zoo.get_optimizer("adam")
    given = {"Why": {"lr_factor": 0.1, "amsgrad": True}, "by": "frozen"}
    texts = list(map(str, as_param_groups(given, adam)))
    assert texts == ["Why:lr_factor=0.1,amsgrad=True", "by:frozen"]
    assert as_param_groups(texts, adam) == as_param_groups(given, adam)


def test_an_optimizer_with_norms_of_the_whole_vector_has_no_groups():
    class Whole(zoo.Optimizer):
        "Divide by the norm."

        elementwise = False
        lr = zoo.Option(0.1, low=0.0)
        update = staticmethod(lambda theta, grad, slots, step, lr: (theta - lr * grad, ()))

    with pytest.raises(UsageError, match="optimizer 'whole': its update depends on all parameters"):
        Whole().bind(layer(), param_groups="Wxh:frozen")


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ("Wz:frozen", "has the pattern 'Wz', which matches no parameter; expected one of l0.Wxh, l0.Whh"),
        ("Wx:frozen", "Did you mean 'Wxh'"),
        ("Wxh", "has the pattern 'Wxh' with the settings ''"),
        ({"Wxh": 3}, "with the settings 3; expected"),
        (5, "param_groups is 5; expected a mapping"),
        ([5], "param_groups has 5; expected a text"),
        ("Wxh:lr=0.1", "lr is '0.1'; give lr_factor"),
        ("Wxh:lr_factor=-1", "option 'lr_factor' is -1.0; expected a finite number at least 0"),
        ("Wxh:weight_decay=x", "option 'weight_decay' is 'x'"),
        ({"Wxh": {"frosen": 1}}, "has no option 'frosen'; .* Did you mean 'frozen'"),
        ("Wxh:lr_factor", "unknown setting 'lr_factor'; expected NAME=VALUE"),
        ("Wxh:lr_factor=1,lr_factor=2", "lr_factor is given twice"),
        (["Wxh:frozen", "W*:lr_factor=2"], "patterns 'Wxh' and 'W\\*', which both match l0.Wxh"),
    ],
)
def test_invalid_groups(groups, words):
    with pytest.raises(UsageError, match=words):
        zoo.get_optimizer("adam").bind(layer(), param_groups=groups)


def test_names_of_several_layers_need_their_numbers():
    rnn = zoo.Recurrent("vanilla", 2, 4, num_layers=2, threads=1)
    with pytest.raises(UsageError, match="has the pattern 'Whh', which matches no parameter"):
        zoo.get_optimizer("adam").bind(rnn, param_groups="Whh:frozen")
    before = rnn.theta.copy()
    steps(zoo.get_optimizer("adam").bind(rnn, param_groups="*.Whh:frozen"), rnn)
    kept = {name for name, place, _ in rnn.layout.slots() if (rnn.theta[place] == before[place]).all()}
    assert kept == {"l0.Whh", "l1.Whh"}
