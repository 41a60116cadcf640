// The only file here that knows Python. A wrong dtype, rank or memory order is refused by the signature, sizes that do
// not fit by `require`; values are checked by softclass.functions. The GIL is released while a kernel runs.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include "old/cross_entropy.hpp"
#include "old/sum.hpp"
#include "bindings.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class Real>
using Rows = nb::ndarray<Real, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class Real>
using Values = nb::ndarray<Real, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void require(bool holds, const char* rule) {
  if (!holds) throw nb::value_error(rule);
}

template <class A, class B>
bool same_shape(const A& a, const B& b) {
  return a.shape(0) == b.shape(0) && a.shape(1) == b.shape(1);
}

const double* data_or_null(const std::optional<Values<const double>>& values, int64_t count, const char* rule) {
  if (!values) return nullptr;
  require(int64_t(values->shape(0)) == count, rule);
  return values->data();
}

using Weighed = std::tuple<double, int64_t, int64_t>;
using OptionalWeights = std::optional<Values<const double>>;

constexpr const char* sample_rule = "sample_weight must have one value a row";
constexpr const char* class_rule = "class_weight must have one value a class";

Weighed index_row_weights(const Values<const int64_t>& targets, int64_t n_classes, const OptionalWeights& sample_weight,
                          const OptionalWeights& class_weight, const Values<double>& out) {
  const int64_t N = int64_t(targets.shape(0));
  require(int64_t(out.shape(0)) == N, "out must have one value a row");
  const double* of_sample = data_or_null(sample_weight, N, sample_rule);
  const double* of_class = data_or_null(class_weight, n_classes, class_rule);
  nb::gil_scoped_release unlocked;
  const softclass::RowWeights found =
      softclass::index_row_weights(targets.data(), of_sample, of_class, N, n_classes, out.data());
  return {found.total, found.first_bad, found.n_bad};
}

template <class Target>
Weighed soft_row_weights(const Rows<const Target>& targets, double tolerance, const OptionalWeights& sample_weight,
                         const OptionalWeights& class_weight, const Values<double>& out) {
  const int64_t N = int64_t(targets.shape(0)), K = int64_t(targets.shape(1));
  require(int64_t(out.shape(0)) == N, "out must have one value a row");
  const double* of_sample = data_or_null(sample_weight, N, sample_rule);
  const double* of_class = data_or_null(class_weight, K, class_rule);
  nb::gil_scoped_release unlocked;
  const softclass::RowWeights found =
      softclass::soft_row_weights(targets.data(), of_sample, of_class, N, K, tolerance, out.data());
  return {found.total, found.first_bad, found.n_bad};
}

// What the two forms of the loss share: sizes, the optional gradient and its scratch.
template <class Real, class Kernel>
void run_cross_entropy(const Rows<const Real>& logits, size_t n_targets, const Values<const double>& row_weights,
                       const Values<double>& losses, const std::optional<Rows<Real>>& gradient, Kernel kernel) {
  const int64_t N = int64_t(logits.shape(0)), K = int64_t(logits.shape(1));
  require(n_targets == logits.shape(0), "targets must have one entry a row");
  require(row_weights.shape(0) == logits.shape(0), "row_weights must have one value a row");
  require(losses.shape(0) == logits.shape(0), "losses must have one value a row");
  require(!gradient || same_shape(logits, *gradient), "gradient must have the shape of logits");
  std::vector<double> scratch(gradient ? static_cast<size_t>(K) : 0);
  Real* gradient_data = gradient ? gradient->data() : nullptr;
  nb::gil_scoped_release unlocked;
  kernel(N, K, gradient_data, gradient ? scratch.data() : nullptr);
}

template <class Real>
void index_cross_entropy(const Rows<const Real>& logits, const Values<const int64_t>& targets,
                         const Values<const double>& row_weights, double label_smoothing, double divisor,
                         const Values<double>& losses, const std::optional<Rows<Real>>& gradient) {
  run_cross_entropy<Real>(logits, targets.shape(0), row_weights, losses, gradient,
                          [&](int64_t N, int64_t K, Real* gradient_data, double* scratch) {
                            softclass::index_cross_entropy(logits.data(), targets.data(), row_weights.data(),
                                                           label_smoothing, divisor, N, K, losses.data(), gradient_data,
                                                           scratch);
                          });
}

template <class Real, class Target>
void soft_cross_entropy(const Rows<const Real>& logits, const Rows<const Target>& targets,
                        const Values<const double>& row_weights, double label_smoothing, double divisor,
                        const Values<double>& losses, const std::optional<Rows<Real>>& gradient) {
  require(same_shape(logits, targets), "targets must have the shape of logits");
  run_cross_entropy<Real>(logits, targets.shape(0), row_weights, losses, gradient,
                          [&](int64_t N, int64_t K, Real* gradient_data, double* scratch) {
                            softclass::soft_cross_entropy(logits.data(), targets.data(), row_weights.data(),
                                                          label_smoothing, divisor, N, K, losses.data(), gradient_data,
                                                          scratch);
                          });
}

double sum(const Values<const double>& values) {
  nb::gil_scoped_release unlocked;
  return softclass::sum_of(values.data(), int64_t(values.shape(0)));
}

template <class Real>
void bind_index_cross_entropy(nb::module_& m) {
  m.def("index_cross_entropy", &::index_cross_entropy<Real>, "logits"_a.noconvert(), "targets"_a.noconvert(),
        "row_weights"_a.noconvert(), "label_smoothing"_a, "divisor"_a, "losses"_a.noconvert(),
        "gradient"_a.noconvert().none());
}

template <class Real, class Target>
void bind_soft_cross_entropy(nb::module_& m) {
  m.def("soft_cross_entropy", &::soft_cross_entropy<Real, Target>, "logits"_a.noconvert(), "targets"_a.noconvert(),
        "row_weights"_a.noconvert(), "label_smoothing"_a, "divisor"_a, "losses"_a.noconvert(),
        "gradient"_a.noconvert().none());
}

template <class Target>
void bind_soft_row_weights(nb::module_& m) {
  m.def("soft_row_weights", &::soft_row_weights<Target>, "targets"_a.noconvert(), "tolerance"_a,
        "sample_weight"_a.noconvert().none(), "class_weight"_a.noconvert().none(), "out"_a.noconvert());
}

}  // namespace

void softclass::bind_old(nb::module_& m) {
  m.def("index_row_weights", &::index_row_weights, "targets"_a.noconvert(), "n_classes"_a,
        "sample_weight"_a.noconvert().none(), "class_weight"_a.noconvert().none(), "out"_a.noconvert());
  bind_soft_row_weights<float>(m);
  bind_soft_row_weights<double>(m);
  bind_index_cross_entropy<float>(m);
  bind_index_cross_entropy<double>(m);
  bind_soft_cross_entropy<float, float>(m);
  bind_soft_cross_entropy<float, double>(m);
  bind_soft_cross_entropy<double, float>(m);
  bind_soft_cross_entropy<double, double>(m);
  m.def("sum", &::sum, "values"_a.noconvert());
}
