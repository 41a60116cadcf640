// Where everything of a convolutional network lies: parameters, what is kept beside them, the memory of a lane.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cnn.hpp"
#include "network_loss.hpp"

namespace softclass {
namespace {

constexpr int64_t row_bytes_at_once = 2 << 20;  // of the rows that go through together: they stay in the second cache
constexpr int64_t most_rows_at_once = 16;
// Where the weights of a dense layer are as large as that cache, more rows share a pass over them.
constexpr int64_t large_layer_bytes = 1 << 20, most_rows_of_large = 64;
constexpr int64_t most_behind_pieces = 128;    // what keep_pieces of philox_wide.hpp may write behind the last one
constexpr int64_t smallest_winners = 8 / 4;     // bytes of Winners for a channel, where vectors are shortest

template <class Whole>
Whole to_vectors(Whole count) {
  return (count + 15) / 16 * 16;
}

class Plan {
 public:
  Plan(const CnnOptions& options, CnnShape* shape, Network* network)
      : options_(options), shape_(*shape), network_(*network) {}

  bool make() {
    std::memset(static_cast<void*>(&shape_), 0, sizeof shape_);
    std::memset(static_cast<void*>(&network_), 0, sizeof network_);
    if (!pixels() || !stages() || !dense()) return false;
    room();
    network_.shape = &shape_;
    // The rows of a lane share one pass over its weights: 421,642 parameters train in 159 us a row with 4 lanes, in 184
    // with 8.
    network_.lane_floats = int64_t(1) << 21;
    network_.kernels = [](void) noexcept -> const NetworkKernels& { return chosen_cnn_kernels(); };
    network_.tensors = shape_.tensors;
    network_.n_classes = shape_.n_classes;
    network_.multiplications = multiplications_;
    return true;
  }

 private:
  bool pixels() {
    const CnnOptions& o = options_;
    if (o.height < 1 || o.width < 1 || o.height > 96 || o.width > 96) return false;
    if (o.channels < 1 || o.channels > most_pixel_channels || o.n_classes < 2 || o.n_classes > 1000) return false;
    shape_.height = o.height;
    shape_.width = o.width;
    shape_.channels = o.channels;
    shape_.n_classes = o.n_classes;
    for (int c = 0; c < o.channels; ++c) {
      shape_.subtract[c] = o.subtract[c];
      shape_.multiply[c] = o.multiply[c];
    }
    return true;
  }

  NetworkTensor& add(const char* name, int number, const char* what, int64_t size, bool decays) {
    NetworkTensor& t = shape_.tensors[network_.n_tensors++];
    std::snprintf(t.name, sizeof t.name, "%s%d.%s", name, number, what);
    t.offset = network_.n_parameters;
    t.size = to_vectors(size);
    t.rate_factor = 1.0f;
    t.decays = decays;
    network_.n_parameters += t.size;
    return t;
  }
  void add_bias(const char* name, int number, int64_t logical, int64_t stored) {
    NetworkTensor& t = add(name, number, "bias", stored, false);
    t.n_axes = 1;
    t.shape[0] = logical;
    t.stride[0] = 1;
  }
  int64_t derive(int64_t size) {
    const int64_t place = network_.n_derived;
    network_.n_derived += to_vectors(size);
    return place;
  }

