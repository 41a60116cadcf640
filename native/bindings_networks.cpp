// Networks and their training, as Python sees them. A network is a capsule. See src/softclass/kernels/_cpu.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "cnn.hpp"
#include "mlp_network.hpp"
#include "network_step.hpp"
#include "philox.hpp"

namespace softclass {
namespace {

using namespace nb::literals;

template <class Element>
using Vector = nb::ndarray<Element, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class Element>
using Matrix = nb::ndarray<Element, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class Element>
using Images = nb::ndarray<Element, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Capsule = nb::capsule;

// What a capsule holds: a network and whatever it points into.
struct Holder {
  virtual ~Holder() = default;
  virtual const Network& network() const = 0;
};
struct MlpHolder final : Holder {
  explicit MlpHolder(const MlpOptions& options) : mlp(options) {}
  const Network& network() const override { return mlp.network(); }
  MlpNetwork mlp;
};

struct CnnHolder final : Holder {
  explicit CnnHolder(const CnnOptions& options) {
    require(cnn_network(options, &shape, &cnn), "no convolutional network of these sizes");
  }
  const Network& network() const override { return cnn; }
  CnnShape shape;
  Network cnn;
};

Capsule capsule_of(std::unique_ptr<Holder> holder) {
  Capsule capsule(holder.get(), [](void* p) noexcept { delete static_cast<Holder*>(p); });
  holder.release();
  return capsule;
}
const Network& network_of(const Capsule& capsule) { return static_cast<const Holder*>(capsule.data())->network(); }

Capsule mlp_network(int64_t numbers, std::vector<int64_t> codes, std::vector<bool> is_embedded,
                    int64_t embedding_width, bool has_waves, bool has_scale, bool is_ntk,
                    const std::string& activation, std::vector<int64_t> widths, std::vector<double> dropout) {
  MlpOptions options = {numbers, std::move(codes), std::move(is_embedded), embedding_width, has_waves, has_scale,
                        is_ntk, MlpActivation::relu, std::move(widths), std::move(dropout)};
  const char* const names[] = {"relu", "tanh", "sigmoid", "selu"};
  const auto found = std::find(std::begin(names), std::end(names), activation);
  require(found != std::end(names), "activation must be relu, tanh, sigmoid or selu");
  options.activation = MlpActivation(found - std::begin(names));
  require(options.is_embedded.size() == options.codes.size(), "is_embedded and codes must have one length");
  require(!options.widths.empty() && int(options.widths.size()) <= most_mlp_layers &&
              options.dropout.size() == options.widths.size(),
          "widths and dropout must have one length, at most 5");
  return capsule_of(std::make_unique<MlpHolder>(options));
}

using StageSizes = std::tuple<int, int, int, int, int, int>;  // maps, kernel; zeros above, left, below, right

Capsule cnn_network_of(int height, int width, int channels, const std::vector<float>& subtract,
                       const std::vector<float>& multiply, const std::vector<StageSizes>& stages,
                       const std::vector<int>& hidden, const std::vector<double>& dropout, int n_classes) {
  require(channels >= 1 && channels <= most_pixel_channels && int64_t(subtract.size()) == channels &&
              int64_t(multiply.size()) == channels,
          "subtract and multiply must have an entry a channel");
  require(!stages.empty() && int(stages.size()) <= most_stages && int(hidden.size()) < most_dense &&
              dropout.size() == hidden.size() + 1,
          "there must be 1 or 2 stages, at most 2 hidden layers, and a dropout a dense layer");
  CnnOptions options = {};
  options.height = height;
  options.width = width;
  options.channels = channels;
  std::copy(subtract.begin(), subtract.end(), options.subtract);
  std::copy(multiply.begin(), multiply.end(), options.multiply);
  options.n_stages = int(stages.size());
  for (size_t s = 0; s < stages.size(); ++s) {
    const auto [maps, kernel, top, left, bottom, right] = stages[s];
    options.stages[s] = {maps, kernel, top, left, bottom, right};
  }
  options.n_hidden = int(hidden.size());
  std::copy(hidden.begin(), hidden.end(), options.hidden);
  std::copy(dropout.begin(), dropout.end(), options.dropout);
  options.n_classes = n_classes;
  return capsule_of(std::make_unique<CnnHolder>(options));
}

nb::tuple network_facts(const Capsule& capsule) {
  const Network& network = network_of(capsule);
  nb::list tensors;
  for (int t = 0; t < network.n_tensors; ++t) {
    const NetworkTensor& tensor = network.tensors[t];
    nb::list shape, strides;
    for (int a = 0; a < tensor.n_axes; ++a) {
      shape.append(tensor.shape[a]);
      strides.append(tensor.stride[a]);
    }
    tensors.append(nb::make_tuple(tensor.name, nb::tuple(shape), nb::tuple(strides), tensor.offset));
  }
  return nb::make_tuple(network.n_parameters, network.n_derived, nb::tuple(tensors));
}

void network_order(uint64_t seed, uint32_t epoch, Vector<int64_t> order) {
  const int64_t n = int64_t(order.shape(0));
  const Unlocked unlocked(n);
  shuffled_rows(seed, epoch, n, order.data());
}

int64_t network_lanes(const Capsule& capsule, int64_t batch_size) {
  return lanes_of_step(network_of(capsule), batch_size);
}

// The rows of a call.
struct RowArrays {
  std::optional<Images<const uint8_t>> pixels;
  std::optional<Matrix<const float>> numbers;
  std::optional<Matrix<const int32_t>> codes;

