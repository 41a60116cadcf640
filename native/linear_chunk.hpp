// Many classes: a chunk of rows meets a tile of classes. Sizes and memory of the method; what is done with them stands
// in linear_phases.hpp.
//
// The exponentials of a chunk times a tile are kept, class by class, a row a lane; everything else is as large as a
// block of classes or as the rows. Blocks of classes are the tasks of the threads. No size depends on the number of
// threads.
#pragma once

#include "linear_finish.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int64_t memory_limit = int64_t(52) << 20;  // of one call; threads have about a megabyte each besides
constexpr int64_t pack_rows = 48;                    // whole panels of every target
constexpr int64_t least_chunk = 32;  // rows: with fewer, reading the weight costs more than making the logits twice
constexpr int64_t most_block = 128;  // classes
constexpr int64_t blocks_of_merge = 512;  // states of blocks that are kept before they are merged

struct ChunkSizes {
  int64_t chunk_rows;                   // a multiple of row_unit
  int64_t block_classes, tile_classes;  // a tile is a multiple of a block, or all classes
  int64_t features_step;                // D in 16 bytes
  int64_t n_slabs;                      // partial sums of the gradient of the features
  int64_t n_logits;                     // kinds of logits: those and, for a Hessian, their tangents
  bool in_one_sweep;                    // all classes are one tile: logits are made once
  bool sums_all_weights;                // 16-bit gradients of the weight are summed in one K x D array of floats
};

SOFTCLASS_INLINE bool is_half(const LinearLoss& call) {
  return call.weight.element == Element::float16 || call.weight.element == Element::bfloat16;
}

SOFTCLASS_INLINE bool has_gradient(const LinearLoss& call) {
  return call.weight_gradient || call.bias_gradient || call.features_gradient;
}

// Bytes that a row of a chunk takes when `tile` classes of it are kept.
template <class Real>
static int64_t bytes_of_row(const LinearLoss& call, const ChunkSizes& s, int64_t tile) {
  const int64_t n_blocks = (tile + s.block_classes - 1) / s.block_classes;
  const int64_t numbers = tile * s.n_logits + (2 + (call.features_gradient ? s.n_slabs : 0)) * call.n_features;
  return numbers * int64_t(sizeof(Real)) + 8 * (n_blocks + 6 * least(n_blocks, blocks_of_merge)) + 160;
}

// Rows that a thread copies: of the features while they are packed, of a weight that cannot be read where it lies.
template <class Real>
static int64_t rows_of_scratch(const LinearLoss& call, const ChunkSizes& s) {
  const bool is_plain =
      has_plain_rows<Real>(call.weight) && (!call.weight_tangent.data || has_plain_rows<Real>(call.weight_tangent));
  return is_plain ? pack_rows : most(s.block_classes, pack_rows);
}

template <class Real>
static ChunkSizes chunk_sizes(const LinearLoss& call) {
  const int64_t K = call.n_classes, D = call.n_features;
  ChunkSizes s = {};
  s.block_classes = K < 2048 ? 64 : most_block;
  s.features_step = rounded_up(D, 16 / int64_t(sizeof(Real)));
  s.n_slabs = least((K + s.block_classes - 1) / s.block_classes, K < 8192 ? 4 : 8);
  s.n_logits = call.weight_tangent.data ? 2 : 1;
  const int64_t sums = is_half(call) && call.weight_gradient ? 4 * K * (D + 1) : 0;
  s.sums_all_weights = sums > 0 && sums <= memory_limit / 2;
  // Scratch that grows with D counts for two threads.
  const int64_t of_thread = s.features_step * int64_t(sizeof(Real)) *
                            (rows_of_scratch<Real>(call, s) + (call.features_gradient ? s.block_classes : 0));
  const int64_t limit =
      most(memory_limit / 4, memory_limit - (s.sums_all_weights ? sums : 0) - call.n_rows / 8 - 2 * of_thread);
  // Enough rows to pay for reading and writing the gradient of the weight, no more than stay in cache.
  const int64_t wanted = most(384, least(1024, (int64_t(8) << 20) / (K * int64_t(sizeof(Real)))));
  const int64_t fitting = limit / bytes_of_row<Real>(call, s, K);
  s.in_one_sweep = !has_gradient(call) || fitting >= least(least_chunk, call.n_rows);
  if (sums > 0 && !s.sums_all_weights) s.in_one_sweep = false;
  s.tile_classes = K;
  if (!has_gradient(call)) {
    s.tile_classes = 0;
  } else if (!s.in_one_sweep) {
    const int64_t own = 8 + (is_half(call) ? 4 * D : 0);  // sums of the gradient of a class
    int64_t tile = limit / (2 * (wanted * int64_t(sizeof(Real)) * s.n_logits + own));
    s.tile_classes = least(K, most(s.block_classes, tile / s.block_classes * s.block_classes));
  }
  const int64_t rest = limit - s.tile_classes * (8 + (is_half(call) && !s.in_one_sweep ? 4 * D : 0));
  int64_t rows = most(row_unit, least(wanted, rest / bytes_of_row<Real>(call, s, s.tile_classes)));
  rows = rows / row_unit * row_unit;
  const int64_t n_chunks = most(1, (call.n_rows + rows - 1) / rows);
  s.chunk_rows = most(row_unit, least(rows, rounded_up((call.n_rows + n_chunks - 1) / n_chunks, row_unit)));
  return s;
}

