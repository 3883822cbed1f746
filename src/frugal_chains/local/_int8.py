"""The embedding model's file, made to multiply in int8, and cut off after some of its layers.

The file stores its weights as int8 with a scale for each column, and multiplies as floats: small to
ship, no faster. Here each multiplication quantises its input as it comes and multiplies integers,
which processors do in less than half of the time (ONNX Runtime fuses the four operations into one).
A sentence's vector keeps a cosine of .99 with that of the floats.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def first_layers(model: bytes, layers: int) -> bytes:
    """Return a model whose only output is that of a layer, shape (1, tokens, dimensions).

    Every layer of this network ends in a normalisation and has another one in its middle; a first
    one belongs to the embeddings.
    """
    parsed = onnx.load_from_string(model)
    graph = parsed.graph
    nodes = _in_integers(graph)
    ends = [node.output[0] for node in nodes if node.op_type == "LayerNormalization"]
    end = ends[2 * layers]
    kept = _leading_to(end, nodes)
    used = {name for node in kept for name in node.input}
    weights = [weight for weight in graph.initializer if weight.name in used]
    for field, values in (("node", kept), ("initializer", weights)):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    graph.ClearField("output")
    graph.output.append(helper.make_tensor_value_info(end, TensorProto.FLOAT, None))
    made: bytes = parsed.SerializeToString()
    return made


def _in_integers(graph: Any) -> list[Any]:
    """Return the graph's nodes with every product of stored weights made in integers."""
    stored = {weight.name: weight for weight in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    quantised: set[str] = set()
    nodes: list[Any] = []
    for node in graph.node:
        found = _stored_factor(node, stored, made_by)
        if found is None:
            nodes.append(node)
            continue
        (given, _), (out,), (weight, scale) = node.input, node.output, found
        # Seven bits: x64 processors without VNNI add two products in 16 bits, and 255 * 64 * 2 is
        # the most that fits (onnxruntime.ai, "Quantize ONNX models", reduce_range).
        halves = np.rint(numpy_helper.to_array(stored[weight]) / 2).astype(np.int8)
        by = 2 * numpy_helper.to_array(stored[scale]).reshape(-1)
        # A zero for each product: the runtime's own fusion does not share one.
        own = {"weight": halves, "by": by, "none": np.zeros((), np.int8)}
        graph.initializer.extend(
            numpy_helper.from_array(array, f"{out}/{name}") for name, array in own.items()
        )
        as_int8 = [f"{given}/int8", f"{given}/scale", f"{given}/zero"]
        if given not in quantised:
            quantised.add(given)
            nodes.append(helper.make_node("DynamicQuantizeLinear", [given], as_int8))
        whole, rescaled, scale_name = f"{out}/whole", f"{out}/float", f"{out}/scale"
        nodes += [
            helper.make_node(
                "MatMulInteger", [as_int8[0], f"{out}/weight", as_int8[2], f"{out}/none"], [whole]
            ),
            helper.make_node("Cast", [whole], [rescaled], to=TensorProto.FLOAT),
            helper.make_node("Mul", [as_int8[1], f"{out}/by"], [scale_name]),
            helper.make_node("Mul", [rescaled, scale_name], [out]),
        ]
    return nodes


def _stored_factor(node: Any, stored: Any, made_by: Any) -> tuple[str, str] | None:
    """Return the names of int8 weights and their scales, where a product has them on its right."""
    scaled = made_by.get(node.input[1]) if node.op_type == "MatMul" else None
    if scaled is None or scaled.op_type != "Mul":
        return None
    cast = made_by.get(scaled.input[0])
    if cast is None or cast.op_type != "Cast" or cast.input[0] not in stored:
        return None
    return cast.input[0], scaled.input[1]


def _leading_to(end: str, nodes: list[Any]) -> list[Any]:
    """Return the nodes that a value is made of, in their order."""
    needed, kept = {end}, []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    return kept[::-1]