  NetworkRows rows(int64_t n_rows) const {
    NetworkRows rows = {};
    rows.n_rows = n_rows;
    if (pixels) {
      require(int64_t(pixels->shape(0)) == n_rows, "pixels must have a row a target");
      rows.pixels = pixels->data();
    }
    if (numbers) {
      require(int64_t(numbers->shape(0)) == n_rows, "numbers must have a row a target");
      rows.numbers = numbers->data();
      rows.n_numbers = int64_t(numbers->shape(1));
    }
    if (codes) {
      require(int64_t(codes->shape(0)) == n_rows, "codes must have a row a target");
      rows.codes = codes->data();
      rows.n_codes = int64_t(codes->shape(1));
    }
    return rows;
  }
};

struct TargetArrays {
  std::optional<Vector<const int32_t>> targets;
  std::optional<Matrix<const float>> shares;
  std::optional<Vector<const float>> weights;

  NetworkRows with(const RowArrays& arrays, int64_t n_classes) const {
    require(targets.has_value() != shares.has_value(), "there must be targets or shares");
    const int64_t n = int64_t(targets ? targets->shape(0) : shares->shape(0));
    NetworkRows rows = arrays.rows(n);
    if (targets) rows.targets = targets->data();
    if (shares) {
      require(int64_t(shares->shape(1)) == n_classes, "shares must have a column a class");
      rows.shares = shares->data();
    }
    if (weights) {
      require(int64_t(weights->shape(0)) == n, "weights must have one entry a row");
      rows.weights = weights->data();
    }
    return rows;
  }
};

void require_indices(const Vector<const int64_t>& indices, int64_t n_rows) {
  const int64_t* const begin = indices.data();
  const int64_t* const end = begin + indices.shape(0);
  require(std::all_of(begin, end, [n_rows](int64_t i) { return i >= 0 && i < n_rows; }), "indices must be of rows");
}

template <class Parameters, class Derived>
void require_parameters(const Network& network, const Parameters& parameters, const Derived& derived) {
  require(int64_t(parameters.shape(0)) == network.n_parameters && int64_t(derived.shape(0)) == network.n_derived,
          "parameters and derived must be as long as network_facts says");
}

void network_refresh(const Capsule& capsule, Vector<const float> parameters, Vector<float> derived, int threads) {
  const Network& network = network_of(capsule);
  require_parameters(network, parameters, derived);
  refresh_network(network, parameters.data(), derived.data(), threads);
}

using Trained = std::tuple<int64_t, double, double, double, double, bool, int64_t, double, double>;

Trained network_train(const Capsule& capsule, Vector<float> parameters, Vector<float> first_moment,
                      Vector<float> second_moment, Vector<float> lanes, Vector<float> derived, int64_t n_updates,
                      double beta1_power, double beta2_power, std::optional<Images<const uint8_t>> pixels,
                      std::optional<Matrix<const float>> numbers, std::optional<Matrix<const int32_t>> codes,
                      std::optional<Vector<const int32_t>> targets, std::optional<Matrix<const float>> shares,
                      std::optional<Vector<const float>> weights, Vector<const int64_t> order, int64_t first_step,
                      int64_t last_step, int64_t batch_size, Vector<const double> rates, Vector<const double> decays,
                      Vector<const double> dropout, double beta1, double beta2, double epsilon,
                      double label_smoothing, uint64_t seed, uint32_t epoch, bool flips, int shift,
                      double unknown_codes, int64_t micro_rows, double seconds, int threads) {
  const Network& network = network_of(capsule);
  const NetworkRows rows = TargetArrays{targets, shares, weights}.with({pixels, numbers, codes}, network.n_classes);
  const int64_t steps = last_step - first_step, n_order = int64_t(order.shape(0));
  require_parameters(network, parameters, derived);
  require(batch_size > 0 && first_step >= 0 && steps >= 0 && (last_step - 1) * batch_size < n_order,
          "the steps must lie in the order");
  require(int64_t(first_moment.shape(0)) == network.n_parameters &&
              int64_t(second_moment.shape(0)) == network.n_parameters &&
              int64_t(lanes.shape(0)) >= lanes_of_step(network, batch_size) * network.n_parameters,
          "moments and lanes must have the size of the parameters, once a lane");
  for (const Vector<const double>* each : {&rates, &decays, &dropout})
    require(int64_t(each->shape(0)) == steps, "there must be a rate, a decay and a dropout factor a step");
  require_indices(order, rows.n_rows);
  const TrainingPlan plan = {batch_size, beta1, beta2, epsilon, rates.data(), decays.data(), dropout.data(),
                             label_smoothing, seed, epoch, flips, shift, unknown_codes, micro_rows};
  TrainingState state = {parameters.data(), first_moment.data(), second_moment.data(), lanes.data(), derived.data(),
                         n_updates, beta1_power, beta2_power};
  TrainingReport report;
  {
    const nb::gil_scoped_release unlocked;
    report = train(network, rows, order.data(), n_order, first_step, last_step, plan, seconds, threads, &state);
  }
  if (report.out_of_memory) throw std::bad_alloc();
  return {report.last_step, report.loss, report.weight, report.correct, report.gradient_norm, report.is_finite,
          state.n_updates, state.beta1_power, state.beta2_power};
}

void logits_of_rows(const Capsule& capsule, Vector<const float> parameters, Vector<const float> derived,
                    std::optional<Images<const uint8_t>> pixels, std::optional<Matrix<const float>> numbers,
                    std::optional<Matrix<const int32_t>> codes, Vector<const int64_t> indices, Matrix<float> logits,
                    int threads) {
  const Network& network = network_of(capsule);
  require(pixels || numbers || codes, "there must be rows");
  const size_t n = pixels ? pixels->shape(0) : numbers ? numbers->shape(0) : codes->shape(0);
  const NetworkRows rows = RowArrays{pixels, numbers, codes}.rows(int64_t(n));
  const int64_t count = int64_t(indices.shape(0));
  require_parameters(network, parameters, derived);
  require(int64_t(logits.shape(0)) == count && int64_t(logits.shape(1)) == network.n_classes,
          "logits must be (indices, classes)");
  require_indices(indices, rows.n_rows);
  const Unlocked unlocked(count * network.multiplications);
  if (!network_logits(network, parameters.data(), derived.data(), rows, indices.data(), count, threads,
                                 logits.data()))
    throw std::bad_alloc();
}

std::tuple<double, double, double> gradient_of_rows(
    const Capsule& capsule, Vector<const float> parameters, Vector<const float> derived,
    std::optional<Images<const uint8_t>> pixels, std::optional<Matrix<const float>> numbers,
    std::optional<Matrix<const int32_t>> codes, std::optional<Vector<const int32_t>> targets,
    std::optional<Matrix<const float>> shares, std::optional<Vector<const float>> weights,
    Vector<const int64_t> indices, double label_smoothing, std::vector<Matrix<const uint8_t>> masks,
    int64_t micro_rows, Vector<float> lanes, int threads) {
  const Network& network = network_of(capsule);
  const NetworkRows rows = TargetArrays{targets, shares, weights}.with({pixels, numbers, codes}, network.n_classes);
  const int64_t count = int64_t(indices.shape(0));
  require_parameters(network, parameters, derived);
  require(int64_t(lanes.shape(0)) >= lanes_of_step(network, count) * network.n_parameters,
          "lanes must have the size of the parameters, once a lane");
  require_indices(indices, rows.n_rows);
  std::vector<const uint8_t*> given;
  for (const Matrix<const uint8_t>& mask : masks) {
    require(int64_t(mask.shape(0)) == count, "masks must have a row an index");
    given.push_back(mask.data());
  }
  LaneSums sums = {};
  const Unlocked unlocked(count * network.multiplications);
  if (!network_gradient(network, parameters.data(), derived.data(), rows, indices.data(), count,
                                   label_smoothing, given.empty() ? nullptr : given.data(), micro_rows, threads,
                                   lanes.data(), &sums))
    throw std::bad_alloc();
  return {sums.loss, sums.weight, sums.correct};
}

}  // namespace

void bind_networks(nb::module_& m) {
  m.def("mlp_network", &mlp_network, "numbers"_a, "codes"_a, "is_embedded"_a, "embedding_width"_a, "has_waves"_a,
        "has_scale"_a, "is_ntk"_a, "activation"_a, "widths"_a, "dropout"_a);
  m.def("cnn_network", &cnn_network_of, "height"_a, "width"_a, "channels"_a, "subtract"_a, "multiply"_a, "stages"_a,
        "hidden"_a, "dropout"_a, "n_classes"_a);
  m.def("network_facts", &network_facts, "network"_a);
  m.def("network_lanes", &network_lanes, "network"_a, "batch_size"_a);
  m.def("network_order", &network_order, "seed"_a, "epoch"_a, "order"_a.noconvert());
  m.def("network_refresh", &network_refresh, "network"_a, "parameters"_a.noconvert(), "derived"_a.noconvert(),
        "threads"_a = 0);
  m.def("network_train", &network_train, "network"_a, "parameters"_a.noconvert(), "first_moment"_a.noconvert(),
        "second_moment"_a.noconvert(), "lanes"_a.noconvert(), "derived"_a.noconvert(), "n_updates"_a,
        "beta1_power"_a, "beta2_power"_a, "pixels"_a.noconvert().none(), "numbers"_a.noconvert().none(),
        "codes"_a.noconvert().none(), "targets"_a.noconvert().none(), "shares"_a.noconvert().none(),
        "weights"_a.noconvert().none(), "order"_a.noconvert(), "first_step"_a, "last_step"_a, "batch_size"_a,
        "rates"_a.noconvert(), "decays"_a.noconvert(), "dropout"_a.noconvert(), "beta1"_a, "beta2"_a, "epsilon"_a,
        "label_smoothing"_a, "seed"_a, "epoch"_a, "flips"_a, "shift"_a, "unknown_codes"_a, "micro_rows"_a = 0,
        "seconds"_a = 0.05, "threads"_a = 0);
  m.def("network_logits", &logits_of_rows, "network"_a, "parameters"_a.noconvert(), "derived"_a.noconvert(),
        "pixels"_a.noconvert().none(), "numbers"_a.noconvert().none(), "codes"_a.noconvert().none(),
        "indices"_a.noconvert(), "logits"_a.noconvert(), "threads"_a = 0);
  m.def("network_gradient", &gradient_of_rows, "network"_a, "parameters"_a.noconvert(), "derived"_a.noconvert(),
        "pixels"_a.noconvert().none(), "numbers"_a.noconvert().none(), "codes"_a.noconvert().none(),
        "targets"_a.noconvert().none(), "shares"_a.noconvert().none(), "weights"_a.noconvert().none(),
        "indices"_a.noconvert(), "label_smoothing"_a, "masks"_a.noconvert(), "micro_rows"_a, "lanes"_a.noconvert(),
        "threads"_a = 0);
}

}  // namespace softclass
