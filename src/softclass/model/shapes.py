"""The shape walk: what one row costs, in Python integers, before a runtime allocates anything.

A 104-byte ONNX file can make a runtime ask for gigabytes: a OneHot node with a large depth is enough. So every shape
is worked out here from the declared inputs and the constants, and held against limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from softclass.errors import ModelFileError, shown
from softclass.model.wire import Graph, Node, Tensor, forbidden
from softclass.model.wire_table import BOOL, DOUBLE, FLOAT, INT64, STRING, TYPE_NAMES, UINT8

BATCH = -1  # the dimension of the rows; counts as one
MAX_ELEMENTS = 2**26  # of one value, for one row
MAX_ALL_ELEMENTS = 2**28
MAX_PRODUCTS = 2**36  # multiply-adds for one row
MAX_PAD = 8  # border of a convolution

Shape = tuple[int, tuple[int, ...]]  # type and dimensions


def check_shapes(graph: Graph) -> dict[str, Shape]:
    """Return type and shape of each value, or refuse a graph whose shapes do not fit or cost too much.

    Parameters
    ----------
    graph : Graph
        As :func:`softclass.model.wire.read_graph` returns it.

    Returns
    -------
    dict of str to (type, dimensions)
        The dimension of the rows is -1.

    Raises
    ------
    ModelFileError
        SC404, if an operator is given what it cannot take, or one row needs more than 2^26 elements at one place.

    Examples
    --------
    >>> check_shapes(Graph("0", (), (), {}, (), None))
    Traceback (most recent call last):
    ...
    softclass.errors.ModelFileError: [SC404] the outputs must be logits, probabilities, label in this order; got none.
    softclass never writes this: get the file again from where it was trained
    """
    shapes: dict[str, Shape] = {tensor.name: (tensor.kind, tensor.dims) for tensor in graph.tensors.values()}
    for value in graph.inputs:
        if value.kind not in (DOUBLE, STRING, UINT8):
            raise forbidden(f'input "{shown(value.name)}" must be double, string or uint8; got type {value.kind}')
        shapes[value.name] = (value.kind, (BATCH, *(int(dim) for dim in value.dims[1:])))
    total = products = 0
    for node in graph.nodes:
        walk = _Walk(graph, node, [shapes[name] for name in node.inputs])
        shape = _RULES[node.operator](walk)
        count = _elements(shape[1])
        total += count
        products += walk.products
        if count > MAX_ELEMENTS or total > MAX_ALL_ELEMENTS or products > MAX_PRODUCTS:
            raise _too_costly(node, total, products)
        shapes[node.output] = shape
    _check_outputs(graph, shapes)
    return shapes


class _Walk:
    """One node with the types and shapes of its inputs."""

    def __init__(self, graph: Graph, node: Node, inputs: list[Shape]) -> None:
        self.graph = graph
        self.node = node
        self.inputs = inputs
        self.products = 0

    def wrong(self, rule: str) -> ModelFileError:
        """Return the error of a node that is given what it cannot take."""
        got = ", ".join(f"{TYPE_NAMES[kind]} {dims}".replace("-1", "N") for kind, dims in self.inputs)
        return forbidden(f'operator "{self.node.operator}" must be given {rule}; got {shown(got) or "nothing"}')

    def kinds(self, *allowed: int, count: int | None = None) -> None:
        """All inputs have one of the types, and there are `count` of them."""
        kinds = {kind for kind, _ in self.inputs}
        if (count is not None and len(self.inputs) != count) or len(kinds) != 1 or not kinds <= set(allowed):
            names = " or ".join(TYPE_NAMES[kind] for kind in allowed)
            raise self.wrong(f"{count if count is not None else 'some'} inputs of {names}")

    def constant(self, number: int, kind: int, rank: int) -> Tensor:
        """Return an input that must be a constant of a type and a number of dimensions."""
        tensor = self.graph.tensors.get(self.node.inputs[number])
        if tensor is None or tensor.kind != kind or len(tensor.dims) != rank:
            raise self.wrong(f"a constant of {TYPE_NAMES[kind]} with {rank} dimensions as input {number + 1}")
        return tensor

    def broadcast(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """Return the common shape; the rows may meet only 1 or the rows."""
        rank = max(map(len, shapes))
        dims = []
        for sizes in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
            wide = {size for size in sizes if size != 1}
            if len(wide) > 1:
                raise self.wrong("shapes that fit")
            dims.append(wide.pop() if wide else 1)
        return tuple(dims)


def _elements(dims: tuple[int, ...]) -> int:
    return math.prod(1 if dim == BATCH else dim for dim in dims)


def _same(walk: _Walk) -> Shape:
    walk.kinds(DOUBLE, FLOAT, count=1)
    return walk.inputs[0]


def _arithmetic(walk: _Walk) -> Shape:
    walk.kinds(DOUBLE, FLOAT, count=2)
    return walk.inputs[0][0], walk.broadcast(*(dims for _, dims in walk.inputs))


def _is_nan(walk: _Walk) -> Shape:
    walk.kinds(DOUBLE, FLOAT, count=1)
    return BOOL, walk.inputs[0][1]


def _where(walk: _Walk) -> Shape:
    kinds = [kind for kind, _ in walk.inputs]
    if kinds not in ([BOOL, DOUBLE, DOUBLE], [BOOL, FLOAT, FLOAT]):
        raise walk.wrong("a condition and two values")
    return kinds[1], walk.broadcast(*(dims for _, dims in walk.inputs))


def _clip(walk: _Walk) -> Shape:
    walk.kinds(DOUBLE, FLOAT, count=3)
    if any(dims for _, dims in walk.inputs[1:]):
        raise walk.wrong("two bounds that are one number each")
    return walk.inputs[0]


def _cast(walk: _Walk) -> Shape:
    walk.kinds(DOUBLE, BOOL, UINT8, count=1)
    return FLOAT, walk.inputs[0][1]


def _concat(walk: _Walk) -> Shape:
    walk.kinds(DOUBLE, FLOAT)
    if any(len(dims) != 2 or dims[0] != BATCH for _, dims in walk.inputs):
        raise walk.wrong("one row of numbers for each row")
    return walk.inputs[0][0], (BATCH, sum(dims[1] for _, dims in walk.inputs))


def _flatten(walk: _Walk) -> Shape:
    walk.kinds(FLOAT, count=1)
    kind, dims = walk.inputs[0]
    if len(dims) < 2 or dims[0] != BATCH:
        raise walk.wrong("an array for each row")
    return kind, (BATCH, _elements(dims[1:]))


def _gather(walk: _Walk) -> Shape:
    if len(walk.inputs) != 2:
        raise walk.wrong("two inputs")
    kind, dims = walk.inputs[0]
    if walk.node.attributes["axis"] == 0:  # class names by the number of the class
        names = walk.constant(0, STRING, 1)
        if walk.inputs[1] != (INT64, (BATCH,)):
            raise walk.wrong("one number for each row")
        return names.kind, (BATCH,)
    chosen = walk.constant(1, INT64, 1).numbers()
    if len(dims) != 2 or dims[0] != BATCH or not np.all((chosen >= 0) & (chosen < dims[1])):
        raise walk.wrong("columns that exist")
    return kind, (BATCH, len(chosen))


def _one_hot(walk: _Walk) -> Shape:
    if len(walk.inputs) != 3 or walk.inputs[0][0] != INT64:
        raise walk.wrong("whole numbers, a depth and two values")
    depth = int(walk.constant(1, INT64, 0).numbers())
    values = walk.constant(2, FLOAT, 1)
    if depth < 1 or values.dims != (2,):
        raise walk.wrong("a positive depth and two values")
    return FLOAT, (*walk.inputs[0][1], depth)


def _gemm(walk: _Walk) -> Shape:
    walk.kinds(FLOAT, count=3)
    (_, features), (_, weight), (_, bias) = walk.inputs
    walk.constant(1, FLOAT, 2)
    if features != (BATCH, weight[1]) or bias != (weight[0],) or not all(weight):
        raise walk.wrong("rows, a weight and a bias that fit")
    walk.products = weight[0] * weight[1]
    return FLOAT, (BATCH, weight[0])


def _transpose(walk: _Walk) -> Shape:
    walk.kinds(FLOAT, count=1)
    kind, dims = walk.inputs[0]
    if len(dims) != 4 or dims[0] != BATCH:
        raise walk.wrong("an image for each row")
    return kind, tuple(dims[axis] for axis in walk.node.attributes["perm"])


def _conv(walk: _Walk) -> Shape:
    walk.kinds(FLOAT, count=3)
    (_, image), (_, weight), (_, bias) = walk.inputs
    walk.constant(1, FLOAT, 4)
    walk.constant(2, FLOAT, 1)
    pads = walk.node.attributes["pads"]
    fits = len(image) == 4 and image[0] == BATCH and image[1] == weight[1] and bias == weight[:1] and all(weight)
    if not fits or weight[2:] != walk.node.attributes["kernel_shape"]:
        raise walk.wrong("an image, a weight and a bias that fit")
    if len(pads) != 4 or not all(0 <= pad <= MAX_PAD for pad in pads):
        raise walk.wrong(f"four borders of 0 to {MAX_PAD}")
    height, width = (image[2 + axis] + pads[axis] + pads[2 + axis] - weight[2 + axis] + 1 for axis in (0, 1))
    if height < 1 or width < 1:
        raise walk.wrong("an image that is larger than the kernel")
    walk.products = _elements(weight) * height * width
    return FLOAT, (BATCH, weight[0], height, width)


def _max_pool(walk: _Walk) -> Shape:
    walk.kinds(FLOAT, count=1)
    kind, dims = walk.inputs[0]
    if len(dims) != 4 or dims[0] != BATCH or min(dims[2:]) < 2:
        raise walk.wrong("an image of two rows and columns or more")
    return kind, (*dims[:2], dims[2] // 2, dims[3] // 2)


def _activation(walk: _Walk) -> Shape:
    walk.kinds(FLOAT, count=1)
    return walk.inputs[0]


def _softmax(walk: _Walk) -> Shape:
    walk.kinds(FLOAT, count=1)
    if len(walk.inputs[0][1]) != 2:
        raise walk.wrong("one row of logits for each row")
    return walk.inputs[0]


def _arg_max(walk: _Walk) -> Shape:
    _, dims = _softmax(walk)
    return INT64, (dims[0],)


def _label_encoder(walk: _Walk) -> Shape:
    walk.kinds(STRING, count=1)
    keys, values = walk.node.attributes["keys_strings"], walk.node.attributes["values_int64s"]
    if len(keys) != len(values) or len(set(keys)) != len(keys):
        raise walk.wrong("as many different texts as numbers")
    return INT64, walk.inputs[0][1]


_RULES: dict[str, Callable[[_Walk], Shape]] = {
    "Add": _arithmetic,
    "ArgMax": _arg_max,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Cos": _same,
    "Div": _arithmetic,
    "Flatten": _flatten,
    "Floor": _same,
    "Gather": _gather,
    "Gemm": _gemm,
    "IsNaN": _is_nan,
    "LabelEncoder": _label_encoder,
    "MaxPool": _max_pool,
    "Mul": _arithmetic,
    "OneHot": _one_hot,
    "Relu": _activation,
    "Selu": _activation,
    "Sigmoid": _activation,
    "Sin": _same,
    "Softmax": _softmax,
    "Sqrt": _same,
    "Sub": _arithmetic,
    "Tanh": _activation,
    "Transpose": _transpose,
    "Where": _where,
}


def _too_costly(node: Node, total: int, products: int) -> ModelFileError:
    size = total * 8 / 1e9
    return forbidden(
        f"one row must need at most {MAX_ELEMENTS:,} numbers at one place; at operator "
        f'"{node.operator}" it needs {size:.1f} GB and {products:,} products'
    )


def _check_outputs(graph: Graph, shapes: dict[str, Shape]) -> None:
    """The outputs are logits, probabilities, label, and have the shapes that are declared."""
    names = [value.name for value in graph.outputs]
    if names != ["logits", "probabilities", "label"]:
        got = ", ".join(f'"{shown(name)}"' for name in names[:5]) or "none"
        raise forbidden(f"the outputs must be logits, probabilities, label in this order; got {got}")
    for value in graph.outputs:
        declared = (value.kind, (BATCH, *(int(dim) for dim in value.dims[1:])))
        if shapes.get(value.name) != declared:
            raise forbidden(f'output "{value.name}" must have the shape that the graph gives it; it declares another')
    kinds = [shapes[name] for name in names]
    if [kind for kind, _ in kinds] != [FLOAT, FLOAT, STRING] or kinds[0] != kinds[1] or len(kinds[0][1]) != 2:
        raise forbidden(
            "logits and probabilities must be one float a class and row, label one text a row; they are not"
        )
