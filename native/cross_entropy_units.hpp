// The rows of a unit, chunk by chunk: targets and weights first, then blocks or rows of logits, then losses.
#pragma once

#include "cross_entropy.hpp"
#include "cross_entropy_general_row.hpp"
#include "cross_entropy_weights.hpp"
#include "threads.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

void compute_float32_unit(const CrossEntropy& call, int64_t first, int64_t count, CrossEntropySum* sum);
void compute_float64_unit(const CrossEntropy& call, int64_t first, int64_t count, CrossEntropySum* sum);

constexpr int64_t most_side_by_side = 4096;    // classes of rows that lie side by side and are computed so
constexpr int64_t staged_elements = 16384;     // of rows that are copied to scratch at once

// Rows of a chunk that lie evenly in memory; strides in elements.
template <class Real>
struct Run {
  const Real* z;
  int64_t row_stride;
  int64_t class_stride;
  Real* g;  // null: no gradient
  int64_t g_row_stride;
  int64_t g_class_stride;
  int64_t row;  // number of the first
  int64_t count;
};

// How the rows of a call are read.
enum class Path { blocks, side_by_side, rows };

// One thread's view of a call.
template <class Real>
struct Work {
  const CrossEntropy& call;
  Chunk& chunk;
  int64_t first;  // row of the chunk's place 0
  Path path;
  bool is_staged;
  Smoothing smoothing;
  Real* staged;           // rows that are computed elsewhere than they lie
  Vector<Real>* classes;  // a block
  double* shares;         // a block, class by class

  int64_t K() const { return call.layout.n_classes; }
  bool is_general() const { return call.has_shares || call.label_smoothing != 0.0; }
};

template <class Real>
int64_t staged_rows(const CrossEntropy& call) {
  const int64_t rows = staged_elements / (call.layout.n_classes + 1);
  return rows < 1 ? 1 : rows < chunk_rows ? rows : chunk_rows;
}

SOFTCLASS_INLINE BlockRows rows_at(const CrossEntropy& call, Chunk& chunk, int64_t first, int64_t place) {
  const int64_t weights = chunk.is_uniform ? 0 : place;
  return {chunk.picks + place,
          chunk.omega + weights,
          chunk.scale + weights,
          chunk.losses + place,
          call.states ? call.states + 2 * (first + place) : nullptr,
          call.known_states ? call.known_states + 2 * (first + place) : nullptr};
}

// The rows of a block that is not full: what is missing is a gap.
struct PaddedRows {
  alignas(64) int64_t picks[most_lanes];
  double omega[most_lanes], scale[most_lanes], states[2 * most_lanes], known[2 * most_lanes];
};
SOFTCLASS_INLINE BlockRows padded_rows(const BlockRows& rows, bool is_uniform, int count, int lanes, PaddedRows& to) {
  for (int l = 0; l < lanes; ++l) {
    const int weight = is_uniform ? 0 : l;
    to.picks[l] = l < count ? rows.picks[l] : -1;
    to.omega[l] = l < count ? rows.omega[weight] : 0.0;
    to.scale[l] = l < count ? rows.scale[weight] : 0.0;
    for (int i = 2 * l; i < 2 * l + 2; ++i) to.known[i] = l < count && rows.known ? rows.known[i] : 0.0;
  }
  return {to.picks, to.omega, to.scale, rows.losses, rows.states ? to.states : nullptr,
          rows.known ? to.known : nullptr};
}

// The shares of a block, class by class. Those of rows that are not there are zeros.
template <class Real>
void gather_shares(const Work<Real>& work, int64_t row, int count, const double* omega) {
  constexpr int lanes = lanes_of<Real>, at_once = 256;
  double q[at_once];
  for (int l = 0; l < lanes; ++l) {
    const bool is_there = l < count && omega[l] != 0.0;
    for (int64_t begin = 0; begin < work.K(); begin += at_once) {
      const int64_t left = work.K() - begin, size = left < at_once ? left : at_once;
      if (is_there) read_classes(work.call.layout, CrossEntropy::shares, row + l, begin, size, q);
      for (int64_t c = 0; c < size; ++c) work.shares[(begin + c) * lanes + l] = is_there ? q[c] : 0.0;
    }
  }
}

