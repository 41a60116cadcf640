// The rows of a unit, chunk by chunk: targets and weights first, then blocks or rows of logits, then losses.
#include "cross_entropy.hpp"
#include "cross_entropy_row.hpp"
#include "cross_entropy_tiles.hpp"
#include "cross_entropy_weights.hpp"
#include "threads.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

// Rows of one chunk that lie evenly in memory, with classes one after the other or side by side; strides in elements.
template <class Real>
struct Run {
  const Real* z;
  int64_t row_stride;
  int64_t class_stride;
  Real* g;  // null: no gradient
  int64_t g_row_stride;
  int64_t g_class_stride;
  int64_t K;
  int64_t count;
};

template <class Real>
BlockRows block_rows(Chunk& chunk, int64_t place, double* states) {
  const int64_t weights = chunk.is_uniform ? 0 : place;
  return {chunk.picks + place, chunk.omega + weights, chunk.scale + weights, chunk.losses + place,
          states ? states + 2 * place : nullptr};
}

// The last block: fewer rows than lanes, or so near to the end of memory that nothing behind a row may be read. It is
// computed in scratch.
template <class Real>
void last_block(const Run<Real>& run, int64_t done, int count, Chunk& chunk, int64_t place, double* states) {
  constexpr int lanes = lanes_of<Real>;
  const int K = int(run.K);
  alignas(64) Real staged[block_scratch<Real>];
  alignas(64) int64_t picks[most_lanes];
  double omega[most_lanes], scale[most_lanes], losses[most_lanes], ends[2 * most_lanes];
  stage_block(run.z + done * run.row_stride, run.row_stride, count, K, staged);
  for (int l = 0; l < lanes; ++l) {
    const int64_t weight = chunk.is_uniform ? 0 : place + l;
    picks[l] = l < count ? chunk.picks[place + l] : -1;
    omega[l] = l < count ? chunk.omega[weight] : 0.0;
    scale[l] = l < count ? chunk.scale[weight] : 0.0;
  }
  const RowTile<Real> tile{staged, K, staged, K};
  Vector<Real> z[padded<Real>(most_vertical)];
  const BlockRows rows{picks, omega, scale, losses, states ? ends : nullptr};
  if (run.g)
    careful_block<true>(tile, K, chunk.has_gaps, rows, z);
  else
    careful_block<false>(tile, K, chunk.has_gaps, rows, z);
  for (int l = 0; l < count; ++l) chunk.losses[place + l] = losses[l];
  if (states)
    for (int l = 0; l < 2 * count; ++l) states[2 * place + l] = ends[l];
  if (run.g) copy_rows(staged, K, run.g + done * run.g_row_stride, run.g_row_stride, count, K);
}

template <class Real>
void vertical_run(const Run<Real>& run, Chunk& chunk, int64_t place, double* states) {
  constexpr int lanes = lanes_of<Real>;
  const int K = int(run.K);
  // So many rows must follow a block that is read in place.
  const int64_t follow = run.row_stride >= padded<Real>(K) ? 1 : over_read<Real>;
  int64_t blocks = run.row_stride > 0 && run.count > follow ? (run.count - follow) / lanes : 0;
  const RowTile<Real> tile{run.z, run.row_stride, run.g, run.g_row_stride};
  const BlockRows rows = block_rows<Real>(chunk, place, states);
  int64_t done = 0;
  if (!chunk.has_gaps) {
    (run.g ? blocks_of<Real, true>(K) : blocks_of<Real, false>(K))(tile, K, blocks, rows, chunk.is_uniform);
    done = blocks * lanes;
  }
  for (; done < run.count; done += lanes) {
    const int64_t left = run.count - done;
    last_block(run, done, int(left < lanes ? left : lanes), chunk, place + done, states);
  }
}

template <class Real>
void row_run(const Run<Real>& run, Chunk& chunk, int64_t place, double* states) {
  for (int64_t i = 0; i < run.count; ++i) {
    const int64_t at = place + i, weight = chunk.is_uniform ? 0 : at;
    const Real* z = run.z + i * run.row_stride;
    Real* g = run.g ? run.g + i * run.g_row_stride : nullptr;
    RowLoss row{-__builtin_inf(), -1.0, 0.0, 0.0};
    if (chunk.omega[weight] == 0.0) {
      if (g) fill_row(g, run.K, Real(0));
      row.s1 = 0.0;
    } else if (chunk.picks[at] < 0) {
      if (g) fill_row(g, run.K, Real(nan_value()));
      row = unknown_loss();
    } else {
      row = index_row(z, run.K, chunk.picks[at], chunk.scale[weight], g, i + 1 < run.count ? z + run.row_stride : z);
    }
    chunk.losses[at] = row.s1;
    chunk.depths[at] = row.depth;
    chunk.corrections[at] = row.correction;
    if (states) {
      states[2 * at] = row.maximum;
      states[2 * at + 1] = row.s1;
    }
  }
}

