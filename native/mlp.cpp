// The fully connected network, forward and backward; compiled once a target.
#include "mlp.hpp"

#include "mlp_inputs.hpp"
#include "network_loss.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

constexpr int L = Floats::lanes;

// Sums of products, (count, step), become outputs: times the layer's factor, plus its bias, through the activation. In
// the plain parametrisation the bias is in the sums.
template <MlpActivation kind>
void activate(const MlpBlock& b, const MlpLayer& layer, float* z) {
  const float* const bias = b.parameters(layer.bias);
  for (int64_t i = 0; i < b.count; ++i)
    for (int64_t q = 0; q < layer.width; q += L) {
      float* const at = z + i * layer.step + q;
      Floats x = load(at);
      if (b.shape.is_ntk) x = fma(x, broadcast(layer.factor), load(bias + q));
      store(at, activated<kind>(x));
    }
}

// The gradient at the outputs becomes that at the sums.
template <MlpActivation kind>
void go_through_slope(const MlpBlock& b, const MlpLayer& layer, const float* outputs, float* delta) {
  for (int64_t i = 0; i < b.count; ++i, outputs += layer.step, delta += layer.step)
    for (int64_t q = 0; q < layer.width; q += L)
      store(delta + q, load(delta + q) * slope_at<kind>(load(outputs + q)));
}

void scale_all(const MlpBlock& b, const MlpLayer& layer, float* values) {
  for (int64_t i = 0; i < b.count; ++i, values += layer.step)
    for (int64_t q = 0; q < layer.width; q += L) store(values + q, load(values + q) * broadcast(layer.factor));
}

// Rows as wide as the outputs of a layer.
void multiply_all(const MlpBlock& b, const MlpLayer& layer, const float* values, const float* factors,
                  float* products) {
  for (int64_t i = 0; i < b.count; ++i)
    for (int64_t q = i * layer.step; q < i * layer.step + layer.width; q += L)
      store(products + q, load(values + q) * load(factors + q));
}

// For logits in the neural tangent parametrisation.
void add_bias(const MlpBlock& b, const MlpLayer& layer, float* z) {
  for (int64_t i = 0; i < b.count; ++i)
    for (int64_t q = 0; q < layer.width; q += L) {
      float* const at = z + i * layer.step + q;
      store(at, fma(load(at), broadcast(layer.factor), load(b.parameters(layer.bias) + q)));
    }
}

void activate_layer(const MlpBlock& b, const MlpLayer& layer, float* z) {
  switch (b.shape.activation) {
    case MlpActivation::relu: return activate<MlpActivation::relu>(b, layer, z);
    case MlpActivation::tanh: return activate<MlpActivation::tanh>(b, layer, z);
    case MlpActivation::sigmoid: return activate<MlpActivation::sigmoid>(b, layer, z);
    case MlpActivation::selu: return activate<MlpActivation::selu>(b, layer, z);
  }
}

void go_through_slopes(const MlpBlock& b, const MlpLayer& layer, const float* outputs, float* delta) {
  switch (b.shape.activation) {
    case MlpActivation::relu: return go_through_slope<MlpActivation::relu>(b, layer, outputs, delta);
    case MlpActivation::tanh: return go_through_slope<MlpActivation::tanh>(b, layer, outputs, delta);
    case MlpActivation::sigmoid: return go_through_slope<MlpActivation::sigmoid>(b, layer, outputs, delta);
    case MlpActivation::selu: return go_through_slope<MlpActivation::selu>(b, layer, outputs, delta);
  }
}

// Whether the inputs of a layer are dropped in this call, and with what probability.
struct Dropping {
  bool is_on;
  double probability;
};
Dropping dropping_of(const MlpLayer& layer, const LaneCall& call) {
  if (layer.mask < 0) return {false, 0.0};
  if (call.masks) return {true, layer.dropout};
  const double probability = layer.dropout * call.dropout_factor;
  return {call.is_training && probability > 0.0, probability};
}

// Mask (0, or what survivors are multiplied by) and masked inputs of layer l.
void drop_inputs(const MlpBlock& b, int l, double probability) {
  const MlpShape& s = b.shape;
  const MlpLayer& before = s.layers[l - 1];
  const int64_t inputs = s.layers[l].inputs, width = before.width;
  const float factor = float(1.0 / (1.0 - probability));
  float* const mask = b.floats(s.masks[l]);
  constexpr int64_t at_once = 256;
  uint8_t keep[at_once];
  for (int64_t i = 0; i < b.count; ++i) {
    const Philox place = {b.call.seed, uint32_t(b.indices()[i]), b.call.epoch, uint32_t(Stream::dropout) + uint32_t(l)};
    for (int64_t q = 0; q < width; q += at_once) {
      const int64_t left = width - q, size = left < at_once ? left : at_once;
      if (b.call.masks) {
        const uint8_t* const given = b.call.masks[s.layers[l].mask] + (b.call.first + b.first + i) * inputs;
        for (int64_t j = 0; j < size; ++j) keep[j] = q + j < inputs ? given[q + j] : 0;
      } else {
        keep_mask(place, drop_threshold(probability), size, keep, uint32_t(q / 8));
      }
      for (int64_t j = 0; j < size; ++j) mask[i * before.step + q + j] = keep[j] ? factor : 0.0f;
    }
  }
  multiply_all(b, before, b.floats(s.hidden[l - 1]), mask, b.floats(s.dropped[l]));
}

