// Which instruction set runs. Each word has a table of function pointers a target (softmax.hpp, ...); the table is chosen
// once, from what the processor and the operating system offer, or by SOFTCLASS_CPU_TARGET.
#pragma once

namespace softclass {

enum class Target { plain, neon, avx2, avx512 };
constexpr int n_targets = 4;

const char* name_of(Target target) noexcept;
bool can_run(Target target) noexcept;  // built into this module, and the machine has it
Target target() noexcept;
// False, and nothing changes, if this machine cannot run it. For tests and benchmarks.
bool set_target(Target wanted) noexcept;
// What SOFTCLASS_CPU_TARGET asks for and this machine cannot grant; null if all is well.
const char* refused_wish() noexcept;

}  // namespace softclass

// Declares `const Table name` of every target that this build has, and `const Table& name()`, which picks one.
#define SOFTCLASS_IN_TARGET(space, Table, name) \
  namespace space {                             \
  extern const Table name;                      \
  }
#if defined(SOFTCLASS_HAS_X86)
#define SOFTCLASS_TABLES(Table, name)      \
  SOFTCLASS_IN_TARGET(plain, Table, name)  \
  SOFTCLASS_IN_TARGET(avx2, Table, name)   \
  SOFTCLASS_IN_TARGET(avx512, Table, name) \
  inline const Table& chosen_##name() noexcept { \
    switch (target()) {                    \
      case Target::avx512: return avx512::name; \
      case Target::avx2: return avx2::name; \
      default: return plain::name;         \
    }                                      \
  }
#elif defined(SOFTCLASS_HAS_NEON)
#define SOFTCLASS_TABLES(Table, name)     \
  SOFTCLASS_IN_TARGET(plain, Table, name) \
  SOFTCLASS_IN_TARGET(neon, Table, name)  \
  inline const Table& chosen_##name() noexcept { return target() == Target::neon ? neon::name : plain::name; }
#else
#define SOFTCLASS_TABLES(Table, name)     \
  SOFTCLASS_IN_TARGET(plain, Table, name) \
  inline const Table& chosen_##name() noexcept { return plain::name; }
#endif