SOFTCLASS_INLINE Doubles log1p_for(float, Doubles s) { return log1p_for_float(s); }
SOFTCLASS_INLINE Doubles log1p_for(double, Doubles s) { return log1p_for_double(s); }

// Losses of rows from what row_run has left.
template <class Real>
void row_losses(Chunk& chunk, int64_t count) {
  for (int64_t i = 0; i < count; i += Doubles::lanes) {
    const Doubles omega = chunk.is_uniform ? broadcast(chunk.omega[0]) : load(chunk.omega + i);
    const Doubles log = log1p_for(Real(0), load(chunk.losses + i));
    store(chunk.losses + i, omega * ((log - load(chunk.depths + i)) + load(chunk.corrections + i)));
  }
}

template <class Real>
Run<Real> run_from(const CrossEntropy& call, int64_t row, int64_t count) {
  const Layout& layout = call.layout;
  const auto in_elements = [](int64_t bytes) { return bytes / int64_t(sizeof(Real)); };
  const Axis &rows = layout.last_rows(), &classes = layout.classes[0];
  const int z = CrossEntropy::logits, g = CrossEntropy::gradient;
  return {reinterpret_cast<const Real*>(row_of(layout, z, row)), in_elements(rows.strides[z]), in_elements(classes.strides[z]),
          call.has_gradient ? reinterpret_cast<Real*>(row_of(layout, g, row)) : nullptr, in_elements(rows.strides[g]),
          in_elements(classes.strides[g]), layout.n_classes, count};
}

template <class Real>
void index_chunk(const CrossEntropy& call, int64_t first, int64_t count, Chunk& chunk) {
  const int64_t length = call.layout.last_rows().length;
  double* states = call.states ? call.states + 2 * first : nullptr;
  const bool is_vertical = call.layout.n_classes <= most_vertical;
  for (int64_t place = 0; place < count;) {
    const int64_t left = length - (first + place) % length, size = left < count - place ? left : count - place;
    const Run<Real> run = run_from<Real>(call, first + place, size);
    if (is_vertical)
      vertical_run(run, chunk, place, states);
    else
      row_run(run, chunk, place, states);
    place += size;
  }
  if (!is_vertical) row_losses<Real>(chunk, count);
}

void rows_of_unit(const CrossEntropy& call, int64_t first, int64_t count, CrossEntropySum* sum) {
  Chunk* chunk = static_cast<Chunk*>(scratch(0, sizeof(Chunk)));
  LaneSums losses, weights;
  clear(losses);
  clear(weights);
  for (int64_t done = 0; done < count; done += chunk_rows) {
    const int64_t size = count - done < chunk_rows ? count - done : chunk_rows;
    weigh_indices(call, first + done, size, *chunk, *sum);
    if (call.layout.element[0] == Element::float64)
      index_chunk<double>(call, first + done, size, *chunk);
    else
      index_chunk<float>(call, first + done, size, *chunk);
    if (call.losses)
      for (int64_t i = 0; i < size; ++i) call.losses[first + done + i] = chunk->losses[i];
    add_all(losses, chunk->losses, size);
    add_weights(call, *chunk, size, weights);
  }
  total_of(losses, sum->loss, sum->loss_low);
  total_of(weights, sum->weight, sum->weight_low);
}

void weights_of_unit(const CrossEntropy& call, int64_t first, int64_t count, CrossEntropySum* sum) {
  Chunk* chunk = static_cast<Chunk*>(scratch(0, sizeof(Chunk)));
  LaneSums weights;
  clear(weights);
  for (int64_t done = 0; done < count; done += chunk_rows) {
    const int64_t size = count - done < chunk_rows ? count - done : chunk_rows;
    weigh_indices(call, first + done, size, *chunk, *sum);
    add_weights(call, *chunk, size, weights);
  }
  total_of(weights, sum->weight, sum->weight_low);
}

}  // namespace

const CrossEntropyTable cross_entropy_table{rows_of_unit, weights_of_unit};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