  bool stages() {
    const CnnOptions& o = options_;
    if (o.n_stages < 1 || o.n_stages > most_stages) return false;
    shape_.n_stages = o.n_stages;
    int height = o.height, width = o.width, channels = o.channels, stored = o.channels;
    for (int s = 0; s < o.n_stages; ++s) {
      const CnnStageOptions& wanted = o.stages[s];
      CnnStage& stage = shape_.stages[s];
      if ((wanted.kernel != 3 && wanted.kernel != 5) || wanted.outputs < 1 || wanted.outputs > most_maps) return false;
      for (const int zeros : {wanted.top, wanted.left, wanted.bottom, wanted.right})
        if (zeros < 0 || zeros > 8) return false;
      stage.kernel = wanted.kernel;
      stage.channels = stored;
      stage.real_outputs = wanted.outputs;
      stage.outputs = to_vectors(wanted.outputs);
      stage.in_height = height + wanted.top + wanted.bottom;
      stage.in_width = width + wanted.left + wanted.right;
      stage.in_row = stage.in_width * stored;
      if (stage.in_height <= wanted.kernel || stage.in_width <= wanted.kernel) return false;
      stage.pooled_height = (stage.in_height - wanted.kernel + 1) / 2;
      stage.pooled_width = (stage.in_width - wanted.kernel + 1) / 2;
      stage.windows = int64_t(stage.pooled_height) * stage.pooled_width;
      surround(s);
      const int64_t taps = int64_t(wanted.kernel) * wanted.kernel * stored;
      add_stage_weight(s, channels, taps);
      stage.panels = derive(taps * stage.outputs);
      network_.n_refresh_parts += (stage.outputs + panel_channels - 1) / panel_channels;
      multiplications_ += 4 * stage.windows * wanted.kernel * wanted.kernel * channels * wanted.outputs;
      height = stage.pooled_height;
      width = stage.pooled_width;
      channels = wanted.outputs;
      stored = stage.outputs;
    }
    shape_.top = o.stages[0].top;
    shape_.left = o.stages[0].left;
    shape_.features = int64_t(height) * width * stored;
    shape_.real_features = int64_t(height) * width * channels;
    return true;
  }

  // The zeros that the next stage wants around the map of stage s.
  void surround(int s) {
    CnnStage& stage = shape_.stages[s];
    const bool is_last = s + 1 == options_.n_stages;
    const CnnStageOptions none = {0, 0, 0, 0, 0, 0}, &next = is_last ? none : options_.stages[s + 1];
    const int64_t width = stage.pooled_width + next.left + next.right;
    stage.out_row = int(width) * stage.outputs;
    stage.out_first = (next.top * width + next.left) * stage.outputs;
    stage.out_size = (stage.pooled_height + next.top + next.bottom) * width * stage.outputs;
  }

  // Of pixels (r, r, C, M): the way back has vectors over M. Of maps (M, r, r, C): there it has them over the taps.
  void add_stage_weight(int s, int channels, int64_t taps) {
    CnnStage& stage = shape_.stages[s];
    NetworkTensor& t = add("stage", s + 1, "weight", taps * stage.outputs, true);
    const int64_t r = stage.kernel, tap = s == 0 ? stage.outputs : 1, output = s == 0 ? 1 : taps;
    t.n_axes = 4;
    const int64_t shape[4] = {r, r, channels, stage.real_outputs};
    const int64_t stride[4] = {r * stage.channels * tap, stage.channels * tap, tap, output};
    std::copy(shape, shape + 4, t.shape);
    std::copy(stride, stride + 4, t.stride);
    stage.weight = t.offset;
    stage.bias = network_.n_parameters;
    add_bias("stage", s + 1, stage.real_outputs, stage.outputs);
  }

  bool dense() {
    const CnnOptions& o = options_;
    if (o.n_hidden < 0 || o.n_hidden >= most_dense) return false;
    shape_.n_dense = o.n_hidden + 1;
    int masks = 0;
    for (int d = 0; d < shape_.n_dense; ++d) {
      CnnDense& layer = shape_.dense[d];
      layer.is_last = d == o.n_hidden;
      layer.inputs = d == 0 ? shape_.features : shape_.dense[d - 1].outputs;
      layer.real_inputs = d == 0 ? shape_.real_features : shape_.dense[d - 1].real_outputs;
      layer.real_outputs = layer.is_last ? o.n_classes : o.hidden[d];
      if (layer.real_outputs < 1 || layer.real_outputs > 4096) return false;
      if (!(o.dropout[d] >= 0.0 && o.dropout[d] < 1.0)) return false;
      layer.outputs = to_vectors(layer.real_outputs);
      layer.is_narrow = layer.is_last && layer.real_outputs <= most_narrow;
      layer.is_large = 4 * layer.inputs * layer.outputs >= large_layer_bytes;
      layer.dropout = o.dropout[d];
      layer.mask = layer.dropout > 0.0 ? masks++ : -1;
      add_dense_weight(d);
      if (d == 0 && layer.is_large && !layer.is_narrow) {
        network_.late_inputs = layer.inputs;
        network_.late_outputs = layer.outputs;
        network_.late_begin = layer.weight;
      }
      multiplications_ += layer.real_inputs * layer.real_outputs;
    }
    return true;
  }

