// Networks of awkward sizes, trained for a few steps on every target with one thread and with three: meant for the
// address and undefined-behaviour sanitizers. All arrays are as long as they have to be and not a byte longer, and all
// targets and threads come to the same bytes; so does a network whose late weight is made an ordinary one.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "cnn.hpp"
#include "mlp_network.hpp"
#include "network_step.hpp"

namespace {

using namespace softclass;

int failures = 0;

void expect(bool holds, const char* name, const char* what) {
  if (holds) return;
  std::printf("%s: %s\n", name, what);
  ++failures;
}

// Numbers in [-1, 1) that look random.
float number(uint32_t& state) {
  state = state * 1664525u + 1013904223u;
  return float(state >> 8) * 0x1p-23f - 1.0f;
}

struct Data {
  std::vector<uint8_t> pixels;
  std::vector<float> numbers, weights, shares;
  std::vector<int32_t> codes, targets;
  NetworkRows rows = {};
};

struct Sizes {
  int64_t n_rows, batch, steps;
};

constexpr Sizes few = {37, 19, 2};

Data make_data(int64_t n_rows, int64_t pixels, int64_t numbers, const std::vector<int64_t>& codes, int64_t n_classes,
               bool is_soft) {
  Data data;
  uint32_t state = 1;
  for (int64_t i = 0; i < n_rows * pixels; ++i) data.pixels.push_back(uint8_t((number(state) + 1) * 127));
  for (int64_t i = 0; i < n_rows * numbers; ++i) data.numbers.push_back(number(state));
  for (int64_t i = 0; i < n_rows; ++i) {
    for (const int64_t count : codes) data.codes.push_back(int32_t((number(state) + 1) * 0.5f * float(count)));
    data.targets.push_back(int32_t(i % n_classes));
    data.weights.push_back(i % 5 == 0 ? 0.0f : 1.5f);
    for (int64_t c = 0; c < n_classes; ++c) data.shares.push_back(1.0f / float(n_classes));
  }
  data.rows.n_rows = n_rows;
  data.rows.pixels = pixels ? data.pixels.data() : nullptr;
  data.rows.numbers = numbers ? data.numbers.data() : nullptr;
  data.rows.n_numbers = numbers;
  data.rows.codes = codes.empty() ? nullptr : data.codes.data();
  data.rows.n_codes = int64_t(codes.size());
  if (is_soft)
    data.rows.shares = data.shares.data();
  else
    data.rows.targets = data.targets.data();
  data.rows.weights = data.weights.data();
  return data;
}

struct Outcome {
  bool is_done;
  double loss;
  std::vector<float> numbers;  // parameters and moments, then logits
};

bool operator==(const Outcome& a, const Outcome& b) {
  return a.loss == b.loss && a.numbers.size() == b.numbers.size() &&
         std::memcmp(a.numbers.data(), b.numbers.data(), a.numbers.size() * sizeof(float)) == 0;
}

Outcome train_once(const Network& network, const Data& data, const Sizes& sizes, int threads) {
  const int64_t n = network.n_parameters, lanes = lanes_of_step(network, sizes.batch), n_rows = sizes.n_rows;
  std::vector<float> parameters(n), first(n), second(n), gradients(n * lanes), derived(network.n_derived);
  uint32_t state = 7;
  for (int t = 0; t < network.n_tensors; ++t) {
    const NetworkTensor& tensor = network.tensors[t];
    int64_t place[4] = {};
    for (int axis = tensor.n_axes - 1; axis >= 0;) {
      int64_t at = tensor.offset;
      for (int a = 0; a < tensor.n_axes; ++a) at += place[a] * tensor.stride[a];
      parameters[size_t(at)] = 0.2f * number(state);
      for (axis = tensor.n_axes - 1; axis >= 0 && ++place[axis] == tensor.shape[axis]; --axis) place[axis] = 0;
    }
  }
  refresh_network(network, parameters.data(), derived.data(), threads);
  std::vector<int64_t> order(n_rows);
  std::iota(order.begin(), order.end(), 0);
  const std::vector<double> rates(sizes.steps, 1e-3), decays(sizes.steps, 0.01), dropout(sizes.steps, 1.0);
  const TrainingPlan plan = {sizes.batch,    0.9, 0.99, 1e-8, rates.data(), decays.data(),
                             dropout.data(), 0.1, 3,    0,    true,         1,
                             0.3,            5};
  TrainingState training = {parameters.data(), first.data(), second.data(), gradients.data(), derived.data(), 0, 1.0,
                            1.0};
  const TrainingReport report =
      train(network, data.rows, order.data(), n_rows, 0, sizes.steps, plan, 1e9, threads, &training);
  std::vector<float> logits(n_rows * network.n_classes);
  network_logits(network, parameters.data(), derived.data(), data.rows, order.data(), n_rows, threads, logits.data());
  Outcome outcome = {report.is_finite && report.last_step == sizes.steps && report.loss > 0.0, report.loss, {}};
  for (const std::vector<float>* part : {&parameters, &first, &second, &logits})
    outcome.numbers.insert(outcome.numbers.end(), part->begin(), part->end());
  return outcome;
}

void check(const char* name, const Network& network, const Data& data, const Sizes& sizes) {
  const Target kept = target();
  const Outcome expected = train_once(network, data, sizes, 1);
  expect(expected.is_done, name, "the steps were not done");
  for (int t = 0; t < n_targets; ++t)
    if (set_target(Target(t)))
      expect(expected == train_once(network, data, sizes, 3), name, name_of(Target(t)));
  set_target(kept);
  if (network.late_inputs == 0) return;
  Network at_once = network;
  at_once.late_inputs = 0;
  expect(expected == train_once(at_once, data, sizes, 2), name, "a gradient that is late is another one");
}

void check_mlp(const char* name, const MlpOptions& options, bool is_soft) {
  const MlpNetwork mlp(options);
  check(name, mlp.network(),
        make_data(few.n_rows, 0, options.numbers, options.codes, options.widths.back(), is_soft), few);
}

// `lanes`: of a step. `late`: inputs of the weight whose gradient is late.
void check_cnn(const char* name, const CnnOptions& options, const Sizes& sizes = few, int64_t lanes = 1,
               int64_t late = 0) {
  const auto shape = std::make_unique<CnnShape>();
  Network network;
  expect(cnn_network(options, shape.get(), &network), name, "refused");
  expect(lanes_of_step(network, sizes.batch) == lanes, name, "has not as many lanes as it is meant to have");
  expect(network.late_inputs == late, name, "has not the late weight that it is meant to have");
  const int64_t pixels = int64_t(options.height) * options.width * options.channels;
  check(name, network, make_data(sizes.n_rows, pixels, 0, {}, options.n_classes, false), sizes);
}

CnnOptions cnn_options(int height, int width, int channels, int n_classes) {
  CnnOptions options = {};
  options.height = height;
  options.width = width;
  options.channels = channels;
  for (int c = 0; c < channels; ++c) {
    options.subtract[c] = 100.0f;
    options.multiply[c] = 0.01f;
  }
  options.n_classes = n_classes;
  return options;
}

}  // namespace

