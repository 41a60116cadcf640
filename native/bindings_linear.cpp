// linear_cross_entropy and its Hessian product, as Python sees them. See src/softclass/kernels/_cpu.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <tuple>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "arrays.hpp"
#include "bindings.hpp"
#include "linear_cross_entropy.hpp"

namespace softclass {
namespace {

using namespace nb::literals;
using Sums = std::tuple<double, double, int64_t, int64_t>;

// Arrays of a call, held while it runs.
class Arrays {
 public:
  const Array* add(nb::handle object, Array::Access access) {
    if (object.is_none()) return nullptr;
    require(count_ < most, "too many arrays");
    held_[count_] = std::make_unique<Array>(object, access);
    return held_[count_++].get();
  }

 private:
  static constexpr int most = 16;
  std::unique_ptr<Array> held_[most];
  int count_ = 0;
};

Matrix matrix_of(const Array* array) {
  if (!array) return {nullptr, 0, 0, Element::float32};
  const bool is_row = array->rank() == 1;
  return {array->data(), is_row ? 0 : int64_t(array->strides()[0]), int64_t(array->strides()[is_row ? 0 : 1]),
          array->element()};
}

void require_shape(const Array& array, int64_t rows, int64_t columns, const char* rule) {
  require(array.rank() == 2 && array.shape()[0] == rows && array.shape()[1] == columns, rule);
}
void require_length(const Array& array, int64_t length, const char* rule) {
  require(array.rank() == 1 && array.shape()[0] == length, rule);
}
void require_element(const Array& array, Element element, const char* rule) {
  if (array.element() != element) throw nb::type_error(rule);
}

const double* doubles(Arrays& arrays, nb::handle object, int64_t length, const char* rule) {
  const Array* array = arrays.add(object, Array::read);
  if (!array) return nullptr;
  require_length(*array, length, rule);
  require_element(*array, Element::float64, rule);
  require(array->is_c_contiguous(), rule);
  return reinterpret_cast<const double*>(array->data());
}

// A (K, D) or (K,) operand of the element of the features.
Matrix operand(Arrays& arrays, const LinearLoss& call, nb::handle object, int rank, const char* rule) {
  const Array* array = arrays.add(object, Array::read);
  if (!array) return matrix_of(nullptr);
  if (rank == 2)
    require_shape(*array, call.n_classes, call.n_features, rule);
  else
    require_length(*array, call.n_classes, rule);
  require_element(*array, call.features.element, rule);
  return matrix_of(array);
}

void* result(Arrays& arrays, const LinearLoss& call, nb::handle object, int64_t rows, int64_t columns,
             const char* rule) {
  const Array* array = arrays.add(object, Array::write);
  if (!array) return nullptr;
  if (columns < 0)
    require_length(*array, rows, rule);
  else
    require_shape(*array, rows, columns, rule);
  require_element(*array, call.features.element, rule);
  require(array->is_c_contiguous(), rule);
  return array->data();
}

struct Options {
  nb::handle sample_weight, class_weight;
  std::optional<int64_t> ignore_index;
  double label_smoothing, weight_scale, tolerance;
  bool mean;
  int threads;
};

LinearLoss linear_loss(Arrays& arrays, nb::handle features, nb::handle weight, nb::handle bias, nb::handle targets,
                       const Options& options) {
  LinearLoss call = {};
  const Array* x = arrays.add(features, Array::read);
  const Array* w = arrays.add(weight, Array::read);
  require(x && w && x->rank() == 2 && w->rank() == 2 && x->shape()[1] == w->shape()[1],
          "features must be (N, D) and weight (K, D)");
  if (!x->is_float() || x->element() != w->element()) throw nb::type_error("features and weight must have one dtype");
  call.n_rows = x->shape()[0];
  call.n_features = x->shape()[1];
  call.n_classes = w->shape()[0];
  call.features = matrix_of(x);
  call.weight = matrix_of(w);
  call.bias = operand(arrays, call, bias, 1, "bias must be (K,), of the dtype of the features");
  const Array* t = arrays.add(targets, Array::read);
  require(t, "targets must be an array");
  if (t->element() == Element::int64) {
    require_length(*t, call.n_rows, "class indices must be (N,)");
    require(t->is_c_contiguous(), "class indices must be contiguous");
    call.indices = reinterpret_cast<const int64_t*>(t->data());
  } else {
    require_shape(*t, call.n_rows, call.n_classes, "distributions must be (N, K)");
    if (!t->is_float()) throw nb::type_error("distributions must be floating-point numbers");
    call.distributions = matrix_of(t);
  }
  call.sample_weight = doubles(arrays, options.sample_weight, call.n_rows, "sample_weight must be (N,), float64");
  call.class_weight = doubles(arrays, options.class_weight, call.n_classes, "class_weight must be (K,), float64");
  call.has_ignored = options.ignore_index.has_value();
  call.ignored = options.ignore_index.value_or(0);
  call.label_smoothing = options.label_smoothing;
  call.weight_scale = options.weight_scale;
  call.tolerance = options.tolerance;
  call.mean = options.mean;
  call.threads = options.threads;
  return call;
}

// Memory of a call. Large pages, where the system has them to give, save a twentieth of the time of a product.
class CallMemory {
 public:
  explicit CallMemory(int64_t bytes)
      : alignment_(bytes >= int64_t(2 * large_page) ? large_page : 64),
        data_(::operator new(size_t(bytes), std::align_val_t(alignment_), std::nothrow)) {
#if defined(__linux__)
    if (data_ && alignment_ == large_page) madvise(data_, size_t(bytes), MADV_HUGEPAGE);
#endif
  }
  ~CallMemory() { ::operator delete(data_, std::align_val_t(alignment_), std::nothrow); }
  CallMemory(const CallMemory&) = delete;
  CallMemory& operator=(const CallMemory&) = delete;
  void* data() const { return data_; }