  void add_dense_weight(int d) {
    CnnDense& layer = shape_.dense[d];
    const int64_t outputs = layer.is_narrow ? layer.real_outputs : layer.outputs;
    NetworkTensor& t = add("dense", d + 1, "weight", layer.inputs * outputs, true);
    const int64_t input = layer.is_narrow ? 1 : layer.outputs, output = layer.is_narrow ? layer.inputs : 1;
    t.shape[0] = layer.real_outputs;
    t.stride[0] = output;
    if (d == 0) {
      const CnnStage& last = shape_.stages[shape_.n_stages - 1];
      t.n_axes = 4;
      const int64_t shape[3] = {last.pooled_height, last.pooled_width, last.real_outputs};
      const int64_t stride[3] = {last.pooled_width * int64_t(last.outputs) * input, last.outputs * input, input};
      std::copy(shape, shape + 3, t.shape + 1);
      std::copy(stride, stride + 3, t.stride + 1);
    } else {
      t.n_axes = 2;
      t.shape[1] = layer.real_inputs;
      t.stride[1] = input;
    }
    layer.weight = t.offset;
    layer.bias = network_.n_parameters;
    add_bias("dense", d + 1, layer.real_outputs, layer.outputs);
  }

  int64_t take(int64_t bytes) {
    const int64_t place = network_.workspace_bytes;
    network_.workspace_bytes += (bytes + 63) / 64 * 64;
    return place;
  }

  void room() {
    CnnRoom& room = shape_.room;
    const CnnStage& first = shape_.stages[0];
    const int64_t image = 4 * int64_t(first.in_height) * first.in_row;
    int64_t row = image;
    for (int s = 0; s < shape_.n_stages; ++s) row += 4 * shape_.stages[s].out_size;
    bool is_large = false;
    for (int d = 0; d < shape_.n_dense; ++d)
      is_large = is_large || shape_.dense[d].is_large;
    room.rows = std::clamp((is_large ? 2 : 1) * row_bytes_at_once / row, int64_t(1),
                           is_large ? most_rows_of_large : most_rows_at_once);
    const int64_t fours = (room.rows + 3) / 4 * 4;  // what dense_back writes
    room.images = take(room.rows * image);
    for (int s = 0; s < shape_.n_stages; ++s) {
      const CnnStage& stage = shape_.stages[s];
      room.maps[s] = take(4 * fours * stage.out_size);
      room.winners[s] = take(smallest_winners * room.rows * stage.windows * stage.outputs);
    }
    int64_t widest = 0, inputs = 0, products = 0;
    for (int d = 0; d < shape_.n_dense; ++d) {
      const CnnDense& layer = shape_.dense[d];
      if (!layer.is_last) {
        room.hidden[d] = take(4 * room.rows * layer.outputs);
        widest = std::max(widest, layer.outputs);
      }
      inputs = std::max(inputs, layer.real_inputs);
      if (!layer.is_narrow)
        products = std::max(products, (layer.outputs + dense_room_inputs) * to_vectors(room.rows));
    }
    room.keep = take(inputs + most_behind_pieces);
    room.logits = take(4 * room.rows * shape_.dense[shape_.n_dense - 1].outputs);
    room.delta_step = fours * widest;
    // Gradients of two hidden layers; then the sums of a narrow head, or what its classes pass on.
    room.deltas = take(4 * (2 * room.delta_step + room.rows * 16 * most_narrow));
    room.loss = take(loss_room(shape_.n_classes, room.rows, true));
    room.products = take(4 * products);
    room.pairs = take(2 * image);
    if (shape_.n_stages > 1) {
      const CnnStage& second = shape_.stages[1];
      room.map_gradient = take(4 * int64_t(second.in_height) * second.in_row);
      for (int64_t* place : {&room.winner_channels, &room.winner_places, &room.winner_gradients})
        *place = take(4 * (second.windows * second.outputs + 16));
      room.starts = take(4 * (4 * second.windows + 1));
      room.sorted = take(8 * second.windows * second.outputs);
    }
  }

  const CnnOptions& options_;
  CnnShape& shape_;
  Network& network_;
  int64_t multiplications_ = 0;
};

}  // namespace

bool cnn_network(const CnnOptions& options, CnnShape* shape, Network* network) noexcept {
  return Plan(options, shape, network).make();
}

}  // namespace softclass
