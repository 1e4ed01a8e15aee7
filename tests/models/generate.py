"""Makes the ONNX models of the tests, good and bad: python3 -m venv v; v/bin/pip install onnx==1.23.2; v/bin/python generate.py

Good ones are so small that their output can be computed by hand; each bad one has one fault. The files beside this program
are its output.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

HERE = Path(__file__).parent


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, numbers, kind=np.float32):
    return numpy_helper.from_array(np.array(numbers, dtype=kind), name)


def model(nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(nodes, "test", inputs, outputs, list(constants))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    return made


def save(name, made, valid=True):
    if valid:
        checker.check_model(made)
    (HERE / f"{name}.onnx").write_bytes(made.SerializeToString())


def averages(channels, after, constants, outputs, height=32, width=32, batch=1):
    """A network that sees the mean of each channel and nothing else."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        *after,
    ]
    return model(nodes, [value("x", [batch, channels, height, width])], outputs, constants)


def brightness():
    """Logits 0 and 20 (mean - 1/2): dark and bright."""
    gemm = helper.make_node("Gemm", ["flat", "w", "b"], ["y"])
    constants = [constant("w", [[0, 20]]), constant("b", [0, -10])]
    return averages(1, [gemm], constants, [value("y", [1, 2])])


def colour():
    """The softmax of ten times the means: red, green and blue; any batch."""
    after = [helper.make_node("Mul", ["flat", "ten"], ["scaled"]), helper.make_node("Softmax", ["scaled"], ["y"])]
    return averages(3, after, [constant("ten", 10)], [value("y", ["batch", 3])], 24, 40, "batch")


def with_constant(nodes, constants):
    """Adds the sum of what the nodes make, `big`, to the means."""
    after = [
        *nodes,
        helper.make_node("ReduceMean", ["big"], ["small"], keepdims=0),
        helper.make_node("Add", ["flat", "small"], ["y"]),
    ]
    return averages(3, after, constants, [value("y", [1, 3])])


def growing():
    """Constants that are made of small ones and take gigabytes, and graphs that grow a picture to that."""
    shape = constant("shape", [100_000, 100_000], np.int64)
    yield "constant-of-shape", with_constant([helper.make_node("ConstantOfShape", ["shape"], ["big"])], [shape])
    one = constant("one", [[1.0]])
    yield "expand", with_constant([helper.make_node("Expand", ["one", "shape"], ["big"])], [one, shape])
    yield "tile", with_constant([helper.make_node("Tile", ["one", "shape"], ["big"])], [one, shape])
    row, column = constant("row", np.ones((1, 10_000))), constant("column", np.ones((10_000, 1)))
    yield "outer-product", with_constant([helper.make_node("MatMul", ["column", "row"], ["big"])], [row, column])
    yield "broadcast", with_constant([helper.make_node("Add", ["column", "row"], ["big"])], [row, column])
    doubling = [helper.make_node("Concat", [f"t{i}"] * 8, [f"t{i + 1}"], axis=0) for i in range(12)]
    doubling[-1].output[0] = "big"
    yield "doubling", with_constant(doubling, [constant("t0", np.ones(16))])
    repeats = constant("repeats", [1, 1, 1000, 1000], np.int64)
    yield "tiled-picture", with_constant([helper.make_node("Tile", ["x", "repeats"], ["big"])], [repeats])
    kernel = constant("kernel", np.ones((1, 3, 64, 64)))
    conv = helper.make_node("Conv", ["x", "kernel"], ["big"], pads=[2000] * 4)
    yield "padded", with_constant([conv], [kernel])
    near = constant("near", [0, 0, 240, 240, 0, 0, 240, 240], np.int64)
    transposed = [
        helper.make_node("Pad", ["x", "near"], ["padded"]),
        helper.make_node("ConvTranspose", ["padded", "wide"], ["big"]),
    ]
    yield "transposed", with_constant(transposed, [near, constant("wide", np.zeros((3, 1, 64, 64)))])
    pool = helper.make_node("MaxPool", ["x"], ["big"], kernel_shape=[2048, 2048], pads=[2047] * 4)
    yield "comparisons", with_constant([pool], [])
    cube = constant("cube", [1, 3, 1, 1, 1], np.int64)
    pool = helper.make_node("MaxPool", ["solid"], ["big"], kernel_shape=[2048] * 3, pads=[2047, 2047, 2047, 0, 0, 0])
    yield "kernel", with_constant([helper.make_node("Reshape", ["means", "cube"], ["solid"]), pool], [cube])
    steps, channels = constant("steps", [1024, 1, 3], np.int64), [constant(n, np.zeros((1, 4, w))) for n, w in (("w", 3), ("r", 1))]
    recurrent = [
        helper.make_node("Reshape", ["x", "steps"], ["sequence"]),
        helper.make_node("LSTM", ["sequence", "w", "r"], ["big"], hidden_size=1),
    ]
    yield "recurrent", with_constant(recurrent, [steps, *channels])
    pads = constant("far", [0, 0, 10**6, 10**6, 0, 0, 10**6, 10**6], np.int64)
    yield "pad", with_constant([helper.make_node("Pad", ["x", "far"], ["big"])], [pads])


def claim(dims):
    """A tensor that is said to be far larger than what is there."""
    made = brightness()
    made.graph.initializer[0].dims[:] = dims
    return made


def main():
    save("brightness", brightness())
    save("colour", colour())
    for name, made in growing():
        save(f"grows-{name}", made)
    save("claims-gigabytes", claim([100_000, 100_000]), valid=False)
    save("claims-overflow", claim([2**62, 2**62]), valid=False)
    save("claims-negative", claim([-1, 2]), valid=False)
    save("open-size", averages(3, [], [], [value("flat", [1, 3])], "height", "width"))
    save("five-channels", averages(5, [], [], [value("flat", [1, 5])]))
    save("picture-out", model([helper.make_node("Relu", ["x"], ["y"])], [value("x", [1, 3, 8, 8])], [value("y", [1, 3, 8, 8])]))
    two = averages(3, [helper.make_node("Relu", ["flat"], ["y"])], [], [value("y", [1, 3]), value("flat", [1, 3])])
    save("two-outputs", two)
    nodes = [helper.make_node("Add", ["x", "z"], ["y"])]
    save("two-inputs", model(nodes, [value("x", [1, 3]), value("z", [1, 3])], [value("y", [1, 3])]))
    save("integers", model([helper.make_node("Identity", ["x"], ["y"])], [value("x", [1, 3, 8, 8], TensorProto.UINT8)],
                           [value("y", [1, 3, 8, 8], TensorProto.UINT8)]))
    save("not-finite", averages(3, [helper.make_node("Sub", ["flat", "two"], ["less"]), helper.make_node("Log", ["less"], ["y"])],
                                [constant("two", 2)], [value("y", [1, 3])]))
    save("unknown-operator", averages(3, [helper.make_node("Divine", ["flat"], ["y"], domain="")], [], [value("y", [1, 3])]),
         valid=False)
    outside = brightness()
    tensor = outside.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../../../etc/passwd")
    save("outside", outside, valid=False)
    branch = helper.make_graph([helper.make_node("Identity", ["flat"], ["z"])], "branch", [], [value("z", [1, 3])])
    yes = constant("yes", True, np.bool_)
    save("branch", averages(3, [helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)], [yes],
                            [value("y", [1, 3])]))


if __name__ == "__main__":
    main()
