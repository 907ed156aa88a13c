"""Structural operations: code against NumPy, gradients against differences.

A case is an expression in x, states (lower case) and parameters (upper case), whose shapes stand beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import step_asserts as checks
from structure_cells import CARD, Case, structure_cell

import zoo
from zoo.compiler.frontend.source_errors import TraceError
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.ir.dims import as_dim
from zoo.compiler.ir.graph import Graph, Level, view_of
from zoo.compiler.ir.structural_ops import STATE

no_files = checks.no_files

VIEWS: dict[str, Case] = {
    "slice from the front": ({"v": "H"}, lambda s: s.v[:2] * s.v[0]),
    "slice to the end": ({"v": "H"}, lambda s: s.v[1:] * s.v[-1]),
    "slice counted from the end": ({"v": "2H"}, lambda s: s.v[-2:] * s.v[:-2].sum()),
    "slices that overlap": ({"v": "2H"}, lambda s: s.v[:-1] * s.v[1:] + s.v[1:]),
    "slice by a length": ({"v": "2H", "h": "H"}, lambda s: s.v[: s.h.shape[0]] * s.v[s.h.shape[0] :] + s.h),
    "slice of a matrix": ({"m": "H 3"}, lambda s: s.m[1:, :2] * s.m[:-1, 1:]),
    "column": ({"m": "H 3"}, lambda s: s.m[:, 1] * s.m[..., -1]),
    "row": ({"m": "H 3"}, lambda s: s.m[0] * s.m[-1]),
    "one entry": ({"m": "H 3"}, lambda s: s.m[0, 1] * s.m),
    "slice of a slice": ({"v": "4H"}, lambda s: s.v[1:][1:-1][:2]),
    "slice of a parameter": (
        {"v": "H", "W": "2H"},
        lambda s: s.v * s.W[: s.v.shape[0]] + s.W[s.v.shape[0] :],
    ),
    "slice of x": ({"v": "I"}, lambda s: s.x[1:] * s.x[:-1] * s.v[0]),
    "new axes": ({"v": "H", "w": "3"}, lambda s: s.v[:, None] * s.w[None, :] + s.v[:, None]),
    "ellipsis": ({"s": "2 H 3"}, lambda s: s.s[..., 0] * s.s[1, ...].sum(-1)),
    "split": ({"v": "3H"}, lambda s: (lambda a, b, c: a * b + c)(*zoo.split(s.v, 3))),
    "split of a product": (
        {"v": "H", "W": "H 2H"},
        lambda s: (lambda a, b: a * zoo.tanh(b))(*zoo.split(s.v @ s.W, 2)),
    ),
    "split at places": ({"v": "H 5"}, lambda s: (lambda a, b: a.sum() * b)(*np.split(s.v, [2], axis=1))),
    "reshape": ({"v": "2H"}, lambda s: s.v.reshape(2, -1) * s.v.reshape(-1, 2).T),
    "reshape by a length": ({"m": "3 H", "h": "H"}, lambda s: s.m.reshape(s.h.shape[0], 3) * s.h[:, None]),
    "reshape of a transpose": ({"m": "H 3", "v": "3H"}, lambda s: s.m.T.reshape(-1) * s.v),
    "reshape of a slice": ({"m": "H 4", "v": "2H"}, lambda s: s.m[:, 1:3].reshape(-1) * s.v),
    "transpose": ({"m": "H 3", "k": "3 H"}, lambda s: s.m.T * s.k),
    "transpose of three axes": ({"s": "2 H 3"}, lambda s: np.transpose(s.s, (2, 0, 1)) * s.s.sum()),
    "swapaxes": ({"s": "2 H 3"}, lambda s: s.s.swapaxes(0, 2) * s.s[0, 0, 0]),
    "moveaxis": ({"s": "2 H 3"}, lambda s: np.moveaxis(s.s, 0, -1) * s.s[1, 0, 2]),
    "transpose of a parameter": ({"m": "3 H", "W": "H 3"}, lambda s: s.W.T * s.m),
    "broadcast": ({"v": "H", "m": "3 H"}, lambda s: np.broadcast_to(s.v, s.m.shape) * s.m),
    "broadcast of a parameter": ({"m": "3 H", "W": "H"}, lambda s: s.W * s.m + s.W),
    "broadcast of a column": ({"m": "3 H", "W": "3 1"}, lambda s: s.W * s.m),
    "broadcast of a number": ({"v": "H", "A": "", "a": ""}, lambda s: s.A * s.v + s.a * s.A),
    "every second entry": ({"v": "2H"}, lambda s: s.v[::2] * s.v[1::2] + s.v[::2]),
    "every third entry, from some on": ({"v": "3H"}, lambda s: s.v[1::3] * s.v[2:-1:3][0] + s.v[-1]),
    "every second of an odd length": ({"v": "5", "h": "H"}, lambda s: s.v[::2] * s.v[1:-1:1] * s.h[0]),
    "backwards": ({"v": "H", "w": "H"}, lambda s: s.v[::-1] * s.w + s.v),
    "backwards in steps": ({"v": "6"}, lambda s: s.v[::-2] * s.v[4::-2] * s.v[-2:0:-2].sum()),
    "backwards from some on": ({"v": "H 4"}, lambda s: s.v[:, 2::-1] * s.v[::-1, :0:-1]),
    "steps of steps": ({"v": "8"}, lambda s: s.v[::2][::-1][1:][::2] * s.v[3:7][::-1][:2]),
    "steps along two axes": ({"m": "2H 4"}, lambda s: s.m[::2, ::-2] * s.m[1::2, 1:3]),
    "steps of a product": ({"v": "H", "W": "H 4"}, lambda s: (s.v @ s.W)[::2] * zoo.tanh((s.v @ s.W)[1::2])),
    "steps of a function": ({"v": "2H"}, lambda s: zoo.tanh(s.v)[::-2] * np.exp(s.v)[::2]),
    "steps of truths": ({"v": "2H"}, lambda s: np.where((s.v > 0)[::2], s.v[1::2], s.v[::2])),
    "steps of a parameter": ({"v": "H", "W": "2H 3"}, lambda s: s.v @ s.W[::2] + s.v @ s.W[::-2]),
    "steps of x": ({"v": "I"}, lambda s: s.v * (s.x[::-1] * s.x).sum()),
    "steps of what is spread": (
        {"v": "H"},
        lambda s: np.ones_like(s.v)[::-1] * np.repeat(s.v[None], 4, 0)[::2],
    ),
    "reshape of steps": (
        {"m": "4 H", "v": "2H"},
        lambda s: s.m[::2].reshape(-1) * s.v[::-1].reshape(2, -1).T.reshape(-1),
    ),
    "flip": ({"m": "H 3"}, lambda s: np.flip(s.m) * np.flip(s.m, 0) + np.flipud(s.m) * np.fliplr(s.m)),
    "diagonal": ({"m": "H H"}, lambda s: s.m.diagonal() * np.diag(s.m) + np.diag(s.m.T)),
    "diagonals beside": ({"m": "4 4"}, lambda s: np.diag(s.m, 1) * np.diagonal(s.m, -1) + s.m.trace(2)),
    "diagonal of a wide matrix": (
        {"m": "3 5"},
        lambda s: np.diag(s.m) * np.diag(s.m, 2) * np.diag(s.m.T, -1),
    ),
    "diagonals of three axes": (
        {"s": "2 H H"},
        lambda s: np.diagonal(s.s, 0, 1, 2) + np.trace(s.s, 0, 2, 1)[:, None],
    ),
    "diagonal matrix": ({"v": "H", "m": "H H"}, lambda s: np.diag(s.v) @ s.m + s.m * np.diag(s.v)),
    "diagonal matrices beside": (
        {"v": "3"},
        lambda s: (np.diag(s.v, 1) + np.diag(s.v * s.v, -1)) @ np.ones(4),
    ),
    "diagonal matrix of parameters": ({"v": "H", "W": "H"}, lambda s: s.v @ np.diag(s.W) + s.W.sum()),
    "columns of differences backwards": (
        {"m": "3 H"},
        lambda s: np.exp(a := np.tanh(s.m[:, 1:] - s.m[:, :-1])[::-1].T) * np.cumsum(a, axis=0),
    ),
    "columns of distant differences backwards": (
        {"m": "3 2H"},
        lambda s: np.exp(a := np.tanh(s.m[:, 3:] - s.m[:, :-3])[::-1].T) * np.cumsum(a, axis=0),
    ),
    "trace": ({"m": "H H"}, lambda s: np.trace(s.m) * s.m),
    "trace of parameters": ({"v": "H", "W": "H H"}, lambda s: s.v * np.trace(s.W @ s.W)),
    "triangles": ({"m": "H H"}, lambda s: np.triu(s.m) * np.tril(s.m) + np.triu(s.m, 1) @ np.tril(s.m, -1)),
    "triangles of a wide matrix": ({"m": "3 H"}, lambda s: np.triu(s.m, -1) * s.m + np.tril(s.m, 1)),
    "triangles of a stack": ({"s": "2 3 H"}, lambda s: np.triu(s.s) * s.s),
    "triangle of parameters": ({"v": "H", "W": "H H"}, lambda s: s.v @ np.triu(s.W, 1) + np.tril(s.W) @ s.v),
    "squeeze and expand": ({"m": "1 H"}, lambda s: np.expand_dims(np.squeeze(s.m, 0), 1) * s.m),
}

JOINS: dict[str, Case] = {
    "rows above I in a row": (
        {"m": "H 3", "W": "I H"},
        lambda s: np.concatenate([s.m[s.x.shape[0] :].reshape(-1), s.x @ s.W]),
    ),
    "pieces that overlap if H is above I": (
        {"v": "H", "W": "I H"},
        lambda s: np.concatenate([s.v[s.v.shape[0] // 2 :], s.v[s.x.shape[0] :], s.x @ s.W]),
    ),
    "concatenate": ({"v": "I", "w": "3"}, lambda s: np.concatenate([s.v * s.v, s.w, s.x])),
    "concatenate rows": ({"m": "H 3", "v": "3"}, lambda s: np.concatenate([s.v[None], s.m[:-1]]) * s.m),
    "concatenate columns": ({"m": "H 3", "k": "H 2"}, lambda s: np.concatenate([s.m, s.k * s.k], axis=1)),
    "concatenate with a number": ({"v": "H"}, lambda s: np.concatenate([s.v, np.ones_like(s.v), s.v * 2])),
    "concatenate with itself": (
        {"v": "H"},
        lambda s: np.concatenate([s.v, s.v]) * np.concatenate([s.v[:1], s.v, s.v[1:]]),
    ),
    "concatenate parameters": (
        {"v": "H", "A": "2 H", "B": "1 H"},
        lambda s: np.concatenate([s.A, s.B]) * s.v,
    ),
    "concatenate and slice": ({"v": "H", "w": "3"}, lambda s: np.concatenate([s.v, s.w])[1:-1] * s.v[0]),
    "stack": ({"v": "H", "w": "H"}, lambda s: np.stack([s.v, s.w, s.v * s.w])),
    "stack last": ({"v": "H", "w": "H"}, lambda s: np.stack([s.v, s.w], axis=-1) * s.v[:, None]),
    "roll": ({"v": "H"}, lambda s: zoo.roll(s.v, 1) * s.v + np.roll(s.v, -1)),
    "roll along an axis": ({"m": "3 H"}, lambda s: np.roll(s.m, 2, axis=0) * s.m),
    "fixed numbers": ({"v": "3"}, lambda s: s.v * np.array([0.5, -1.0, 2.0])),
    "identity": ({"v": "H", "W": "H H"}, lambda s: (s.W + zoo.eye(s.v.shape[0])) @ s.v),
}

REDUCTIONS: dict[str, Case] = {
    "sum": ({"m": "3 H"}, lambda s: s.m * s.m.sum()),
    "sum over the first axis": ({"m": "3 H"}, lambda s: s.m * np.sum(s.m, axis=0)),
    "sum over the last axis": ({"m": "3 H"}, lambda s: s.m * np.sum(s.m * s.m, axis=1, keepdims=True)),
    "sum over two of three axes": ({"s": "2 H 3"}, lambda s: s.s * s.s.sum(axis=(0, 2))[:, None]),
    "sum over the middle axis": ({"s": "2 H 3"}, lambda s: s.s.sum(axis=1) * s.s[:, 0]),
    "sum of a transpose": ({"m": "3 H"}, lambda s: (s.m.T * s.m.T).sum(axis=0)),
    "sum of a broadcast": (
        {"v": "H", "m": "3 H"},
        lambda s: np.broadcast_to(s.v, s.m.shape).sum(axis=0) * s.v,
    ),
    "sum over an axis of one": ({"m": "1 H"}, lambda s: s.m.sum(axis=0) * s.m),
    "sum of parameters": ({"v": "H", "W": "3 H"}, lambda s: s.W.sum(axis=0) * s.v + s.W.sum()),
    "mean": ({"v": "H"}, lambda s: s.v * np.mean(s.v * s.v)),
    "mean of x": ({"v": "I"}, lambda s: s.v * np.mean(s.x * s.x)),
    "variance": ({"m": "3 H"}, lambda s: s.m * np.var(s.m, axis=0)),
    "max": ({"v": "H"}, lambda s: s.v * np.max(s.v)),
    "max along an axis": ({"m": "3 H"}, lambda s: s.m * np.max(s.m, axis=0)),
    "max of three axes": ({"s": "2 H 3"}, lambda s: s.s * s.s.max(axis=(0, 2), keepdims=True)),
    "min": ({"m": "3 H"}, lambda s: s.m * np.min(s.m, axis=1, keepdims=True)),
    "max of parameters": ({"v": "H", "W": "3 H"}, lambda s: s.W.max(axis=0) * s.v),
    "cumsum": ({"v": "H"}, lambda s: np.cumsum(s.v * s.v) * s.v),
    "cumsum over the first axis": ({"m": "3 H"}, lambda s: np.cumsum(s.m * s.m, axis=0) * s.m),
    "cumsum over the last axis": ({"m": "3 H"}, lambda s: zoo.cumsum(s.m) * s.m),
    "cumsum of x": ({"v": "I"}, lambda s: zoo.cumsum(s.x) * s.v[0]),
    "cumsum of parameters": ({"v": "H", "W": "H"}, lambda s: zoo.cumsum(s.W) * s.v),
    "cumsum of a cumsum": ({"v": "H"}, lambda s: zoo.cumsum(zoo.cumsum(s.v)) * s.v),
    "cumsum of one number": ({"v": "H", "W": "I 1"}, lambda s: zoo.cumsum(s.x @ s.W) * s.v),
    "cumprod": ({"v": "H"}, lambda s: np.cumprod(s.v) * s.v),
    "cumprod over the first axis": ({"m": "3 H"}, lambda s: np.cumprod(s.m, axis=0) * s.m),
    "cumprod over the last axis": ({"m": "3 H"}, lambda s: s.m.cumprod(axis=-1) * s.m),
    "cumprod of all": ({"m": "2 H"}, lambda s: np.cumprod(s.m + 1)),
    "cumprod of x": ({"v": "I"}, lambda s: np.cumprod(s.x) * s.v[0]),
    "cumprod of parameters": ({"v": "H", "W": "H"}, lambda s: np.cumprod(s.W) * s.v),
    "cumprod of a cumprod": ({"v": "H"}, lambda s: np.cumprod(np.cumprod(1 + s.v)) * s.v),
    "cumprod of one number": ({"v": "H", "W": "I 1"}, lambda s: np.cumprod(s.x @ s.W) * s.v),
    "cumprod with zeros": ({"v": "H"}, lambda s: np.cumprod(s.v * np.where(s.v > 0.2, 1.0, 0.0)) + s.v),
    "cumprod from the end": ({"v": "H"}, lambda s: np.cumprod(s.v[::-1])[::-1] * s.v),
    "prod": ({"m": "3 H"}, lambda s: s.m * s.m.prod(axis=0) + np.prod(s.m, axis=1, keepdims=True)),
    "prod of all": ({"m": "2 H"}, lambda s: s.m * np.prod(1 + s.m)),
    "cumax": ({"v": "H"}, lambda s: zoo.cumax(s.v)),
    "softmax": ({"m": "3 H"}, lambda s: zoo.softmax(s.m, axis=0) * zoo.softmax(s.m)),
    "softmax of parameters": ({"v": "H", "W": "3 H"}, lambda s: zoo.softmax(s.W, axis=0) * s.v),
    "layer norm": ({"m": "3 H"}, lambda s: zoo.layer_norm(s.m, eps=0.1) * s.m),
}

PRODUCTS: dict[str, Case] = {
    "product with a reshaped matrix": (
        {"v": "H", "W": "2*H 3"},
        lambda s: s.v @ s.W.reshape(s.v.shape[0], -1),
    ),
    "vector @ matrix": ({"v": "H", "W": "H 3"}, lambda s: s.v @ s.W),
    "x @ matrix": ({"v": "H", "W": "I H"}, lambda s: s.v * (s.x @ s.W)),
    "x @ matrix, a function of x @ matrix": (
        {"v": "H", "W": "I H", "U": "H H"},
        lambda s: s.v * (zoo.tanh(s.x @ s.W) @ s.U),
    ),
    "matrix @ x": ({"v": "H", "W": "H I"}, lambda s: s.v * (s.W @ s.x)),
    "function of x @ matrix": ({"v": "H", "W": "I H"}, lambda s: s.v * (zoo.tanh(s.x) @ s.W)),
    "x and a function of x": (
        {"v": "3", "W": "2I 3"},
        lambda s: s.v + np.concatenate([zoo.tanh(s.x), s.x]) @ s.W,
    ),
    "sums of products": ({"v": "H", "W": "I H", "U": "H H", "B": "H"}, lambda s: s.x @ s.W + s.v @ s.U + s.B),
    "[x, h] @ matrix": ({"v": "H", "W": "I+H 3"}, lambda s: np.concatenate([s.x, s.v]) @ s.W),
    "[h, x] @ matrix": ({"v": "H", "W": "H+I 3"}, lambda s: np.concatenate([s.v, s.x]) @ s.W),
    "twice with one matrix": ({"v": "H", "W": "H H"}, lambda s: zoo.tanh(s.v @ s.W) @ s.W),
    "with a matrix and its transpose": ({"v": "H", "W": "H 3"}, lambda s: (s.v @ s.W) @ s.W.T),
    "vector @ matrix.T": ({"v": "H", "W": "3 H"}, lambda s: s.v @ s.W.T),
    "matrix @ vector": ({"v": "H", "W": "3 H"}, lambda s: s.W @ s.v),
    "matrix.T @ vector": ({"v": "H", "W": "H 3"}, lambda s: s.W.T @ s.v),
    "part of a matrix": ({"v": "H", "W": "H 4"}, lambda s: s.v @ s.W[:, 1:3]),
    "rows of a matrix": ({"v": "H", "W": "3H 3"}, lambda s: s.v @ s.W[s.v.shape[0] : 2 * s.v.shape[0]]),
    "part of a vector": (
        {"v": "3H", "h": "H", "W": "H 3"},
        lambda s: s.v[s.h.shape[0] : 2 * s.h.shape[0]] @ s.W + s.h.sum(),
    ),
    "entries far apart": ({"m": "H 3", "W": "H 3"}, lambda s: s.m[:, 1] @ s.W),
    "a function of a matrix": ({"v": "H", "W": "H 3"}, lambda s: s.v @ zoo.tanh(s.W)),
    "a matrix with zeros": ({"v": "H", "W": "H H"}, lambda s: s.v @ (s.W * (1 - zoo.eye(s.v.shape[0])))),
    "row matrix @ matrix": ({"m": "3 H", "W": "H 2"}, lambda s: s.m @ s.W),
    "row matrix.T @ matrix": ({"m": "H 3", "W": "H 2"}, lambda s: s.m.T @ s.W),
    "matrix @ row matrix": ({"m": "3 H", "W": "2 3"}, lambda s: s.W @ s.m),
    "three axes @ matrix": ({"s": "2 H 3", "W": "3 2"}, lambda s: s.s @ s.W),
    "part of three axes @ matrix": ({"s": "2 H 3", "W": "3 2"}, lambda s: s.s[1] @ s.W),
    "a product joined to a vector": (
        {"v": "H", "m": "2 H", "W": "H 3"},
        lambda s: np.concatenate([s.v, (s.m @ s.W).reshape(-1)]),
    ),
    "row matrix @ row vector": ({"m": "3 H", "v": "H"}, lambda s: s.m @ s.v),
    "row vector @ row matrix": ({"m": "3 H", "w": "3"}, lambda s: s.w @ s.m),
    "row matrix @ row matrix": ({"m": "3 H", "k": "H 2"}, lambda s: s.m @ s.k),
    "row matrix @ its transpose": ({"m": "3 H"}, lambda s: s.m @ s.m.T),
    "row vector @ row vector": ({"v": "H", "w": "H"}, lambda s: (s.v @ s.w) * s.v),
    "x @ x": ({"v": "I"}, lambda s: (s.x @ s.x) * s.v),
    "stacks of row matrices": ({"s": "2 3 H", "r": "2 H 2"}, lambda s: s.s @ s.r),
    "outer": ({"v": "H", "w": "3"}, lambda s: zoo.outer(s.v, s.w) + np.outer(s.v, s.w) ** 2),
    "heads": ({"v": "2H", "W": "2 H 3"}, lambda s: (s.v.reshape(2, 1, -1) @ s.W)[:, 0]),
    "heads of a part": (
        {"v": "3H", "h": "H", "W": "2 H 3"},
        lambda s: (s.v[s.h.shape[0] :].reshape(2, 1, -1) @ s.W)[:, 0] * s.h[0],
    ),
    "heads added to": (
        {"v": "2H", "m": "2 H", "W": "2 H 3", "V": "2 H 3", "B": "2 3"},
        lambda s: (s.v.reshape(2, 1, -1) @ s.W)[:, 0] + (s.m[:, None] @ s.V)[:, 0] + s.B,
    ),
    "heads of x": (
        {"v": "H", "W": "2 I 3"},
        lambda s: (np.stack([s.x, s.x * s.x])[:, None] @ s.W)[:, 0] * s.v[0],
    ),
    "heads transposed": ({"m": "2 H", "W": "2 3 H"}, lambda s: (s.m[:, None] @ s.W.swapaxes(1, 2))[:, 0]),
    "row matrices @ stack": ({"s": "2 3 H", "W": "2 H 3"}, lambda s: s.s @ s.W),
    "stack @ row matrices": ({"s": "2 H 2", "W": "2 3 H"}, lambda s: s.W @ s.s),
    "part of row matrices @ stack": (
        {"v": "6H", "h": "H", "W": "2 H 2"},
        lambda s: s.v[2 * s.h.shape[0] :].reshape(2, 2, -1) @ s.W * s.h[0],
    ),
    "vector @ stack": ({"v": "H", "W": "2 H 3"}, lambda s: s.v @ s.W),
    "x @ stack": ({"v": "H", "W": "2 I 3"}, lambda s: s.x @ s.W * s.v[0]),
    "stack whose first axes are exchanged": (
        {"s": "2 3 1", "W": "1 2 H"},
        lambda s: s.s @ s.W.transpose(1, 0, 2),
    ),
    "transposed part of a stack": ({"v": "H", "W": "1 3 H"}, lambda s: s.v @ s.W.swapaxes(1, 2)[0]),
    "heads twice": ({"m": "2 H", "W": "2 H H"}, lambda s: zoo.tanh(s.m[:, None] @ s.W) @ s.W),
    "parameter @ parameter": ({"v": "H", "A": "H 3", "B": "3 2"}, lambda s: s.v @ (s.A @ s.B)),
    "parameter @ parameter vector": ({"v": "H", "A": "H 3", "B": "3"}, lambda s: s.v * (s.A @ s.B)),
    "parameter vectors": ({"v": "H", "A": "3", "B": "3"}, lambda s: s.v * (s.A @ s.B)),
    "parameter.T @ parameter": ({"v": "3", "A": "H 3"}, lambda s: s.v @ (s.A.T @ s.A)),
    "parameter vector @ row matrix": ({"m": "3 H", "A": "3"}, lambda s: s.A @ s.m),
    "row matrix @ parameter vector": ({"m": "3 H", "A": "H"}, lambda s: s.m @ s.A),
    "products one after the other": (
        {"v": "H", "W": "H H", "U": "H H"},
        lambda s: zoo.tanh(zoo.tanh(s.v @ s.W) @ s.U) @ s.W,
    ),
    "heads of parameters": (
        {"v": "H", "A": "2H", "R": "2 H 3"},
        lambda s: s.v * np.mean((s.A.reshape(2, 1, -1) @ s.R)[:, 0]),
    ),
    "products of one parameter": (
        {"v": "H", "W": "H 1", "A": "1 2H", "B": "H H"},
        lambda s: s.v * np.mean(s.W @ s.A) + zoo.tanh(s.B @ s.W)[:, 0],
    ),
    "what is read beside a product": (
        {"v": "H", "W": "I H"},
        lambda s: zoo.tanh(zoo.tanh(0.5 * s.v + abs(s.v)) + s.x @ s.W),
    ),
    "product of one": ({"v": "1", "W": "1 H"}, lambda s: s.v @ s.W),
    "product to one": ({"v": "H", "W": "H 1"}, lambda s: (s.v @ s.W) * s.v),
}

SOLUTIONS: dict[str, Case] = {
    "solve for a vector": ({"v": "H", "W": "H H", "B": "H"}, lambda s: s.v * np.linalg.solve(s.W, s.B)),
    "solve for a matrix": ({"v": "H", "W": "H H", "B": "H 3"}, lambda s: s.v @ np.linalg.solve(s.W, s.B)),
    "solve twice": (
        {"v": "H", "W": "H H", "B": "H"},
        lambda s: s.v * np.linalg.solve(s.W.T, np.linalg.solve(s.W, s.B)),
    ),
    "solve of one": ({"v": "H", "W": "1 1", "B": "1"}, lambda s: s.v * np.linalg.solve(s.W, s.B)),
    "inverse": ({"v": "H", "W": "H H"}, lambda s: s.v @ np.linalg.inv(s.W)),
    "inverse of a function": (
        {"v": "H", "W": "H H"},
        lambda s: np.linalg.inv(zoo.tanh(s.W) + 2 * zoo.eye(s.v.shape[0])) @ s.v,
    ),
    "inverse of numbers": (
        {"v": "2", "W": "2 2"},
        lambda s: s.v @ np.linalg.inv(s.W * 0.1 + np.array([[2.0, 1.0], [0.5, 1.0]])),
    ),
    "inverse of a part": ({"v": "3", "W": "H+3 4"}, lambda s: s.v @ np.linalg.inv(s.W[:3, 1:]) + s.W.sum()),
    "inverse of a reshaped row": ({"v": "2", "W": "1 4"}, lambda s: s.v @ np.linalg.inv(s.W.reshape(2, 2))),
    "rows of a reshaped inverse": (
        {"v": "2", "W": "4 4"},
        lambda s: s.v @ np.linalg.inv(s.W).reshape(8, 2)[1::2].T,
    ),
    "inverse of a reshaped vector": ({"v": "2", "W": "4"}, lambda s: s.v @ np.linalg.inv(s.W.reshape(2, 2))),
    "Cayley map": ({"v": "H", "W": "H H"}, lambda s: s.v @ zoo.cayley(s.W - s.W.T)),
    "Cayley map of any matrix": ({"v": "H", "W": "H H"}, lambda s: zoo.cayley(0.3 * s.W) @ s.v),
    "exponential": ({"v": "H", "W": "H H"}, lambda s: s.v @ zoo.expm(s.W)),
    "exponential of a skew-symmetric matrix": ({"v": "H", "W": "H H"}, lambda s: s.v @ zoo.expm(s.W - s.W.T)),
    "exponential of what is large": ({"v": "H", "W": "H H"}, lambda s: s.v @ zoo.expm(6 * s.W - 9 * s.W.T)),
    "exponentials of a stack": (
        {"m": "2 H", "W": "2 H H"},
        lambda s: np.einsum("hk,hkn->hn", s.m, np.stack([zoo.expm(each) for each in s.W])),
    ),
    "product of both": (
        {"v": "H", "W": "H H", "U": "H H"},
        lambda s: zoo.tanh(s.v @ zoo.expm(s.W - s.W.T)) @ np.linalg.inv(zoo.expm(s.U)),
    ),
}

EINSUMS: dict[str, Case] = {
    "vector and matrix": ({"v": "H", "W": "H 3"}, lambda s: np.einsum("i,ij->j", s.v, s.W)),
    "matrix and vector": ({"v": "H", "W": "3 H"}, lambda s: np.einsum("ij,j", s.W, s.v)),
    "x and matrix": ({"v": "H", "W": "H I"}, lambda s: s.v * np.einsum("hi,i->h", s.W, s.x)),
    "heads": ({"m": "2 H", "W": "2 H 3"}, lambda s: np.einsum("hk,hkn->hn", s.m, s.W)),
    "heads on the left": ({"m": "2 H", "W": "2 3 H"}, lambda s: np.einsum("hnk,hk->nh", s.W, s.m)),
    "stacks": ({"s": "2 3 H", "W": "2 H 3"}, lambda s: np.einsum("bij,bjk->bki", s.s, s.W)),
    "two letters summed": ({"s": "2 3 H", "W": "3 2 4"}, lambda s: np.einsum("abi,bac->ci", s.s, s.W)),
    "rows": ({"m": "3 H", "k": "H 2"}, lambda s: np.einsum("ij,jk->ik", s.m, s.k)),
    "rows of one matrix": ({"m": "3 H"}, lambda s: np.einsum("ij,kj", s.m, s.m)),
    "outer": ({"v": "H", "w": "3"}, lambda s: np.einsum("i,j->ji", s.v, s.w)),
    "element by element": ({"m": "3 H", "W": "H 3"}, lambda s: np.einsum("ij,ji->ij", s.m, s.W)),
    "number": ({"v": "H", "w": "H"}, lambda s: np.einsum("i,i", s.v, s.w) * s.v),
    "sum of one operand first": ({"m": "3 H", "k": "3 2"}, lambda s: np.einsum("ij,ik->k", s.m, s.k)),
    "diagonals": ({"m": "3 3", "s": "3 H 3"}, lambda s: np.einsum("ii,iji->ij", s.m, s.s)),
    "one operand": ({"m": "3 H", "k": "H H"}, lambda s: np.einsum("ij->j", s.m) * np.einsum("ii", s.k)),
    "transposed": ({"s": "2 H 3"}, lambda s: np.einsum("abc->cab", s.s, optimize=True) * s.s.sum()),
    "three operands": (
        {"v": "H", "w": "3", "W": "H 3 2"},
        lambda s: np.einsum("i,j,ijk->k", s.v, s.w, s.W),
    ),
    "parameters": ({"v": "H", "A": "H 3", "B": "3 2"}, lambda s: s.v @ np.einsum("ij,jk->ik", s.A, s.B)),
    "numbers": ({"m": "2 H"}, lambda s: np.einsum("ij,ik->kj", s.m, np.array([[1.0, 2.0], [0.5, -1.0]]))),
    "number and vector": ({"v": "H", "A": ""}, lambda s: np.einsum(",i->i", s.A, s.v)),
}

POWERS: dict[str, Case] = {
    "square": ({"v": "H"}, lambda s: s.v**2),
    "cube of what may be negative": ({"v": "H"}, lambda s: s.v**3),
    "powers that are none": ({"v": "H"}, lambda s: s.v**1 + s.v**0),
    "reciprocal": ({"v": "H"}, lambda s: (2 + s.v) ** -1 + np.reciprocal(2 + s.v)),
    "length of an axis": ({"v": "H"}, lambda s: s.v / s.v.shape[0] + 2.0**s.v * s.v.shape[0] ** -0.5),
    "booleans as numbers": ({"v": "H"}, lambda s: (s.v > 0.1) * s.v * 2 + np.mean(s.v > 0)),
    "choice between numbers": (
        {"v": "H"},
        lambda s: np.where(s.v > 0, 1.5, s.v) * np.where(s.v < 0.2, 0.0, 1.0),
    ),
    "a chain of choices": (
        {"v": "H"},
        lambda s: np.where((s.v > 0.1) & ~(s.v > 0.5), s.v, np.where(s.v < -0.2, -s.v, 0.3)),
    ),
    "brackets": (
        {"v": "H", "w": "H"},
        lambda s: s.v - (s.w - (s.v - s.w * (s.v + s.w))) / (2 - (s.v - 1) * -(s.v - s.w)),
    ),
    "remainders": ({"v": "H"}, lambda s: s.v * (s.v * 3 % 2) % 0.7 - (s.v - 1) % 3),
    "powers of powers": (
        {"v": "H"},
        lambda s: ((2 + s.v) ** 2.5) ** (s.v / 2) - (-s.v) ** 2 - 2 ** -(s.v**2),
    ),
    "error function": ({"v": "H"}, lambda s: 0.5 * s.v * (1 + zoo.erf(s.v / 2**0.5))),
    "the two largest": ({"v": "4"}, lambda s: np.where(zoo.top_k(s.v, 2), s.v, 0.0) * s.v),
    "half of them, the largest": ({"v": "2H"}, lambda s: zoo.top_k(s.v, s.v.shape[0] // 2) * s.v),
    "the largest along an axis": ({"m": "3 H"}, lambda s: zoo.top_k(s.m, 1, axis=0) * s.m),
    "the largest of those that are equal": (
        {"v": "H"},
        lambda s: zoo.top_k(np.concatenate([s.v, s.v]), s.v.shape[0]) * np.concatenate([s.v, 2 * s.v]),
    ),
    "the largest of parameters": (
        {"v": "H", "W": "H"},
        lambda s: np.where(zoo.top_k(s.W, 1), s.W, 0.0) * s.v,
    ),
    "nothing but numbers": ({"v": "H"}, lambda s: s.v * 0.0 + np.zeros_like(s.v) + 0.5),
}

CASES = {
    **VIEWS,
    **JOINS,
    **REDUCTIONS,
    **PRODUCTS,
    **SOLUTIONS,
    **{f"einsum, {name}": case for name, case in EINSUMS.items()},
    **POWERS,
}


@pytest.mark.parametrize("name", CASES)
def test_code_equals_numpy_and_vjp_equals_differences(name: str) -> None:
    shapes, expression = CASES[name]
    cell = structure_cell(shapes, expression)
    checks.check(checks.trial(cell, sizes=(3, 4)))
    checks.check(checks.trial(cell, sizes=(2, 2), steps=1, batch=1))


MATRIX_VIEWS: dict[str, Callable[[Any], Any]] = {
    "transpose": lambda a: a.T,
    "backwards": lambda a: a[::-1],
    "without the first": lambda a: a[1:],
    "every second": lambda a: a[::2],
    "flat": lambda a: a.reshape(-1),
    "new axis": lambda a: a[..., None],
    "diagonal": lambda a: np.diagonal(a[:2, :2]) if a.ndim > 1 else a,
}


@pytest.mark.parametrize("first", MATRIX_VIEWS)
def test_views_of_constants_equal_numpy(first: str) -> None:
    def expression(s: Any) -> Any:
        parts = []
        for second in MATRIX_VIEWS.values():
            views = [second(MATRIX_VIEWS[first](a)) for a in (np.full_like(s.W, 2.0), s.W)]
            parts.append(np.concatenate(views).reshape(-1))
        return np.concatenate(parts) * s.v[0]

    checks.check(checks.trial(structure_cell({"v": "H", "W": "4 4"}, expression)))


# Gradients by formulas.


def placed(shape: tuple[int, ...], key: Any, g: np.ndarray) -> np.ndarray:
    """Zeros, and a gradient where it belongs."""
    whole = np.zeros(shape)
    np.add.at(whole, key, g)
    return whole


def of_cumprod(v: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Each product without the factor in question."""
    size = len(v)
    return np.array(
        [
            sum(g[j] * np.prod([v[k] for k in range(j + 1) if k != i]) for j in range(i, size))
            for i in range(size)
        ]
    )


W = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-2.0, 1.0, 0.125], [3.0, -0.5, 0.75]])
ZEROS = np.array([0.7, 0.0, -1.3, 0.4, 0.0, 2.0])

# The shape of a state, a function of it, and its gradient given the state and that of the result.
Formula = tuple[np.ndarray, Callable[[Any], Any], Callable[[np.ndarray, np.ndarray], np.ndarray]]
VECTOR, MATRIX = np.linspace(-1.1, 1.3, 6), W @ W.T / 4
FORMULAS: dict[str, Formula] = {
    "every second": (VECTOR, lambda v: v[1::2], lambda v, g: placed((6,), np.s_[1::2], g)),
    "backwards in steps": (VECTOR, lambda v: v[::-3], lambda v, g: placed((6,), np.s_[::-3], g)),
    "flip": (MATRIX, lambda m: np.flip(m, 1), lambda m, g: g[:, ::-1]),
    "diagonal": (MATRIX, lambda m: np.diag(m, 1), lambda m, g: np.diag(g, 1)),
    "diagonal matrix": (VECTOR, lambda v: np.diag(v, -2), lambda v, g: np.diag(g, -2)),
    "trace": (MATRIX, lambda m: np.trace(m), lambda m, g: g * np.eye(4)),
    "upper triangle": (MATRIX, lambda m: np.triu(m, 1), lambda m, g: np.triu(g, 1)),
    "lower triangle": (MATRIX, lambda m: np.tril(m), lambda m, g: np.tril(g)),
    "cumprod": (VECTOR, np.cumprod, of_cumprod),
    "cumprod with zeros": (ZEROS, np.cumprod, of_cumprod),
    "prod with zeros": (ZEROS, lambda v: np.prod(v), lambda v, g: of_cumprod(v, placed((6,), -1, g))),
    "erf": (VECTOR, zoo.erf, lambda v, g: g * 2 / np.sqrt(np.pi) * np.exp(-v * v)),
    "top_k": (VECTOR, lambda v: np.where(zoo.top_k(v, 2), v, 0.0), lambda v, g: g * (v > np.sort(v)[-3])),
    "einsum": (
        MATRIX,
        lambda m: np.einsum("ij,jk->ki", m, W),
        lambda m, g: np.array(
            [[sum(g[k, i] * W[j, k] for k in range(3)) for j in range(4)] for i in range(4)]
        ),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_gradient_equals_its_formula(name: str) -> None:
    value, function, formula = FORMULAS[name]

    def step(self: Any, x: Any, v: Any) -> Any:
        y = function(v)
        return zoo.Output(y.reshape(-1) + 0 * self.shift, v)

    members = {"shift": zoo.Param(), "v": zoo.State(*value.shape), "step": step}
    cell = type("Formula", (zoo.Cell,), {"__doc__": "One function.", "card": CARD, **members})()
    case = checks.trial(cell, steps=1, batch=1)
    case.state["v"][0] = value
    with checks.interpreted(case):
        (y, _, _), (_, (dv,), _) = case.both_passes(case.x)
    expected = function(value)
    np.testing.assert_allclose(y[0, 0], np.ravel(expected), rtol=1e-14, atol=1e-15)
    gradient = formula(value, case.dy[0, 0].reshape(np.shape(expected)))
    np.testing.assert_allclose(dv[0] - case.dlast[0][0], gradient, rtol=1e-12, atol=1e-14)


# Slices and diagonals.


def places(node: Any) -> list[int]:
    """The indices of the elements of its base that a view shows, in order."""
    view = view_of(node)
    assert view is not None
    lengths = [int(dim.evaluate({})) for dim in node.shape]
    strides = [int(stride.evaluate({})) for stride in view.strides]
    return [
        int(view.offset.evaluate({})) + sum(i * stride for i, stride in zip(index, strides, strict=True))
        for index in np.ndindex(*lengths)
    ]


def leaf(*shape: int) -> SymbolicArray:
    return SymbolicArray(Graph().node(STATE, attr="m", shape=tuple(map(as_dim, shape)), level=Level.STEP))


def taken(array: SymbolicArray, key: slice) -> list[int]:
    """The places that a slice takes; none if it is refused."""
    try:
        return places(array[key].node)
    except TraceError:
        return []


@pytest.mark.parametrize("length", range(1, 8))
def test_slices_equal_numpy(length: int) -> None:
    ends = [None, *range(-length, length + 1)]
    for start, stop, step in itertools.product(ends, ends, [None, *range(-4, 0), *range(1, 5)]):
        key, expected = slice(start, stop, step), list(range(length))[start:stop:step]
        is_beyond = (step or 1) < 0 and start == length  # where NumPy begins at the last entry
        indices, of_strided = taken(leaf(length), key), taken(leaf(2 * length)[::2], key)
        if is_beyond or not expected:
            assert not indices, key
        else:
            assert (indices, of_strided) == (expected, [2 * place for place in expected]), key


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2), (1, 4), (4, 1)])
def test_diagonals_equal_numpy(shape: tuple[int, int]) -> None:
    numbers = np.arange(shape[0] * shape[1]).reshape(shape)
    for k in range(1 - shape[0], shape[1]):
        assert places(np.diag(leaf(*shape), k).node) == np.diag(numbers, k).tolist()


