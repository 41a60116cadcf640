#include "mlp_network.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "network_loss.hpp"

namespace softclass {
namespace {

constexpr float wave_rate = 0.1f, scale_rate = 6.0f, ntk_bias_rate = 0.1f;  // factors of RealMLP-TD
constexpr int64_t workspace_goal = 768 * 1024, most_rows = 128, fewest_rows = 4;

int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }
int64_t step_of(int64_t width) { return width % 128 == 0 ? width + 16 : width; }  // see mlp.hpp

}  // namespace

MlpNetwork::MlpNetwork(const MlpOptions& options) {
  lay_out_inputs(options);
  lay_out_layers(options);
  lay_out_workspace();
  network_.shape = &shape_;
  network_.lane_floats = int64_t(1) << 20;  // the second cache
  network_.lane_rows = 64;
  network_.kernels = [](void) noexcept -> const NetworkKernels& { return chosen_mlp_kernels(); };
  network_.tensors = tensors_.data();
  network_.n_tensors = int(tensors_.size());
  network_.n_classes = shape_.n_classes;
}

int64_t MlpNetwork::add(const char* name, std::vector<int64_t> shape, std::vector<int64_t> stride, int64_t size,
                        float rate_factor, bool decays) {
  NetworkTensor tensor = {};
  std::snprintf(tensor.name, sizeof tensor.name, "%s", name);
  tensor.n_axes = int(shape.size());
  std::copy(shape.begin(), shape.end(), tensor.shape);
  std::copy(stride.begin(), stride.end(), tensor.stride);
  tensor.offset = network_.n_parameters;
  tensor.size = padded(size);
  tensor.rate_factor = rate_factor;
  tensor.decays = decays;
  tensors_.push_back(tensor);
  network_.n_parameters += tensor.size;
  return tensor.offset;
}

void MlpNetwork::lay_out_inputs(const MlpOptions& options) {
  MlpShape& s = shape_;
  const int64_t numbers = s.numbers = options.numbers;
  s.has_waves = options.has_waves;
  s.has_scale = options.has_scale;
  int64_t inputs = numbers;
  if (s.has_waves) {
    s.frequency = add("periodic.frequency", {numbers, waves}, {waves, 1}, numbers * waves, wave_rate, true);
    s.phase = add("periodic.phase", {numbers, waves}, {waves, 1}, numbers * waves, wave_rate, false);
    s.wave_weight = add("periodic.weight", {numbers, wave_sums, waves}, {wave_sums * waves, waves, 1},
                        numbers * wave_sums * waves, wave_rate, true);
    s.wave_bias = add("periodic.bias", {numbers, wave_sums}, {wave_sums, 1}, numbers * wave_sums, wave_rate, false);
    inputs += wave_sums * numbers;
    network_.multiplications += numbers * waves * (1 + wave_sums);
  }
  s.embedding_width = options.embedding_width;
  s.embedding_step = padded(options.embedding_width);
  s.n_columns = int64_t(options.codes.size());
  columns_.resize(options.codes.size());
  for (size_t j = 0; j < columns_.size(); ++j) {
    if (!options.is_embedded[j]) continue;
    const int64_t codes = options.codes[j], width = s.embedding_width, step = s.embedding_step;
    const std::string name = "embedding" + std::to_string(j + 1) + ".weight";
    columns_[j] = {codes, inputs, add(name.c_str(), {codes, width}, {step, 1}, codes * step, 1.0f, true)};
    inputs += width;
  }
  s.dense = inputs;
  s.dense_width = padded(std::max<int64_t>(inputs, 1));
  s.dense_step = step_of(s.dense_width);
  for (size_t j = 0; j < columns_.size(); ++j) {
    if (options.is_embedded[j]) continue;
    columns_[j] = {options.codes[j], inputs, -1};
    inputs += options.codes[j];
  }
  s.columns = columns_.data();
  if (s.has_scale) s.scale = add("scale.weight", {inputs}, {1}, inputs, scale_rate, false);
  s.layers[0].inputs = inputs;
}