void go_forward(const MlpBlock& b) {
  const MlpShape& s = b.shape;
  make_inputs(b);
  const float* inputs = b.floats(s.scaled);
  int64_t step = s.dense_step;
  for (int l = 0; l < s.n_layers; ++l) {
    const MlpLayer& layer = s.layers[l];
    float* const z = b.floats(s.hidden[l]);
    if (const Dropping dropping = dropping_of(layer, b.call); dropping.is_on) {
      drop_inputs(b, l, dropping.probability);
      inputs = b.floats(s.dropped[l]);
    }
    dense_product({b.count, layer.width, layer.dense, inputs, step, 1,
                   b.parameters(layer.weight), layer.step, z, layer.step, s.is_ntk ? Start::zero : Start::bias,
                   b.parameters(layer.bias)});
    if (l == 0 && s.n_columns > 0) add_indicators(b, z);
    if (l + 1 < s.n_layers)
      activate_layer(b, layer, z);
    else if (s.is_ntk)
      add_bias(b, layer, z);
    inputs = z;
    step = layer.step;
  }
}

// From the gradient at the logits, in their place.
void go_backward(const MlpBlock& b) {
  const MlpShape& s = b.shape;
  float* delta = b.floats(s.hidden[s.n_layers - 1]);
  for (int l = s.n_layers - 1; l >= 0; --l) {
    const MlpLayer& layer = s.layers[l];
    const Dropping dropping = dropping_of(layer, b.call);
    const float* const inputs =
        l == 0 ? b.floats(s.scaled) : b.floats(dropping.is_on ? s.dropped[l] : s.hidden[l - 1]);
    const int64_t step = l == 0 ? s.dense_step : s.layers[l - 1].step;
    add_rows(delta, b.count, layer.step, layer.width, b.gradient(layer.bias));
    if (s.is_ntk) scale_all(b, layer, delta);
    const bool is_written = layer.dense == layer.inputs;
    dense_product({layer.dense, layer.width, b.count, inputs, 1, step, delta, layer.step,
                   b.gradient(layer.weight), layer.step, is_written && b.first == 0 ? Start::zero : Start::kept,
                   nullptr});
    if (l == 0 && s.n_columns > 0) indicator_gradients(b, delta);
    if (layer.transposed < 0) return;
    float* const by_inputs = b.floats(s.deltas[l % 2]);
    dense_product({b.count, layer.in_width, layer.outputs, delta, layer.step, 1, b.call.derived + layer.transposed,
                   layer.in_step, by_inputs, layer.in_step, Start::zero, nullptr});
    if (l == 0) return input_gradients(b, by_inputs);
    const MlpLayer& before = s.layers[l - 1];
    if (dropping.is_on) multiply_all(b, before, by_inputs, b.floats(s.masks[l]), by_inputs);
    go_through_slopes(b, before, b.floats(s.hidden[l - 1]), by_inputs);
    delta = by_inputs;
  }
}

void lane(const void* shape, const LaneCall& call, LaneSums* sums) {
  const MlpShape& s = *static_cast<const MlpShape*>(shape);
  const int64_t at_once = call.micro_rows > 0 && call.micro_rows < s.rows ? call.micro_rows : s.rows;
  for (int64_t first = 0; first < call.count; first += at_once) {
    const int64_t left = call.count - first;
    const MlpBlock b = {s, call, first, left < at_once ? left : at_once, static_cast<char*>(call.workspace)};
    go_forward(b);
    float* const logits = b.floats(s.hidden[s.n_layers - 1]);
    const int64_t step = s.layers[s.n_layers - 1].step;
    if (call.logits)
      for (int64_t i = 0; i < b.count; ++i)
        memcpy(call.logits + (first + i) * s.n_classes, logits + i * step, size_t(s.n_classes) * sizeof(float));
    if (!call.gradient) continue;
    network_loss({logits, step, b.count, s.n_classes, call.rows, b.indices(), call.divisor, call.label_smoothing, true,
                  b.room + s.loss}, sums);
    go_backward(b);
  }
}

void refresh(const void* shape, const float* parameters, float* derived, int64_t part) {
  const MlpShape& s = *static_cast<const MlpShape*>(shape);
  int l = s.n_layers - 1;
  while (part < s.layers[l].first_part) --l;
  const MlpLayer& layer = s.layers[l];
  const int64_t all = layer.dense, first = (part - layer.first_part) * mlp_part_inputs;
  const int64_t own = all - first < mlp_part_inputs ? all - first : mlp_part_inputs;
  transpose_into(parameters + layer.weight + first * layer.step, own, layer.step, layer.outputs,
                 derived + layer.transposed + first, layer.in_step);
}

}  // namespace

const NetworkKernels mlp_kernels{lane, refresh};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