def test_indivisible_sizes_raise() -> None:
    cell = structure_cell({"v": "H", "W": "I H"}, lambda s: s.v[::2] + s.v[1::2] + (s.x @ s.W).sum())
    assert zoo.Recurrent(cell, 3, 6).output_size == 3
    with pytest.raises(
        zoo.UsageError, match=r"an array of shape \(H // 2,\), and H // 2 is not an integer for .*H=5"
    ):
        zoo.Recurrent(cell, 3, 5)
    cell = structure_cell({"v": "H", "W": "I H"}, lambda s: s.v[6:0:-3] + (s.x @ s.W).sum())
    with pytest.raises(zoo.UsageError, match=r"step takes entry 6 of an axis of length H, .* H=6"):
        zoo.Recurrent(cell, 3, 6)
    assert zoo.Recurrent(cell, 3, 7).output_size == 2


# Complex arrays.


class Rotating(zoo.Cell):
    """``z' = exp(-softplus(a) + i b) z + (x W) i``, and an output of all that may be done with z."""

    card = CARD
    A = zoo.Param("H")
    B = zoo.Param("H")
    C = zoo.Param("H", 3, complex=True)
    D = zoo.Param("H", complex=True)
    W = zoo.Param("I", "H")
    R = zoo.Buffer("H", complex=True)
    z = zoo.State("H", complex=True)
    h = zoo.State("H")

    def step(self, x: Any, z: Any, h: Any) -> Any:
        z = np.exp(-zoo.softplus(self.A) + 1j * self.B) * z + 1j * (x @ self.W) * self.R
        z = z * (0.5 + 0.1j) - h * self.D / (2 + z * z.conj()) + np.concatenate([z[1:], z[:1]]) * 0.1
        z = z + 0.1 * z[::-1].conj() + 0.2 * np.flip(z) * np.trace(zoo.outer(z, z))
        z = z + 0.1 * np.einsum("i,ij,j->j", z, zoo.outer(self.D, z), z.conj())
        y = (z @ self.C).real * abs(1 + z).sum() + (z.reshape(1, -1).sum() / (3 + 1j)).imag
        return zoo.Output(y, z, np.tanh(h + z.imag * np.where(h > 0, z, 1j).real))


