// Blocks of `lanes` rows, a row a lane: vector c holds class c of all rows of the block. Few classes are computed so,
// because a row of its own would fill no vector; the transposition happens in registers.
//
// A quarter of a vector (16 bytes) holds the same few classes of one row: four floats or two doubles, a *group*.
// Quarter j of the vectors a_0, a_1, ... of a group is read from rows group j, group j + 1, ...; a transposition inside
// the quarters then leaves in every vector one class, rows in order. Eight shuffles do four classes of 16 rows.
#pragma once

#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int most_vertical = 40;  // classes; measured, see numerics.md 6.2
constexpr int most_unrolled = 16;  // classes that are held in registers

template <class Real>
constexpr int group_size = 16 / int(sizeof(Real));
// Places that load_block fills for K classes; what lies behind class K - 1 is no class.
template <class Real>
constexpr int padded(int K) {
  return (K + group_size<Real> - 1) / group_size<Real> * group_size<Real>;
}
// How many elements behind the last of a row may be read.
template <class Real>
constexpr int over_read = group_size<Real> - 1;

// K is a constant: all loops are unrolled and `classes` lives in registers. Rows lie `stride` elements apart.
template <int K, class Real>
SOFTCLASS_INLINE void load_block(const Real* rows, int64_t stride, Vector<Real>* classes) {
  constexpr int G = group_size<Real>;
  SOFTCLASS_UNROLL
  for (int c = 0; c < K; c += G) {
    SOFTCLASS_UNROLL
    for (int r = 0; r < G; ++r) classes[c + r] = load_quarters(rows + r * stride + c, G * stride);
    transpose_quarters(classes + c);
  }
}
// The same for a K of run time, `classes` in memory.
template <class Real>
SOFTCLASS_INLINE void load_block(const Real* rows, int64_t stride, int K, Vector<Real>* classes) {
  constexpr int G = group_size<Real>;
  for (int c = 0; c < K; c += G) {
    Vector<Real> a[G];
    SOFTCLASS_UNROLL
    for (int r = 0; r < G; ++r) a[r] = load_quarters(rows + r * stride + c, G * stride);
    transpose_quarters(a);
    SOFTCLASS_UNROLL
    for (int r = 0; r < G; ++r) classes[c + r] = a[r];
  }
}

template <int Count, class Real>
SOFTCLASS_INLINE void store_group(const Vector<Real>* classes, Real* rows, int64_t stride) {
  constexpr int G = group_size<Real>;
  Vector<Real> a[G];
  SOFTCLASS_UNROLL
  for (int r = 0; r < G; ++r) a[r] = r < Count ? classes[r] : classes[0];
  transpose_quarters(a);
  SOFTCLASS_UNROLL
  for (int r = 0; r < G; ++r) {
    if constexpr (Count == G)
      store_quarters(rows + r * stride, G * stride, a[r]);
    else
      store_starts<Count>(rows + r * stride, G * stride, a[r]);
  }
}
// Writes the K classes of `lanes` rows, and nothing else.
template <int K, class Real>
SOFTCLASS_INLINE void store_block(const Vector<Real>* classes, Real* rows, int64_t stride) {
  constexpr int G = group_size<Real>, whole = K / G * G;
  SOFTCLASS_UNROLL
  for (int c = 0; c < whole; c += G) store_group<G>(classes + c, rows + c, stride);
  if constexpr (whole < K) store_group<K - whole>(classes + whole, rows + whole, stride);
}
template <class Real>
SOFTCLASS_INLINE void store_block(const Vector<Real>* classes, Real* rows, int64_t stride, int K) {
  constexpr int G = group_size<Real>;
  int c = 0;
  for (; c + G <= K; c += G) store_group<G>(classes + c, rows + c, stride);
  if (K - c == 1) store_group<1>(classes + c, rows + c, stride);
  if constexpr (G == 4) {
    if (K - c == 2) store_group<2>(classes + c, rows + c, stride);
    if (K - c == 3) store_group<3>(classes + c, rows + c, stride);
  }
}

// A block that is not full, or whose last row ends where the memory ends, is computed in scratch: `count` rows are
// copied there and the others are zeros. Scratch holds lanes rows of K and over_read elements more.
template <class Real>
constexpr int block_scratch = lanes_of<Real>* most_vertical + over_read<Real>;
template <class Real>
SOFTCLASS_INLINE void copy_rows(const Real* from, int64_t from_stride, Real* to, int64_t to_stride, int count, int K) {
  for (int r = 0; r < count; ++r)
    for (int c = 0; c < K; ++c) to[r * to_stride + c] = from[r * from_stride + c];
}
template <class Real>
SOFTCLASS_INLINE void stage_block(const Real* rows, int64_t stride, int count, int K, Real* staged) {
  copy_rows(rows, stride, staged, K, count, K);
  for (int j = count * K; j < lanes_of<Real> * K + over_read<Real>; ++j) staged[j] = Real(0);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