// One block, from the chunk's `place` on; `count` of its lanes are rows.
template <Wanted wanted, class Real, class Tile>
void compute_block(const Work<Real>& work, const Tile& tile, int64_t place, int count) {
  constexpr int lanes = lanes_of<Real>;
  const BlockRows direct = rows_at(work.call, work.chunk, work.first, place);
  PaddedRows padding;
  const bool is_full = count == lanes;
  const BlockRows rows = is_full ? direct : padded_rows(direct, work.chunk.is_uniform, count, lanes, padding);
  const bool has_gaps = work.chunk.has_gaps || !is_full;
  const int K = int(work.K());
  if (work.is_general()) {
    if (work.call.has_shares) gather_shares(work, work.first + place, count, rows.omega);
    general_block<wanted>(tile, K, has_gaps, rows, work.smoothing, work.call.has_shares ? work.shares : nullptr,
                          work.classes);
  } else {
    careful_block<wanted>(tile, K, has_gaps, rows, work.classes);
  }
  if (!is_full && direct.states)
    for (int i = 0; i < 2 * count; ++i) direct.states[i] = padding.states[i];
}

// Blocks of few classes. The last ones, behind which nothing may be read, are computed in scratch.
template <Wanted wanted, class Real>
void run_of_blocks(const Work<Real>& work, const Run<Real>& run) {
  constexpr int lanes = lanes_of<Real>;
  const int K = int(work.K());
  const int64_t place = run.row - work.first, follow = run.row_stride >= padded<Real>(K) ? 1 : over_read<Real>;
  const int64_t blocks = run.row_stride > 0 && run.count > follow ? (run.count - follow) / lanes : 0;
  RowTile<Real> tile{run.z, run.row_stride, run.g, run.g_row_stride};
  int64_t done = 0;
  if (!work.is_general() && !work.chunk.has_gaps) {
    blocks_of<Real, wanted>(K)(tile, K, blocks, rows_at(work.call, work.chunk, work.first, place), work.chunk.is_uniform);
    done = blocks * lanes;
  } else {
    for (; done < blocks * lanes; done += lanes, tile = next(tile)) compute_block<wanted>(work, tile, place + done, lanes);
  }
  for (; done < run.count; done += lanes) {
    alignas(64) Real staged[block_scratch<Real>];
    const int count = int(run.count - done < lanes ? run.count - done : lanes);
    stage_block(run.z + done * run.row_stride, run.row_stride, count, K, staged);
    compute_block<wanted>(work, RowTile<Real>{staged, K, staged, K}, place + done, count);
    if constexpr (wanted != Wanted::value) copy_rows(staged, K, run.g + done * run.g_row_stride, run.g_row_stride, count, K);
  }
}

template <Wanted wanted, class Real>
void run_side_by_side(const Work<Real>& work, const Run<Real>& run) {
  constexpr int lanes = lanes_of<Real>;
  for (int64_t done = 0; done < run.count; done += lanes) {
    const int count = int(run.count - done < lanes ? run.count - done : lanes);
    const ColumnTile<Real> tile{run.z + done, run.class_stride, run.g + done, run.g_class_stride, count};
    compute_block<wanted>(work, tile, run.row - work.first + done, count);
  }
}

template <Wanted wanted, class Real>
RowLoss compute_row(const Work<Real>& work, const Real* z, Real* g, int64_t row, const Real* ahead) {
  const Chunk& chunk = work.chunk;
  const int64_t place = row - work.first, weight = chunk.is_uniform ? 0 : place, K = work.K();
  const double* known = work.call.known_states ? work.call.known_states + 2 * row : nullptr;
  if (chunk.picks[place] < 0) {
    const bool is_gap = chunk.omega[weight] == 0.0;
    if (wanted != Wanted::value) fill_row(g, K, is_gap ? Real(0) : not_a_number<Real>());
    return is_gap ? RowLoss{0.0, 0.0, 0.0, 0.0, 1.0} : unknown_loss(__builtin_nan(""));
  }
  if (work.is_general())
    return shares_row<wanted>(z, K, RowShares{work.call, row, work.smoothing}, chunk.scale[weight], g, known, ahead);
  return index_row<wanted>(z, K, chunk.picks[place], chunk.scale[weight], g, known, ahead);
}

