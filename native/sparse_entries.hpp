// What the kernels over sparse rows share: rows of numbers, one number a class, gathered by index and added up in
// registers; and sums over the classes of a row that are the same for every number of lanes.
#pragma once

#include <cstdint>

#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

constexpr int64_t ahead = 16;    // entries whose rows are fetched in advance
constexpr int most_vectors = 4;  // of classes that are summed at once

constexpr int n_parts = 16;  // partial sums of a row, whatever the number of lanes
constexpr int part_vectors = n_parts / Doubles::lanes;

// Vector `place` of a row to the partial sums.
SOFTCLASS_INLINE void add_to_parts(Doubles* parts, int64_t place, Doubles x) {
  Doubles& part = parts[place % part_vectors];
  part = part + x;
}
SOFTCLASS_INLINE void add_to_parts(Doubles* parts, int64_t place, Floats x) {
  add_to_parts(parts, 2 * place, low_half(x));
  add_to_parts(parts, 2 * place + 1, high_half(x));
}
SOFTCLASS_INLINE void add_to(double* sums, Doubles x) { store(sums, load(sums) + x); }
SOFTCLASS_INLINE void add_to(double* sums, Floats x) {
  add_to(sums, low_half(x));
  add_to(sums + Doubles::lanes, high_half(x));
}

SOFTCLASS_INLINE void fetch(const void* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p);
#else
  (void)p;
#endif
}

template <class Real>
struct Entries {
  const int32_t* index;
  const Real* value;
  int64_t count;
  const int32_t* end;  // of all indices: fetching ahead goes on into the next entries
};

// body(Tile<T>, first) for all vectors of a row of `step` numbers.
template <int T>
struct Tile {
  static constexpr int value = T;
};
template <class Real, class Body>
SOFTCLASS_INLINE void each_tile(int64_t step, const Body& body) {
  constexpr int L = lanes_of<Real>;
  int64_t at = 0;
  for (; at + most_vectors * L <= step; at += most_vectors * L) body(Tile<most_vectors>(), at);
  switch ((step - at) / L) {
    case 1:
      return body(Tile<1>(), at);
    case 2:
      return body(Tile<2>(), at);
    case 3:
      return body(Tile<3>(), at);
    default:
      return;
  }
}

}  // namespace
}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
