// cross_entropy and its gradients for Python. Sizes and types that do not fit are refused; values are not looked at.
#include <nanobind/nanobind.h>

#include <cmath>
#include <optional>

#include "arrays.hpp"
#include "bindings.hpp"
#include "cross_entropy.hpp"

namespace softclass {
namespace {

using namespace nb::literals;

// An array that may be None.
class OptionalArray {
 public:
  OptionalArray(nb::handle object, Array::Access access) {
    if (!object.is_none()) array_.emplace(object, access);
  }
  explicit operator bool() const { return array_.has_value(); }
  const Array& operator*() const { return *array_; }
  const Array* operator->() const { return &*array_; }

 private:
  std::optional<Array> array_;
};

// The data of an array of `size` numbers in C order, null for None.
template <class T>
T* data_of(const OptionalArray& array, Element element, int64_t size, const char* rule) {
  if (!array) return nullptr;
  require(array->element() == element && array->size() == size && array->is_c_contiguous(), rule);
  return reinterpret_cast<T*>(array->data());
}

struct Options {
  nb::handle sample_weight;
  nb::handle class_weight;
  nb::handle ignore_index;
  double label_smoothing;
  double weight_scale;
};

// Everything that the three functions share: arrays held for the time of the call, and the call.
class Arguments {
 public:
  Arguments(nb::handle logits, nb::handle targets, int64_t axis, const Options& options, nb::handle gradient)
      : logits_(logits, Array::read),
        targets_(targets, Array::read),
        gradient_(gradient, Array::write),
        sample_weight_(options.sample_weight, Array::read),
        class_weight_(options.class_weight, Array::read) {
    require(logits_.is_float(), "logits must be floating-point numbers");
    require(0 <= axis && axis < logits_.rank(), "axis must be one of logits");
    require(!gradient_ || (gradient_->has_shape_of(logits_) && gradient_->element() == logits_.element()),
            "gradient must have the shape and the dtype of logits");
    call.has_gradient = bool(gradient_);
    call.has_shares = targets_.is_float();
    if (call.has_shares) require(targets_.has_shape_of(logits_), "soft targets must have the shape of logits");
    lay_out_rows(int(axis));
    if (!call.has_shares) read_indices();
    const int64_t N = call.layout.n_rows, K = call.layout.n_classes;
    call.sample_weight = data_of<double>(sample_weight_, Element::float64, N, "sample_weight must be float64, one a row");
    call.class_weight = data_of<double>(class_weight_, Element::float64, K, "class_weight must be float64, one a class");
    if (!options.ignore_index.is_none()) {
      call.has_ignored = true;
      call.ignored = nb::cast<int64_t>(options.ignore_index);
    }
    call.label_smoothing = options.label_smoothing;
    call.weight_scale = options.weight_scale;
  }

  int64_t n_rows() const { return call.layout.n_rows; }
  int64_t size() const { return call.layout.n_rows * call.layout.n_classes; }

  CrossEntropy call{};

 private:
  void lay_out_rows(int axis) {
    bool is_class[most_axes] = {};
    is_class[axis] = true;
    int64_t shape[most_axes];
    for (int a = 0; a < logits_.rank(); ++a) shape[a] = logits_.shape()[a];
    const Strided logits = logits_.strided();
    const Strided operands[3] = {logits, gradient_ ? gradient_->strided() : logits,
                                 call.has_shares ? targets_.strided() : logits};
    softclass::lay_out(logits_.rank(), shape, is_class, operands, 3, true, &call.layout);
  }
  void read_indices() {
    require(targets_.element() == Element::int64, "class indices must be int64");
    require(targets_.size() == call.layout.n_rows && targets_.is_c_contiguous(),
            "class indices must be one a row, in C order");
    call.targets = reinterpret_cast<const int64_t*>(targets_.data());
  }

