#include "targets.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>

#if defined(_MSC_VER) && defined(SOFTCLASS_HAS_X86)
#error "the vector targets are written for GCC and Clang; build with the plain one"
#endif

namespace softclass {
namespace {

constexpr const char* names[n_targets] = {"plain", "neon", "avx2", "avx512"};
constexpr const char* wish_variable = "SOFTCLASS_CPU_TARGET";

Target best_target() noexcept {
  for (int t = n_targets - 1; t > 0; --t)
    if (can_run(Target(t))) return Target(t);
  return Target::plain;
}

Target first_target() noexcept {
  if (const char* wish = std::getenv(wish_variable))
    for (int t = 0; t < n_targets; ++t)
      if (std::strcmp(wish, names[t]) == 0 && can_run(Target(t))) return Target(t);
  return best_target();
}

std::atomic<int> chosen{-1};

}  // namespace

const char* name_of(Target target) noexcept { return names[int(target)]; }

bool can_run(Target target) noexcept {
  switch (target) {
    case Target::plain:
      return true;
#if defined(SOFTCLASS_HAS_NEON)
    case Target::neon:
      return true;  // part of every 64-bit ARM processor
#endif
#if defined(SOFTCLASS_HAS_X86)
    case Target::avx2:  // __builtin_cpu_supports also asks whether the operating system saves the registers
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Target::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
    default:
      return false;
  }
}

Target target() noexcept {
  int found = chosen.load(std::memory_order_relaxed);
  if (found < 0) {
    found = int(first_target());
    chosen.store(found, std::memory_order_relaxed);
  }
  return Target(found);
}

bool set_target(Target wanted) noexcept {
  if (!can_run(wanted)) return false;
  chosen.store(int(wanted), std::memory_order_relaxed);
  return true;
}

const char* refused_wish() noexcept {
  const char* wish = std::getenv(wish_variable);
  if (!wish || !*wish) return nullptr;
  for (int t = 0; t < n_targets; ++t)
    if (std::strcmp(wish, names[t]) == 0 && can_run(Target(t))) return nullptr;
  return wish;
}

}  // namespace softclass