template <Wanted wanted, class Real>
void run_of_rows(const Work<Real>& work, const Run<Real>& run) {
  for (int64_t i = 0; i < run.count; ++i) {
    const int64_t row = run.row + i, place = row - work.first;
    const Real* z = run.z + i * run.row_stride;
    const RowLoss loss = compute_row<wanted>(work, z, wanted == Wanted::value ? nullptr : run.g + i * run.g_row_stride,
                                             row, i + 1 < run.count ? z + run.row_stride : z);
    work.chunk.losses[place] = loss.s1;
    work.chunk.depths[place] = loss.depth;
    work.chunk.corrections[place] = loss.correction;
    work.chunk.totals[place] = loss.total;
    if (work.call.states) {
      work.call.states[2 * row] = loss.maximum;
      work.call.states[2 * row + 1] = loss.s1;
    }
  }
}

// log(1 + s) total - depth + correction; where the result is a double, rounded little more than once.
SOFTCLASS_INLINE Doubles row_loss(float, Doubles s, Doubles total, Doubles depth, Doubles correction) {
  return (log1p_for_float(s) * total - depth) + correction;
}
SOFTCLASS_INLINE Doubles row_loss(double, Doubles s, Doubles total, Doubles depth, Doubles correction) {
  const LogPair log = log1p_pair(s, broadcast(0.0));
  const Difference<Doubles> sum = difference(log.high * total, depth);
  const DoubleMask is_finite = equal(sum.value - sum.value, broadcast(0.0));
  return sum.value + add_where(is_finite, correction, fma(log.low, total, sum.error));
}

// Losses of rows from what run_of_rows has left.
template <class Real>
void row_losses(Chunk& chunk, int64_t count) {
  for (int64_t i = 0; i < count; i += Doubles::lanes) {
    const Doubles omega = chunk.is_uniform ? broadcast(chunk.omega[0]) : load(chunk.omega + i);
    const Doubles loss = row_loss(Real(0), load(chunk.losses + i), load(chunk.totals + i), load(chunk.depths + i),
                                  load(chunk.corrections + i));
    store(chunk.losses + i, omega * loss);
  }
}

template <Wanted wanted, class Real>
void compute_run(const Work<Real>& work, const Run<Real>& run) {
  switch (work.path) {
    case Path::blocks: return run_of_blocks<wanted>(work, run);
    case Path::side_by_side: return run_side_by_side<wanted>(work, run);
    case Path::rows: return run_of_rows<wanted>(work, run);
  }
}

// Rows that lie evenly where they are.
template <Wanted wanted, class Real>
void compute_direct(const Work<Real>& work, int64_t row, int64_t count) {
  const Layout& layout = work.call.layout;
  const Axis &rows = layout.last_rows(), &classes = layout.classes[0];
  const auto in_elements = [](int64_t bytes) { return bytes / int64_t(sizeof(Real)); };
  constexpr int z = CrossEntropy::logits, g = CrossEntropy::gradient;
  for (const int64_t end = row + count; row < end;) {
    const int64_t left = rows.length - row % rows.length, size = left < end - row ? left : end - row;
    compute_run<wanted>(
        work, Run<Real>{reinterpret_cast<const Real*>(row_of(layout, z, row)), in_elements(rows.strides[z]),
                        in_elements(classes.strides[z]),
                        wanted == Wanted::value ? nullptr : reinterpret_cast<Real*>(row_of(layout, g, row)),
                        in_elements(rows.strides[g]), in_elements(classes.strides[g]), row, size});
    row += size;
  }
}
template <Wanted wanted, class Real>
void compute_staged(const Work<Real>& work, int64_t row, int64_t count) {
  const int64_t K = work.K(), at_once = staged_rows<Real>(work.call);
  for (const int64_t end = row + count; row < end;) {
    const int64_t size = at_once < end - row ? at_once : end - row;
    read_rows(work.call.layout, CrossEntropy::logits, row, size, work.staged);
    compute_run<wanted>(work, Run<Real>{work.staged, K, 1, work.staged, K, 1, row, size});
    if (wanted != Wanted::value) write_rows(work.call.layout, CrossEntropy::gradient, row, size, work.staged);
    row += size;
  }
}

