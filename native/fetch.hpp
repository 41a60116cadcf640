// Asking the memory for a line before it is wanted.
#pragma once

#include "simd.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

// Brings the line of p near, but not into the first cache, which has few buffers for lines that come from memory.
#if defined(_MSC_VER)
SOFTCLASS_INLINE void fetch_line(const void*) {}
#else
SOFTCLASS_INLINE void fetch_line(const void* p) { __builtin_prefetch(p, 0, 2); }
#endif
constexpr int64_t line_floats = 16;

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