  Array logits_, targets_;
  OptionalArray gradient_, sample_weight_, class_weight_;
};

nb::tuple run(Arguments& arguments, bool mean, int threads) {
  CrossEntropySum sum;
  {
    const Unlocked unlocked(arguments.size());
    sum = softclass::cross_entropy(arguments.call, mean, threads);
  }
  return nb::make_tuple(sum.loss, sum.weight, sum.first_bad, sum.n_bad);
}

nb::tuple value(nb::handle logits, nb::handle targets, int64_t axis, nb::handle sample_weight,
                        nb::handle class_weight, nb::handle ignore_index, double label_smoothing, double weight_scale,
                        double tolerance, nb::handle losses, nb::handle states, int threads) {
  Arguments arguments(logits, targets, axis,
                      {sample_weight, class_weight, ignore_index, label_smoothing, weight_scale}, nb::none());
  const OptionalArray loss_array(losses, Array::write), state_array(states, Array::write);
  arguments.call.tolerance = tolerance;
  arguments.call.losses =
      data_of<double>(loss_array, Element::float64, arguments.n_rows(), "losses must be float64, one a row");
  arguments.call.states =
      data_of<double>(state_array, Element::float64, 2 * arguments.n_rows(), "states must be float64, two a row");
  return run(arguments, false, threads);
}

nb::tuple value_and_gradient(nb::handle logits, nb::handle targets, int64_t axis, nb::handle sample_weight,
                                     nb::handle class_weight, nb::handle ignore_index, double label_smoothing,
                                     double weight_scale, double tolerance, bool mean, nb::handle losses,
                                     nb::handle gradient, int threads) {
  require(!gradient.is_none(), "gradient must be an array");
  Arguments arguments(logits, targets, axis,
                      {sample_weight, class_weight, ignore_index, label_smoothing, weight_scale}, gradient);
  const OptionalArray loss_array(losses, Array::write);
  arguments.call.tolerance = tolerance;
  arguments.call.losses =
      data_of<double>(loss_array, Element::float64, arguments.n_rows(), "losses must be float64, one a row");
  return run(arguments, mean, threads);
}

void gradient_of_states(nb::handle logits, nb::handle targets, int64_t axis, nb::handle sample_weight,
                            nb::handle class_weight, nb::handle ignore_index, double label_smoothing,
                            double weight_scale, nb::handle states, nb::handle upstream, double divisor,
                            nb::handle gradient, int threads) {
  require(!gradient.is_none() && !states.is_none(), "gradient and states must be arrays");
  Arguments arguments(logits, targets, axis,
                      {sample_weight, class_weight, ignore_index, label_smoothing, weight_scale}, gradient);
  const OptionalArray state_array(states, Array::read), upstream_array(upstream, Array::read);
  CrossEntropy& call = arguments.call;
  call.known_states =
      data_of<double>(state_array, Element::float64, 2 * arguments.n_rows(), "states must be float64, two a row");
  require(bool(upstream_array) && upstream_array->element() == Element::float64, "upstream must be float64");
  const bool is_one = upstream_array->size() == 1;
  const double* factors =
      data_of<double>(upstream_array, Element::float64, is_one ? 1 : arguments.n_rows(), "upstream must be one, or one a row");
  if (is_one)
    call.factor = *factors;
  else
    call.upstream = factors;
  call.divisor = divisor;
  call.tolerance = HUGE_VAL;  // the forward pass has judged the targets
  const Unlocked unlocked(arguments.size());
  softclass::cross_entropy_gradient(call, threads);
}

}  // namespace

void bind_cross_entropy(nb::module_& m) {
  m.def("cross_entropy", &value, "logits"_a, "targets"_a, "axis"_a, "sample_weight"_a.none(),
        "class_weight"_a.none(), "ignore_index"_a.none(), "label_smoothing"_a, "weight_scale"_a, "tolerance"_a,
        "losses"_a.none(), "states"_a.none(), "threads"_a = 0);
  m.def("cross_entropy_and_gradient", &value_and_gradient, "logits"_a, "targets"_a, "axis"_a,
        "sample_weight"_a.none(), "class_weight"_a.none(), "ignore_index"_a.none(), "label_smoothing"_a,
        "weight_scale"_a, "tolerance"_a, "mean"_a, "losses"_a.none(), "gradient"_a, "threads"_a = 0);
  m.def("cross_entropy_gradient", &gradient_of_states, "logits"_a, "targets"_a, "axis"_a, "sample_weight"_a.none(),
        "class_weight"_a.none(), "ignore_index"_a.none(), "label_smoothing"_a, "weight_scale"_a, "states"_a,
        "upstream"_a, "divisor"_a, "gradient"_a, "threads"_a = 0);
}

}  // namespace softclass