template <Wanted wanted, class Real>
void compute_chunk(const Work<Real>& work, int64_t count) {
  if (work.is_staged)
    compute_staged<wanted>(work, work.first, count);
  else
    compute_direct<wanted>(work, work.first, count);
  if (wanted != Wanted::gradient && work.path == Path::rows) row_losses<Real>(work.chunk, count);
}

template <class Real>
bool lies_side_by_side(const Layout& layout, int operand) {
  return layout.last_rows().strides[operand] == int64_t(sizeof(Real)) && layout.last_rows().length > 1;
}

template <class Real>
bool has_own_type(const Layout& layout) {
  return layout.is_aligned && size_of(layout.element[CrossEntropy::logits]) == sizeof(Real);
}

template <class Real>
void choose_path(Work<Real>& work) {
  const Layout& layout = work.call.layout;
  const int operands = work.call.has_gradient ? 2 : 1;
  bool unit = has_own_type<Real>(layout), side_by_side = unit && work.K() <= most_side_by_side;
  for (int o = 0; o < operands; ++o) {
    unit = unit && layout.has_unit_classes(o);
    side_by_side = side_by_side && lies_side_by_side<Real>(layout, o);
  }
  work.is_staged = !unit && !side_by_side;
  work.path = side_by_side && !unit ? Path::side_by_side : work.K() <= most_vertical ? Path::blocks : Path::rows;
}

// Memory of this thread for a call: a chunk, and what the path needs. False if there is none to be had.
template <class Real>
bool find_room(Work<Real>& work) {
  const int64_t K = work.K(), at_a_time = work.path == Path::rows ? 0 : padded<Real>(int(K));
  const int64_t blocks = at_a_time * lanes_of<Real> * int64_t(sizeof(Real));
  const int64_t shares = work.call.has_shares ? at_a_time * lanes_of<Real> * int64_t(sizeof(double)) : 0;
  const int64_t staged = work.is_staged ? (staged_rows<Real>(work.call) * K + over_read<Real>) * int64_t(sizeof(Real)) : 0;
  char* memory = static_cast<char*>(scratch(1, blocks + shares + staged + 64));
  work.classes = reinterpret_cast<Vector<Real>*>(memory);
  work.shares = reinterpret_cast<double*>(memory + blocks);
  work.staged = reinterpret_cast<Real*>(memory + blocks + shares);
  return memory;
}

// Rows whose targets are weighed before their logits are read; fewer where the targets are as large as the logits.
SOFTCLASS_INLINE int64_t rows_of_chunk(const CrossEntropy& call) {
  if (!call.has_shares) return chunk_rows;
  const int64_t rows = 32768 / (call.layout.n_classes + 1) / sum_lanes * sum_lanes;
  return rows < sum_lanes ? sum_lanes : rows < chunk_rows ? rows : chunk_rows;
}

template <class Real>
void compute_unit(const CrossEntropy& call, int64_t first, int64_t count, CrossEntropySum* sum) {
  Chunk* chunk = static_cast<Chunk*>(scratch(0, sizeof(Chunk)));
  if (!chunk) return;
  const double share = call.label_smoothing / double(call.layout.n_classes);
  Work<Real> work{call, *chunk, first, Path::rows, false, {1.0 - call.label_smoothing, share}, nullptr, nullptr, nullptr};
  choose_path(work);
  if (!find_room(work)) return;
  LaneSums losses, weights;
  clear(losses);
  clear(weights);
  const int64_t at_once = rows_of_chunk(call);
  for (int64_t done = 0; done < count; done += at_once) {
    const int64_t size = count - done < at_once ? count - done : at_once;
    work.first = first + done;
    weigh(call, work.first, size, *chunk, *sum);
    if (call.known_states) {
      compute_chunk<Wanted::gradient>(work, size);
      continue;
    }
    if (call.has_gradient)
      compute_chunk<Wanted::both>(work, size);
    else
      compute_chunk<Wanted::value>(work, size);
    if (call.losses)
      for (int64_t i = 0; i < size; ++i) call.losses[work.first + i] = chunk->losses[i];
    add_all(losses, chunk->losses, size);
    add_weights(call, *chunk, size, weights);
  }
  total_of(losses, sum->loss, sum->loss_low);
  total_of(weights, sum->weight, sum->weight_low);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
