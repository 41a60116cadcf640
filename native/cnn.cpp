// A lane of the convolutional network: rows in blocks of a few, whose maps stay in the second cache.
#include "cnn.hpp"

#include "cnn_dropout.hpp"
#include "cnn_head.hpp"
#include "cnn_plane.hpp"
#include "cnn_stage.hpp"
#include "cnn_stage_backward.hpp"
#include "dense_tiles.hpp"
#include "fetch.hpp"
#include "network_loss.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// A lane's memory, and the rows first ... first + count - 1 of it that are at work.
struct CnnLane {
  const CnnShape& shape;
  const LaneCall& call;
  int64_t first;
  int64_t count;

  template <class Value>
  Value* room(int64_t place) const {
    return reinterpret_cast<Value*>(static_cast<char*>(call.workspace) + place);
  }
  float* image(int64_t row) const {
    return room<float>(shape.room.images) + row * shape.stages[0].in_height * shape.stages[0].in_row;
  }
  float* own_map(int stage, int64_t row) const {
    return room<float>(shape.room.maps[stage]) + row * shape.stages[stage].out_size;
  }
  // The last one is kept for what is late.
  float* map(int stage, int64_t row) const {
    if (stage + 1 < shape.n_stages || !call.late_inputs) return own_map(stage, row);
    return call.late_inputs + (call.first + first + row) * shape.features;
  }
  // Where the last map was, unless that is kept.
  float* features_gradient(int64_t row) const { return own_map(shape.n_stages - 1, row); }
  Winners* winners(int stage, int64_t row) const {
    const CnnStage& s = shape.stages[stage];
    return room<Winners>(shape.room.winners[stage]) + row * s.windows * (s.outputs / Floats::lanes);
  }
  // What dense layer `number` reads, rows `inputs` apart.
  float* inputs(int number) const {
    return number == 0 ? map(shape.n_stages - 1, 0) : room<float>(shape.room.hidden[number - 1]);
  }
  float* logits() const { return room<float>(shape.room.logits); }
};

// The zeros around the maps that a second stage reads.
static void clear_borders(const CnnLane& lane, int64_t rows) {
  const CnnStage &stage = lane.shape.stages[0], &next = lane.shape.stages[1];
  const int64_t inner = int64_t(stage.pooled_width) * stage.outputs;
  const int64_t end = stage.out_first + (stage.pooled_height - 1) * int64_t(stage.out_row) + inner;
  for (int64_t r = 0; r < rows; ++r) {
    float* const map = lane.map(0, r);
    for (int64_t j = 0; j < stage.out_first; ++j) map[j] = 0.0f;
    for (int64_t j = end; j < int64_t(next.in_height) * next.in_row; ++j) map[j] = 0.0f;
    for (int y = 0; y + 1 < stage.pooled_height; ++y)
      for (int64_t j = stage.out_first + y * int64_t(stage.out_row) + inner, to = j + stage.out_row - inner; j < to;
           ++j)
        map[j] = 0.0f;
  }
}

static void forward_stages(const CnnLane& lane) {
  const CnnShape& shape = lane.shape;
  for (int64_t r = 0; r < lane.count; ++r) {
    const int64_t next = lane.first + r + 1;
    if (next < lane.call.count) fetch_row(shape, lane.call, lane.call.indices[next]);
    fill_row(shape, lane.call, lane.call.indices[lane.first + r], lane.image(r));
    const float* from = lane.image(r);
    for (int s = 0; s < shape.n_stages; ++s) {
      const CnnStage& stage = shape.stages[s];
      stage_forward(stage, from, lane.call.derived + stage.panels, lane.call.parameters + stage.bias,
                    lane.map(s, r) + stage.out_first, lane.winners(s, r));
      from = lane.map(s, r);
    }
  }
}

static void drop_inputs(const CnnLane& lane, int number) {
  const CnnDense& layer = lane.shape.dense[number];
  const Dropout dropout = dropout_of(layer, lane.call);
  if (!dropout.is_on) return;
  const int last = lane.shape.n_stages - 1;
  for (int64_t r = 0; r < lane.count; ++r) {
    const uint8_t* const keep =
        kept_inputs(layer, number, dropout, lane.call, lane.first + r, lane.room<uint8_t>(lane.shape.room.keep));
    float* const h = lane.inputs(number) + r * layer.inputs;
    if (number == 0)
      drop_features(lane.shape.stages[last], keep, dropout.scale, h, lane.winners(last, r));
    else
      drop_hidden(layer.real_inputs, keep, dropout.scale, h);
  }
}