def test_complex_arrays_equal_numpy() -> None:
    checks.check(checks.trial(Rotating()))
    checks.check(checks.trial(Rotating(), sizes=(1, 1), steps=1, batch=1))


# Compiled: a few cells with many operations each.


def many(names: list[str]) -> zoo.Cell:
    """A cell whose output is the outputs of many cases, one after the other."""
    shapes: dict[str, str] = {}
    parts = []
    for number, name in enumerate(names):
        theirs, expression = CASES[name]
        renamed = {old: f"{old}{'a' if old.islower() else 'A'}{number}" for old in theirs}
        shapes |= {renamed[old]: shape for old, shape in theirs.items()}
        parts.append((renamed, expression))

    def joined(s: Any) -> Any:
        values = [
            expression(SimpleNamespace(x=s.x, **{old: getattr(s, new) for old, new in renamed.items()}))
            for renamed, expression in parts
        ]
        return np.concatenate([each.reshape(-1) for each in values])

    return structure_cell(shapes, joined)


# Cases with forms of statements that few other compiled kernels have (see kernel_forms). One function with
# ten of them would take 1.3 times as long to compile as two.
COMPILED = [
    [
        "heads of a part",
        "part of row matrices @ stack",
        "vector @ stack",
        "part of three axes @ matrix",
        "parameter @ parameter vector",
    ],
    [
        "x and a function of x",
        "cumsum over the first axis",
        "cumprod over the last axis",
        "backwards from some on",
        "steps along two axes",
    ],
    ["split of a product", "part of a vector", "heads added to", "einsum, number and vector"],
]


@pytest.mark.parametrize("names", COMPILED, ids=["first", "second", "third"])
def test_compiled_passes_equal_interpreted_passes(names: list[str]) -> None:
    case = checks.trial(many(names))
    with checks.interpreted(case):
        expected = case.both_passes(case.x)
    checks.assert_same(case.both_passes(case.x), expected, "compiled")