int main() {
  using Kind = MlpActivation;
  check_mlp("one layer", {7, {}, {}, 0, false, false, false, Kind::relu, {5, 3}, {0.0, 0.0}}, false);
  check_mlp("width 1", {1, {}, {}, 0, false, false, false, Kind::tanh, {1, 2}, {0.0, 0.0}}, true);
  check_mlp("width 129", {33, {}, {}, 0, false, false, false, Kind::sigmoid, {129, 128, 17}, {0.0, 0.2, 0.3}}, false);
  check_mlp("codes alone", {0, {3, 9}, {false, false}, 0, false, true, false, Kind::selu, {20, 100}, {0.0, 0.5}},
            false);
  check_mlp("all", {3, {4, 14, 2}, {false, true, false}, 5, true, true, true, Kind::selu, {31, 16, 4}, {0.0, 0.1, 0.1}},
            true);
  CnnOptions one = cnn_options(9, 8, 1, 10);
  one.n_stages = 1;
  one.stages[0] = {17, 3, 0, 0, 0, 0};
  check_cnn("one stage", one);
  CnnOptions two = cnn_options(14, 11, 3, 13);
  two.n_stages = 2;
  two.stages[0] = {8, 5, 2, 2, 2, 2};
  two.stages[1] = {33, 3, 1, 1, 1, 1};
  two.n_hidden = 1;
  two.hidden[0] = 7;
  two.dropout[0] = two.dropout[1] = 0.25;
  check_cnn("two stages", two);
  CnnOptions large = cnn_options(16, 19, 4, 12);
  large.n_stages = 2;
  large.stages[0] = {33, 5, 2, 2, 2, 2};
  large.stages[1] = {16, 5, 2, 2, 2, 2};
  large.dropout[0] = 0.4;
  check_cnn("large kernels", large);
  // A weight of at least a mebibyte behind the stages has its gradient late. Blocks of 32 inputs, the last of 16; two
  // lanes of more rows than are added at once; then a batch so small that its lanes have few.
  CnnOptions late = cnn_options(26, 22, 1, 14);
  late.n_stages = 1;
  late.stages[0] = {5, 3, 1, 1, 1, 1};
  late.n_hidden = 2;
  late.hidden[0] = 115;
  late.hidden[1] = 17;
  late.dropout[0] = late.dropout[2] = 0.25;
  check_cnn("a late weight, two lanes", late, {281, 271, 2}, 2, 13 * 11 * 16);
  // Blocks of 8 inputs; no hidden layer behind it; fewer rows than a batch.
  CnnOptions wide = cnn_options(10, 11, 3, 3);
  wide.n_stages = 1;
  wide.stages[0] = {16, 3, 1, 0, 1, 0};
  wide.n_hidden = 1;
  wide.hidden[0] = 833;
  check_cnn("a late weight, wide", wide, {7, 19, 1}, 1, 5 * 4 * 16);
  // Its outputs are the classes.
  CnnOptions last = cnn_options(11, 10, 2, 701);
  last.n_stages = 1;
  last.stages[0] = {17, 3, 1, 1, 1, 1};
  last.dropout[0] = 0.4;
  check_cnn("a late weight, the last", last, few, 1, 5 * 5 * 32);
  if (failures == 0) std::printf("networks: all as they should be\n");
  return failures != 0;
}