 private:
  static constexpr size_t large_page = size_t(1) << 21;
  size_t alignment_;
  void* data_;
};

Sums run(const LinearLoss& call) {
  const LinearKernels& kernels = chosen_linear_kernels();
  LossSum sum;
  {
    const Unlocked unlocked(call.n_rows * call.n_features + call.n_classes * call.n_features);
    const CallMemory memory(kernels.bytes(call));
    sum = memory.data() ? kernels.run(call, memory.data()) : LossSum{0.0, 0.0, -1, 0, true};
  }
  if (sum.out_of_memory) throw std::bad_alloc();
  return {sum.loss, sum.weight, sum.first_bad, sum.n_bad};
}

Sums linear_cross_entropy(nb::handle features, nb::handle weight, nb::handle bias, nb::handle targets,
                          nb::handle sample_weight, nb::handle class_weight, std::optional<int64_t> ignore_index,
                          double label_smoothing, double weight_scale, double tolerance, bool mean, nb::handle losses,
                          nb::handle weight_gradient, nb::handle bias_gradient, nb::handle features_gradient,
                          int threads) {
  Arrays arrays;
  LinearLoss call =
      linear_loss(arrays, features, weight, bias, targets,
                  {sample_weight, class_weight, ignore_index, label_smoothing, weight_scale, tolerance, mean, threads});
  if (const Array* out = arrays.add(losses, Array::write)) {
    require_length(*out, call.n_rows, "losses must be (N,)");
    require_element(*out, Element::float64, "losses must be float64");
    require(out->is_c_contiguous(), "losses must be contiguous");
    call.losses = reinterpret_cast<double*>(out->data());
  }
  call.weight_gradient = result(arrays, call, weight_gradient, call.n_classes, call.n_features,
                                "weight_gradient must be like weight, contiguous");
  call.bias_gradient = result(arrays, call, bias_gradient, call.n_classes, -1, "bias_gradient must be (K,)");
  call.features_gradient = result(arrays, call, features_gradient, call.n_rows, call.n_features,
                                  "features_gradient must be like features, contiguous");
  return run(call);
}

Sums linear_cross_entropy_hvp(nb::handle features, nb::handle weight, nb::handle bias, nb::handle weight_tangent,
                              nb::handle bias_tangent, nb::handle targets, nb::handle sample_weight,
                              nb::handle class_weight, std::optional<int64_t> ignore_index, double weight_scale,
                              double tolerance, bool mean, nb::handle weight_product, nb::handle bias_product,
                              int threads) {
  Arrays arrays;
  LinearLoss call =
      linear_loss(arrays, features, weight, bias, targets,
                  {sample_weight, class_weight, ignore_index, 0.0, weight_scale, tolerance, mean, threads});
  call.weight_tangent =
      operand(arrays, call, weight_tangent, 2, "weight_tangent must be like weight, of the dtype of the features");
  require(call.weight_tangent.data || call.n_classes * call.n_features == 0, "weight_tangent must be an array");
  call.bias_tangent = operand(arrays, call, bias_tangent, 1, "bias_tangent must be (K,), of the dtype of the features");
  call.weight_gradient = result(arrays, call, weight_product, call.n_classes, call.n_features,
                                "weight_product must be like weight, contiguous");
  call.bias_gradient = result(arrays, call, bias_product, call.n_classes, -1, "bias_product must be (K,)");
  return run(call);
}

}  // namespace

void bind_linear(nb::module_& m) {
  m.def("linear_cross_entropy", &linear_cross_entropy, "features"_a, "weight"_a, "bias"_a.none(), "targets"_a,
        "sample_weight"_a.none(), "class_weight"_a.none(), "ignore_index"_a.none(), "label_smoothing"_a,
        "weight_scale"_a, "tolerance"_a, "mean"_a, "losses"_a.none(), "weight_gradient"_a.none(),
        "bias_gradient"_a.none(), "features_gradient"_a.none(), "threads"_a = 0);
  m.def("linear_cross_entropy_hvp", &linear_cross_entropy_hvp, "features"_a, "weight"_a, "bias"_a.none(),
        "weight_tangent"_a, "bias_tangent"_a.none(), "targets"_a, "sample_weight"_a.none(), "class_weight"_a.none(),
        "ignore_index"_a.none(), "weight_scale"_a, "tolerance"_a, "mean"_a, "weight_product"_a.none(),
        "bias_product"_a.none(), "threads"_a = 0);
}

}  // namespace softclass