void MlpNetwork::lay_out_layers(const MlpOptions& options) {
  MlpShape& s = shape_;
  s.activation = options.activation;
  s.is_ntk = options.is_ntk;
  s.n_layers = int(options.widths.size());
  s.n_classes = options.widths.back();
  const bool needs_inputs = s.dense > 0 && (s.has_scale || s.dense > s.numbers);
  int masks = 0;
  for (int l = 0; l < s.n_layers; ++l) {
    MlpLayer& layer = s.layers[l];
    if (l > 0) layer.inputs = s.layers[l - 1].outputs;
    const int64_t in = layer.inputs, out = layer.outputs = options.widths[size_t(l)];
    layer.width = padded(out);
    const int64_t step = layer.step = step_of(layer.width);
    const std::string name = "dense" + std::to_string(l + 1);
    layer.weight = add((name + ".weight").c_str(), {out, in}, {1, step}, in * step, 1.0f, true);
    layer.bias = add((name + ".bias").c_str(), {out}, {1}, layer.width, s.is_ntk ? ntk_bias_rate : 1.0f, false);
    layer.factor = s.is_ntk ? float(1.0 / std::sqrt(double(in))) : 1.0f;
    layer.in_width = l > 0 ? padded(in) : s.dense_width;
    layer.in_step = step_of(layer.in_width);
    layer.transposed = -1;
    if (l > 0 || needs_inputs) {
      layer.transposed = network_.n_derived;
      network_.n_derived += padded(out * layer.in_step);
    }
    NetworkTensor& weight = tensors_[tensors_.size() - 2];
    layer.dense = l > 0 ? in : s.dense;
    weight.is_written = layer.dense == in;
    layer.first_part = network_.n_refresh_parts;
    if (layer.transposed >= 0) {
      weight.at_once = mlp_part_inputs * step;
      weight.n_refreshed = (layer.dense + mlp_part_inputs - 1) / mlp_part_inputs;
      weight.refresh_begin = layer.first_part;
      network_.n_refresh_parts += weight.n_refreshed;
    }
    layer.dropout = l > 0 ? options.dropout[size_t(l)] : 0.0;
    layer.mask = layer.dropout > 0.0 ? masks++ : -1;
    network_.multiplications += in * out;
  }
}

void MlpNetwork::lay_out_workspace() {
  MlpShape& s = shape_;
  int64_t widest = s.dense_step, a_row = 0, place = 0;
  for (int l = 0; l < s.n_layers; ++l) {
    widest = std::max(widest, std::max(s.layers[l].step, s.layers[l].in_step));
    a_row += 4 * s.layers[l].step * (s.layers[l].mask >= 0 ? 3 : 1);
  }
  a_row += 4 * (s.n_columns + 2 * s.dense_step + 2 * widest) + (s.has_waves ? 8 * s.numbers * waves : 0);
  s.rows = std::clamp(workspace_goal / a_row, fewest_rows, most_rows);
  const auto take = [&](int64_t bytes) {
    const int64_t taken = place;
    place += (bytes + 63) / 64 * 64;
    return taken;
  };
  s.codes = take(4 * s.rows * s.n_columns);
  s.inputs = take(4 * s.rows * s.dense_step);
  s.scaled = s.has_scale ? take(4 * s.rows * s.dense_step) : s.inputs;
  s.cosines = s.has_waves ? take(4 * s.rows * s.numbers * waves) : 0;
  s.sines = s.has_waves ? take(4 * s.rows * s.numbers * waves) : 0;
  for (int l = 0; l < s.n_layers; ++l) {
    s.hidden[l] = take(4 * s.rows * s.layers[l].step);
    if (s.layers[l].mask < 0) continue;
    s.dropped[l] = take(4 * s.rows * s.layers[l - 1].step);
    s.masks[l] = take(4 * s.rows * s.layers[l - 1].step);
  }
  for (int64_t& deltas : s.deltas) deltas = take(4 * s.rows * widest);
  s.loss = take(loss_room(s.n_classes, s.rows, true));
  network_.workspace_bytes = place;
}

}  // namespace softclass