static void forward_dense(const CnnLane& lane) {
  const float* const p = lane.call.parameters;
  for (int d = 0; d < lane.shape.n_dense; ++d) {
    const CnnDense& layer = lane.shape.dense[d];
    drop_inputs(lane, d);
    const float* const from = lane.inputs(d);
    float* const to = layer.is_last ? lane.logits() : lane.inputs(d + 1);
    if (layer.is_narrow) {
      head_forward(layer, from, layer.inputs, lane.count, p + layer.weight, p + layer.bias, to, layer.outputs,
                   lane.room<float>(lane.shape.room.deltas) + 2 * lane.shape.room.delta_step);
      continue;
    }
    dense_product({lane.count, layer.outputs, layer.inputs, from, layer.inputs, 1, p + layer.weight, layer.outputs, to,
                   layer.outputs, Start::bias, p + layer.bias, layer.is_large ? Streams::b : Streams::none,
                   lane.room<float>(lane.shape.room.products)});
    if (!layer.is_last)
      for (int64_t j = 0; j < lane.count * layer.outputs; j += Floats::lanes)
        store(to + j, greater_of(broadcast(0.0f), load(to + j)));  // a NaN stays
  }
}

static void copy_logits(const CnnLane& lane) {
  const int64_t K = lane.shape.n_classes, step = lane.shape.dense[lane.shape.n_dense - 1].outputs;
  for (int64_t r = 0; r < lane.count; ++r)
    for (int64_t k = 0; k < K; ++k) lane.call.logits[(lane.first + r) * K + k] = lane.logits()[r * step + k];
}

static void lose(const CnnLane& lane, LaneSums* sums) {
  const int64_t K = lane.shape.n_classes, step = lane.shape.dense[lane.shape.n_dense - 1].outputs;
  network_loss({lane.logits(), step, lane.count, K, lane.call.rows, lane.call.indices + lane.first, lane.call.divisor,
                lane.call.label_smoothing, true, lane.room<void>(lane.shape.room.loss)},
               sums);
  for (int64_t r = 0; r < lane.count; ++r)
    for (int64_t k = K; k < step; ++k) lane.logits()[r * step + k] = 0.0f;
}

// Through all dense layers; the gradient of the flattened map lies where the map was.
static void backward_dense(const CnnLane& lane) {
  const float* const p = lane.call.parameters;
  float* const g = lane.call.gradient;
  const float* deltas = lane.logits();
  float* const passed = lane.room<float>(lane.shape.room.deltas) + 2 * lane.shape.room.delta_step;
  for (int d = lane.shape.n_dense - 1; d >= 0; --d) {
    const CnnDense& layer = lane.shape.dense[d];
    const int64_t size = lane.count * layer.inputs;
    float* const h = lane.inputs(d);
    float* back = d == 0 ? lane.features_gradient(0) : h;
    if (layer.is_narrow) {
      if (d > 0) {  // the hidden values are still wanted
        back = lane.room<float>(lane.shape.room.deltas) + (d % 2) * lane.shape.room.delta_step;
        for (int64_t j = 0; j < size; ++j) back[j] = h[j];
      }
      head_backward(layer, deltas, layer.outputs, lane.count, back, layer.inputs, p + layer.weight, g + layer.weight,
                    g + layer.bias, passed);
    } else {
      add_rows(deltas, lane.count, layer.outputs, layer.outputs, g + layer.bias);
      if (d == 0 && lane.call.late_inputs) {
        float* const late = lane.call.late_deltas + (lane.call.first + lane.first) * layer.outputs;
        for (int64_t j = 0; j < lane.count * layer.outputs; ++j) late[j] = deltas[j];
      } else {
        dense_product({layer.inputs, layer.outputs, lane.count, h, 1, layer.inputs, deltas, layer.outputs,
                       g + layer.weight, layer.outputs, Start::kept, nullptr});
      }
      if (d > 0)
        back = lane.room<float>(lane.shape.room.deltas) + (d % 2) * lane.shape.room.delta_step;
      dense_back(lane.count, layer.inputs, layer.outputs, deltas, p + layer.weight, back,
                 lane.room<float>(lane.shape.room.products));
    }
    const float scale = dropout_of(layer, lane.call).scale;
    if (d > 0) {
      const Floats zero = broadcast(0.0f), factor = broadcast(scale);
      for (int64_t j = 0; j < size; j += Floats::lanes)
        store(back + j, keep_where(less(zero, load(h + j)), load(back + j) * factor));
    } else if (scale != 1.0f) {
      scale_all(size, scale, back);
    }
    deltas = back;
  }
}

