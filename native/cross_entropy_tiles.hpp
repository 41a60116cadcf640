// Blocks of rows where they lie: one after the other, or side by side. A tile knows how a block of `lanes` rows becomes
// one vector a class, and how the gradient goes back.
#pragma once

#include "cross_entropy_vertical.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// The classes of a row lie one after the other.
template <class R>
struct RowTile {
  using Real = R;
  const Real* z;
  int64_t stride;
  Real* g;
  int64_t g_stride;
};
template <int K, class Real>
SOFTCLASS_INLINE void load_tile(const RowTile<Real>& tile, Vector<Real>* classes) {
  load_block<K>(tile.z, tile.stride, classes);
}
template <class Real>
SOFTCLASS_INLINE void load_tile(const RowTile<Real>& tile, int K, Vector<Real>* classes) {
  load_block(tile.z, tile.stride, K, classes);
}
template <int K, class Real>
SOFTCLASS_INLINE void store_tile(const RowTile<Real>& tile, const Vector<Real>* classes) {
  store_block<K>(classes, tile.g, tile.g_stride);
}
template <class Real>
SOFTCLASS_INLINE void store_tile(const RowTile<Real>& tile, int K, const Vector<Real>* classes) {
  store_block(classes, tile.g, tile.g_stride, K);
}
template <class Real>
SOFTCLASS_INLINE RowTile<Real> next(const RowTile<Real>& tile) {
  return {tile.z + lanes_of<Real> * tile.stride, tile.stride, tile.g + lanes_of<Real> * tile.g_stride, tile.g_stride};
}

// The rows lie side by side, their classes `stride` apart; `count` of the lanes are rows.
template <class R>
struct ColumnTile {
  using Real = R;
  const Real* z;
  int64_t stride;
  Real* g;
  int64_t g_stride;
  int count;
};
template <class Real>
SOFTCLASS_INLINE void load_tile(const ColumnTile<Real>& tile, int K, Vector<Real>* classes) {
  if (tile.count == lanes_of<Real>)
    for (int c = 0; c < K; ++c) classes[c] = load(tile.z + c * tile.stride);
  else
    for (int c = 0; c < K; ++c) classes[c] = load_first(tile.z + c * tile.stride, tile.count, zero_of<Vector<Real>>());
}
template <class Real>
SOFTCLASS_INLINE void store_tile(const ColumnTile<Real>& tile, int K, const Vector<Real>* classes) {
  if (tile.count == lanes_of<Real>)
    for (int c = 0; c < K; ++c) store(tile.g + c * tile.g_stride, classes[c]);
  else
    for (int c = 0; c < K; ++c) store_first(tile.g + c * tile.g_stride, classes[c], tile.count);
}

// Lanes that are not there become zeros, whatever their bytes were.
template <class V>
static void clear_gaps(V* z, int K, const double* omega) {
  decltype(first(V{})) is_there[V::lanes];
  for (int l = 0; l < V::lanes; ++l) is_there[l] = omega[l] == 0.0 ? 0 : 1;
  const auto gap = equal(load(is_there), zero_of<V>());
  for (int c = 0; c < K; ++c) z[c] = zero_where(gap, z[c]);
}

// Brings a block that may have gaps and infinities into a form that any kernel can take; returns the maxima to subtract
// and, in `raw`, those of the logits as they are.
template <Wanted wanted, class V>
SOFTCLASS_INLINE V prepared(V* z, int K, bool has_gaps, const BlockRows& rows, V& raw) {
  if (has_gaps) clear_gaps(z, K, rows.omega);
  if constexpr (wanted == Wanted::gradient)
    raw = known_state<V>(rows).m;
  else
    raw = block_maximum(z, K);
  return all_finite(raw) ? raw : tamed(z, K, raw);
}

// Any block with class indices. `z` is memory for K classes.
template <Wanted wanted, class Tile>
static void careful_block(const Tile& tile, int K, bool has_gaps, const BlockRows& rows, Vector<typename Tile::Real>* z) {
  load_tile(tile, K, z);
  Vector<typename Tile::Real> raw;
  const auto m = prepared<wanted>(z, K, has_gaps, rows, raw);
  index_block<wanted>(z, K, m, raw, rows);
  if constexpr (wanted != Wanted::value) store_tile(tile, K, z);
}

SOFTCLASS_INLINE BlockRows next(const BlockRows& rows, int lanes, bool is_uniform) {
  const int step = is_uniform ? 0 : lanes;
  return {rows.picks + lanes,
          rows.omega + step,
          rows.scale + step,
          rows.losses + lanes,
          rows.states ? rows.states + 2 * lanes : nullptr,
          rows.known ? rows.known + 2 * lanes : nullptr};
}

// `count` blocks of rows that are all there, K classes in registers.
template <class Real, int K, Wanted wanted>
static void unrolled_blocks(RowTile<Real> tile, int, int64_t count, BlockRows rows, bool is_uniform) {
  for (int64_t b = 0; b < count; ++b) {
    Vector<Real> z[padded<Real>(K)];
    load_tile<K>(tile, z);
    const Vector<Real> m = block_maximum(z, K);
    if (all_finite(m)) {
      index_block<wanted>(z, K, m, m, rows);
      if constexpr (wanted != Wanted::value) store_tile<K>(tile, z);
    } else {
      Vector<Real> memory[padded<Real>(K)];
      careful_block<wanted>(tile, K, false, rows, memory);
    }
    tile = next(tile);
    rows = next(rows, lanes_of<Real>, is_uniform);
  }
}
template <class Real, Wanted wanted>
static void looped_blocks(RowTile<Real> tile, int K, int64_t count, BlockRows rows, bool is_uniform) {
  Vector<Real> z[padded<Real>(most_vertical)];
  for (int64_t b = 0; b < count; ++b) {
    careful_block<wanted>(tile, K, false, rows, z);
    tile = next(tile);
    rows = next(rows, lanes_of<Real>, is_uniform);
  }
}

template <class Real>
using Blocks = void (*)(RowTile<Real>, int, int64_t, BlockRows, bool);
// Only with 32 registers is it worth its code.
template <class Real, Wanted wanted, int K>
SOFTCLASS_INLINE constexpr Blocks<Real> blocks_for() {
  if constexpr (Floats::lanes == 16 && K >= 2 && wanted != Wanted::gradient)
    return unrolled_blocks<Real, K, wanted>;
  else
    return looped_blocks<Real, wanted>;
}
template <class Real, Wanted wanted>
SOFTCLASS_INLINE Blocks<Real> blocks_of(int K) {
  static constexpr Blocks<Real> of[most_unrolled + 1] = {
      blocks_for<Real, wanted, 0>(),  blocks_for<Real, wanted, 1>(),  blocks_for<Real, wanted, 2>(),  blocks_for<Real, wanted, 3>(),
      blocks_for<Real, wanted, 4>(),  blocks_for<Real, wanted, 5>(),  blocks_for<Real, wanted, 6>(),  blocks_for<Real, wanted, 7>(),
      blocks_for<Real, wanted, 8>(),  blocks_for<Real, wanted, 9>(),  blocks_for<Real, wanted, 10>(), blocks_for<Real, wanted, 11>(),
      blocks_for<Real, wanted, 12>(), blocks_for<Real, wanted, 13>(), blocks_for<Real, wanted, 14>(), blocks_for<Real, wanted, 15>(),
      blocks_for<Real, wanted, 16>()};
  return K <= most_unrolled ? of[K] : looped_blocks<Real, wanted>;
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
