"""The doors to the compiled module, which is looked for here alone: its functions under their own names.

They take any shape and strides, check nothing that a user can cause, and write into arrays that are handed in; bfloat16
comes as its bits, in uint16. `_cpu.pyi` says what each of them takes.
"""

from __future__ import annotations

from softclass.errors import MachineError, shown

try:
    from softclass.kernels import _cpu
except ImportError as reason:
    raise MachineError(
        "SC608",
        f"the compiled module softclass.kernels._cpu must be there; importing it failed: {reason}",
        where="softclass.kernels",
        hint="Install softclass with a C++17 compiler at hand: pip install .",
    ) from reason

if (_wish := _cpu.refused_wish()) is not None:
    raise MachineError(
        "SC608",
        f"SOFTCLASS_CPU_TARGET must name an instruction set that this machine can run: {', '.join(_cpu.targets())};"
        f" got {shown(_wish)}",
        where="softclass.kernels",
        hint="Unset the variable and the best one is used",
    )

softmax = _cpu.softmax
log_softmax = _cpu.log_softmax
logsumexp = _cpu.logsumexp
softmax_vjp = _cpu.softmax_vjp

cross_entropy = _cpu.cross_entropy
cross_entropy_and_gradient = _cpu.cross_entropy_and_gradient
cross_entropy_gradient = _cpu.cross_entropy_gradient

linear_cross_entropy = _cpu.linear_cross_entropy
linear_cross_entropy_hvp = _cpu.linear_cross_entropy_hvp

regression_chunk_rows = _cpu.regression_chunk_rows
regression_hessian_numbers = _cpu.regression_hessian_numbers
regression_pass = _cpu.regression_pass
regression_hessian = _cpu.regression_hessian
regression_hessian_join = _cpu.regression_hessian_join
regression_moments = _cpu.regression_moments
regression_scale = _cpu.regression_scale
regression_is_finite = _cpu.regression_is_finite
regression_lengths = _cpu.regression_lengths
regression_compact_numbers = _cpu.regression_compact_numbers
regression_compact_make = _cpu.regression_compact_make
regression_compact_take = _cpu.regression_compact_take
regression_compact_expand = _cpu.regression_compact_expand
regression_compact_lengths = _cpu.regression_compact_lengths
regression_compact_pass = _cpu.regression_compact_pass
regression_compact_hessian = _cpu.regression_compact_hessian
regression_compact_grams = _cpu.regression_compact_grams

sparse_regression_pass = _cpu.sparse_regression_pass
sparse_regression_spread = _cpu.sparse_regression_spread
sparse_regression_gather = _cpu.sparse_regression_gather

cholesky_solve = _cpu.cholesky_solve
coordinate_descent = _cpu.coordinate_descent
dual_ascent = _cpu.dual_ascent

mlp_network = _cpu.mlp_network
cnn_network = _cpu.cnn_network
network_facts = _cpu.network_facts
network_lanes = _cpu.network_lanes
network_order = _cpu.network_order
network_refresh = _cpu.network_refresh
network_train = _cpu.network_train
network_logits = _cpu.network_logits
network_gradient = _cpu.network_gradient