static void backward_stages(const CnnLane& lane) {
  const CnnShape& shape = lane.shape;
  const float* const p = lane.call.parameters;
  float* const gradient = lane.call.gradient;
  const int last = shape.n_stages - 1;
  for (int64_t r = 0; r < lane.count; ++r) {
    const float* g = lane.features_gradient(r);
    for (int s = last; s > 0; --s) {
      const CnnStage& stage = shape.stages[s];
      const WinnerList list{lane.room<int32_t>(shape.room.winner_channels),
                            lane.room<int32_t>(shape.room.winner_places),
                            lane.room<float>(shape.room.winner_gradients), lane.room<int32_t>(shape.room.starts),
                            lane.room<Entry>(shape.room.sorted)};
      float* const back = lane.room<float>(shape.room.map_gradient);
      list_all_winners(stage, g, lane.winners(s, r), list, gradient + stage.bias);
      const float* const next = lane.map(s - 1, r + 1 < lane.count ? r + 1 : r);
      weight_gradients(stage, lane.map(s - 1, r), next, list, gradient + stage.weight);
      map_gradient(stage, p + stage.weight, list, back);
      g = back;
    }
    const CnnStage& first = shape.stages[0];
    stage_backward_of_pixels(first, lane.image(r), g + first.out_first, lane.winners(0, r), gradient + first.weight,
                             gradient + first.bias, lane.room<float>(shape.room.pairs));
  }
}

static void run_lane(const void* of_shape, const LaneCall& call, LaneSums* sums) {
  const CnnShape& shape = *static_cast<const CnnShape*>(of_shape);
  const int64_t most = shape.room.rows, wanted = call.micro_rows;
  const int64_t at_once = wanted > 0 && wanted < most ? wanted : most;
  if (shape.n_stages > 1) clear_borders({shape, call, 0, 0}, call.count < at_once ? call.count : at_once);
  for (int64_t first = 0; first < call.count; first += at_once) {
    const CnnLane lane{shape, call, first, call.count - first < at_once ? call.count - first : at_once};
    forward_stages(lane);
    forward_dense(lane);
    if (call.logits) copy_logits(lane);
    if (!call.gradient) continue;
    lose(lane, sums);
    backward_dense(lane);
    backward_stages(lane);
  }
}

// Parts: the panels of every stage.
static void refresh(const void* of_shape, const float* parameters, float* derived, int64_t part) {
  const CnnShape& shape = *static_cast<const CnnShape*>(of_shape);
  for (int s = 0; s < shape.n_stages; ++s) {
    const CnnStage& stage = shape.stages[s];
    const int64_t panels = (stage.outputs + panel_channels - 1) / panel_channels;
    const int64_t taps = int64_t(stage.kernel) * stage.kernel * stage.channels;
    if (part < panels)
      return pack_panel(stage, part, parameters + stage.weight, s == 0 ? stage.outputs : 1, s == 0 ? 1 : taps,
                        derived + stage.panels);
    part -= panels;
  }
}

// The gradient of the first dense layer's weight, block by block after all lanes: what a lane has of a block is summed
// where it is used up at once, instead of in a buffer of all weights that every batch and every lane reads and writes.
static void add_late(const void* of_shape, const float* features, const float* deltas, int64_t count, int64_t begin,
                     int64_t size, float* gradient) {
  constexpr int64_t rows_at_once = 128;
  const CnnDense& layer = static_cast<const CnnShape*>(of_shape)->dense[0];
  const int64_t own = size / layer.outputs, first = (begin - layer.weight) / layer.outputs;
  // Features of a row are far from those of the next: copied, while the next block's are fetched.
  alignas(64) float near[rows_at_once * most_late_inputs];
  for (int64_t r = 0; r < count; r += rows_at_once) {
    const int64_t rows = count - r < rows_at_once ? count - r : rows_at_once;
    for (int64_t i = 0; i < rows; ++i) {
      const float* const from = features + (r + i) * layer.inputs + first;
      for (int64_t j = 0; j < own; j += line_floats) fetch_line(from + own + j);
      for (int64_t j = 0; j < own; ++j) near[i * own + j] = from[j];
    }
    dense_product({own, layer.outputs, rows, near, 1, own, deltas + r * layer.outputs, layer.outputs, gradient,
                   layer.outputs, Start::kept, nullptr});
  }
}

extern const NetworkKernels cnn_kernels = {run_lane, refresh, add_late};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
