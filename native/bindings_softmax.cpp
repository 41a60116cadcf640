// Sizes and types that do not fit are refused here; values and options are checked by softclass.functions.
#include "arrays.hpp"
#include "bindings.hpp"
#include "softmax.hpp"

using namespace nanobind::literals;

namespace softclass {
namespace {

// `axes` is an int or a tuple of ints, each in [0, rank).
void mark_axes(nb::handle axes, int rank, bool* is_class) {
  for (int a = 0; a < rank; ++a) is_class[a] = false;
  const auto mark = [&](PyObject* axis) {
    const Py_ssize_t a = PyLong_AsSsize_t(axis);
    if (a == -1 && PyErr_Occurred()) throw nb::python_error();
    require(a >= 0 && a < rank && !is_class[a], "axes must be different axes of logits");
    is_class[a] = true;
  };
  if (!PyTuple_Check(axes.ptr())) return mark(axes.ptr());
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(axes.ptr()); ++i) mark(PyTuple_GET_ITEM(axes.ptr(), i));
}

void run(SoftmaxJob& job, const Array& logits, const Strided& result, const bool* is_class, nb::handle where) {
  Strided operands[3];
  operands[0] = logits.strided();
  operands[1] = result;
  const auto run_with = [&](int n_operands) {
    job.has_where = n_operands == 3;
    lay_out(logits.rank(), logits.shape(), is_class, operands, n_operands, false, &job.layout);
    const Unlocked unlocked(logits.size());
    chosen_softmax_kernels().softmax(job);
  };
  if (where.is_none()) return run_with(2);
  const Array mask(where, Array::read);
  if (mask.element() != Element::boolean) throw nb::type_error("where must be an array of bool");
  require(mask.has_shape_of(logits), "where must have the shape of logits");
  operands[2] = mask.strided();
  run_with(3);
}

void check_floats(const Array& logits, const Array& out) {
  if (!logits.is_float() || !out.is_float()) throw nb::type_error("logits and out must be arrays of floats");
  require(logits.rank() <= most_axes, "logits have too many axes");
}

void elementwise(Output output, nb::handle logits, nb::handle out, nb::handle axes, double temperature,
                 nb::handle where, int threads) {
  const Array from(logits, Array::read), to(out, Array::write);
  check_floats(from, to);
  require(to.has_shape_of(from), "out must have the shape of logits");
  bool is_class[most_axes];
  mark_axes(axes, from.rank(), is_class);
  SoftmaxJob job;
  job.output = output;
  job.temperature = temperature;
  job.threads = threads;
  run(job, from, to.strided(), is_class, where);
}

void softmax(nb::handle logits, nb::handle out, nb::handle axes, double temperature, nb::handle where, int threads) {
  elementwise(Output::probabilities, logits, out, axes, temperature, where, threads);
}

void log_softmax(nb::handle logits, nb::handle out, nb::handle axes, double temperature, nb::handle where,
                 int threads) {
  elementwise(Output::log_probabilities, logits, out, axes, temperature, where, threads);
}

void logsumexp(nb::handle logits, nb::handle out, nb::handle axes, nb::handle where, int threads) {
  const Array from(logits, Array::read), to(out, Array::write);
  check_floats(from, to);
  bool is_class[most_axes];
  mark_axes(axes, from.rank(), is_class);
  Strided result{to.data(), to.element(), {}};
  int axis = 0;
  for (int a = 0; a < from.rank(); ++a) {
    if (is_class[a]) continue;
    require(axis < to.rank() && to.shape()[axis] == from.shape()[a], "out must have the shape of logits without axes");
    result.strides[a] = to.strides()[axis++];
  }
  require(axis == to.rank(), "out must have the shape of logits without axes");
  SoftmaxJob job;
  job.output = Output::log_partition;
  job.temperature = 1.0;
  job.threads = threads;
  run(job, from, result, is_class, where);
}

void softmax_vjp(nb::handle probabilities, nb::handle cotangent, nb::handle out, nb::handle axis, double factor,
                 int threads) {
  const Array p(probabilities, Array::read), g(cotangent, Array::read), to(out, Array::write);
  if (!p.is_float() || !g.is_float() || !to.is_float()) throw nb::type_error("all arrays must be arrays of floats");
  require(g.has_shape_of(p) && to.has_shape_of(p), "all arrays must have the same shape");
  require(p.rank() <= most_axes, "arrays have too many axes");
  bool is_class[most_axes];
  mark_axes(axis, p.rank(), is_class);
  const Strided operands[3] = {p.strided(), g.strided(), to.strided()};
  VjpJob job;
  job.factor = factor;
  job.threads = threads;
  lay_out(p.rank(), p.shape(), is_class, operands, 3, false, &job.layout);
  const Unlocked unlocked(p.size());
  chosen_softmax_kernels().softmax_vjp(job);
}

}  // namespace

void bind_softmax(nb::module_& m) {
  m.def("softmax", &softmax, "logits"_a, "out"_a, "axes"_a, "temperature"_a, "where"_a = nb::none(), "threads"_a = 0);
  m.def("log_softmax", &log_softmax, "logits"_a, "out"_a, "axes"_a, "temperature"_a, "where"_a = nb::none(),
        "threads"_a = 0);
  m.def("logsumexp", &logsumexp, "logits"_a, "out"_a, "axes"_a, "where"_a = nb::none(), "threads"_a = 0);
  m.def("softmax_vjp", &softmax_vjp, "probabilities"_a, "cotangent"_a, "out"_a, "axis"_a, "factor"_a, "threads"_a = 0);
}

}  // namespace softclass
