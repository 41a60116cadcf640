// One vector type a target. A source that includes this file is compiled once a target, with SOFTCLASS_TARGET naming the
// namespace: avx512, avx2, neon or plain. All targets give the same bits: the same IEEE operations for every element,
// fused where `fma` stands and nowhere else; only the number of lanes differs.
//
// Nothing here may have external linkage and nothing of the standard library with a body may be called: the linker keeps
// one copy of an inline function for the whole module, perhaps the AVX-512 one, and an older machine would stop at it.
#pragma once

#include <cstdint>
#include <cstring>

#ifndef SOFTCLASS_TARGET
#error "compile with -DSOFTCLASS_TARGET=avx512, avx2, neon or plain"
#endif

#if defined(_MSC_VER)
#define SOFTCLASS_INLINE static __forceinline
#else
#define SOFTCLASS_INLINE static inline __attribute__((always_inline))
#endif

#if defined(__GNUC__)
#define SOFTCLASS_UNROLL _Pragma("GCC unroll 16")
#else
#define SOFTCLASS_UNROLL
#endif

#if defined(SOFTCLASS_TARGET_avx512)
#include "simd_avx512.hpp"
#elif defined(SOFTCLASS_TARGET_avx2)
#include "simd_avx2.hpp"
#elif defined(SOFTCLASS_TARGET_neon)
#include "simd_neon.hpp"
#else
#include "simd_plain.hpp"
#endif

namespace softclass {
namespace SOFTCLASS_TARGET {

// What a kernel that is written for float and double needs to know of either.
template <class Real>
struct VectorOf;
template <>
struct VectorOf<float> {
  using type = Floats;
};
template <>
struct VectorOf<double> {
  using type = Doubles;
};
template <class Real>
using Vector = typename VectorOf<Real>::type;
template <class Real>
constexpr int lanes_of = Vector<Real>::lanes;

SOFTCLASS_INLINE Floats broadcast_as(Floats, float x) { return broadcast(x); }
SOFTCLASS_INLINE Doubles broadcast_as(Doubles, double x) { return broadcast(x); }

SOFTCLASS_INLINE Floats operator+(Floats a, Floats b) { return add(a, b); }
SOFTCLASS_INLINE Floats operator-(Floats a, Floats b) { return subtract(a, b); }
SOFTCLASS_INLINE Floats operator*(Floats a, Floats b) { return multiply(a, b); }
SOFTCLASS_INLINE Floats operator/(Floats a, Floats b) { return divide(a, b); }
SOFTCLASS_INLINE Doubles operator+(Doubles a, Doubles b) { return add(a, b); }
SOFTCLASS_INLINE Doubles operator-(Doubles a, Doubles b) { return subtract(a, b); }
SOFTCLASS_INLINE Doubles operator*(Doubles a, Doubles b) { return multiply(a, b); }
SOFTCLASS_INLINE Doubles operator/(Doubles a, Doubles b) { return divide(a, b); }

SOFTCLASS_INLINE float first(Floats x) {
  float lane[Floats::lanes];
  store(lane, x);
  return lane[0];
}
SOFTCLASS_INLINE double first(Doubles x) {
  double lane[Doubles::lanes];
  store(lane, x);
  return lane[0];
}

// Sum of `count` doubles, a power of two and at least a vector, in the order of one tree whatever the number of lanes:
// element j is added to element j + count/2, and so on.
SOFTCLASS_INLINE double tree_sum(Doubles* parts, int count) {
  int vectors = count / Doubles::lanes;
  for (vectors /= 2; vectors > 0; vectors /= 2)
    for (int j = 0; j < vectors; ++j) parts[j] = parts[j] + parts[j + vectors];
  return sum_of_lanes(parts[0]);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