// Memory of a call.
template <class Real>
struct ChunkMemory {
  ActiveRows active;
  Real* transposed;    // features of the chunk, in panels of rows
  Real* features;      // in panels of columns
  Real* logits[2];     // and then exponentials; tangents
  Real* slabs;         // n_slabs x rows x D
  Real* weight_sums;   // of 16-bit gradients: all classes or a tile
  double* bias_sums;   // one a class of the tile
  double* all_maxima;  // of every block of the tile
  BlockState blocks;   // of blocks_of_merge blocks; their maxima are in all_maxima
  BlockState state;    // of the rows of the chunk
  FinishedRows<Real> rows;
  double* losses;
  double* parts;
  double* known[5];  // of all rows, between sweeps: maximum, rest, mass, centre, deviation
};

SOFTCLASS_INLINE BlockState block_state(const LinearLoss& call, int64_t count, Pieces& pieces) {
  BlockState s = {};
  s.maximum = pieces.take<double>(count);
  s.rest = pieces.take<double>(count);
  if (call.label_smoothing > 0.0) s.spread = pieces.take<double>(count);
  if (!call.indices) {
    s.mean = pieces.take<double>(count);
    s.mass = pieces.take<double>(count);
  }
  if (call.weight_tangent.data) {
    s.centre = pieces.take<double>(count);
    s.deviation = pieces.take<double>(count);
  }
  return s;
}

template <class Real>
static ChunkMemory<Real> chunk_memory(const LinearLoss& call, const ChunkSizes& s, Pieces& pieces) {
  const int64_t M = s.chunk_rows, packed = rounded_up(M, pack_rows), K = call.n_classes, D = call.n_features,
                width = panel_width<Real>;
  const int64_t n_blocks = (K + s.block_classes - 1) / s.block_classes;
  ChunkMemory<Real> m = {};
  m.active = {0, pieces.take<int64_t>(M), pieces.take<int64_t>(M), pieces.take<double>(M)};
  m.transposed = pieces.take<Real>(packed * s.features_step);
  m.features = pieces.take<Real>(call.weight_gradient ? packed * rounded_up(D, width) : 0);
  for (int64_t i = 0; i < s.n_logits; ++i) m.logits[i] = pieces.take<Real>(s.tile_classes * M);
  m.slabs = pieces.take<Real>(call.features_gradient ? s.n_slabs * M * D : 0);
  if (is_half(call) && call.weight_gradient)
    m.weight_sums = pieces.take<Real>((s.sums_all_weights ? K : s.tile_classes) * D);
  m.bias_sums = pieces.take<double>(call.bias_gradient ? s.tile_classes : 0);
  m.all_maxima = pieces.take<double>(most(least(n_blocks, blocks_of_merge), s.tile_classes / s.block_classes + 1) * M);
  m.blocks = block_state(call, least(n_blocks, blocks_of_merge) * M, pieces);
  m.state = block_state(call, M, pieces);
  m.rows.maximum = m.state.maximum;
  m.rows.centre = m.state.centre;
  m.rows.target_logit = pieces.take<double>(M);
  if (call.weight_tangent.data) m.rows.average = pieces.take<double>(M);
  m.rows.factor = pieces.take<Real>(M);
  m.rows.complement = pieces.take<Real>(M);
  m.rows.share = pieces.take<Real>(M);
  m.rows.mass = pieces.take<Real>(M);
  m.losses = pieces.take<double>(M);
  m.parts = pieces.take<double>(4 * n_sums(call));
  const bool kept[5] = {true, true, !call.indices, s.n_logits > 1, s.n_logits > 1};
  for (int i = 0; i < 5 && !s.in_one_sweep; ++i)
    if (kept[i]) m.known[i] = pieces.take<double>(call.n_rows);
  return m;
}

// Memory of a thread.
template <class Real>
struct ChunkScratch {
  Real* rows;       // of the weight, or of the features while they are packed
  Real* panels;     // of the weight
  Real* logits[2];  // of a block, if they are not kept
  Real* gradient;   // of a block
  Real* shares;
};
template <class Real>
static ChunkScratch<Real> chunk_scratch(const LinearLoss& call, const ChunkSizes& s, Pieces& pieces) {
  const int64_t tile = s.block_classes * s.chunk_rows;
  ChunkScratch<Real> t = {};
  t.rows = pieces.take<Real>(rows_of_scratch<Real>(call, s) * s.features_step);
  t.panels =
      pieces.take<Real>(call.features_gradient ? s.block_classes * rounded_up(call.n_features, panel_width<Real>) : 0);
  for (int64_t i = 0; i < s.n_logits; ++i)
    t.logits[i] = pieces.take<Real>(has_gradient(call) && s.in_one_sweep ? 0 : tile);
  t.gradient = pieces.take<Real>(tile);
  t.shares = pieces.take<Real>(call.indices ? 0 : tile);
  return t;
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
