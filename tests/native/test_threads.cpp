// The pool: every task once, whatever the numbers of tasks, threads and callers; after fork; arithmetic of IEEE 754.
#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "threads.hpp"

using namespace softclass;

namespace {

int failures = 0;

void check(bool holds, const char* what) {
  std::printf("%-60s %s\n", what, holds ? "ok" : "FAILED");
  failures += !holds;
}

bool each_task_once(int64_t n_tasks, int threads) {
  const std::unique_ptr<std::atomic<int>[]> count(new std::atomic<int>[size_t(n_tasks) + 1]());
  parallel(n_tasks, threads, [&](int64_t index) { count[size_t(index)].fetch_add(1); });
  for (int64_t i = 0; i < n_tasks; ++i)
    if (count[size_t(i)] != 1) return false;
  return count[size_t(n_tasks)] == 0;
}

bool many_calls() {
  bool all = true;
  for (int round = 0; round < 3000; ++round) all = all && each_task_once(round % 23, 1 + round % 5);
  return all;
}

bool many_callers() {
  std::atomic<bool> all{true};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      if (!many_calls()) all = false;
    });
  for (std::thread& caller : callers) caller.join();
  return all;
}

bool nested() {
  std::atomic<int> count{0};
  parallel(7, 3, [&](int64_t) { parallel(5, 3, [&](int64_t) { count.fetch_add(1); }); });
  return count == 35;
}

#if defined(__unix__) || defined(__APPLE__)
bool after_fork() {
  const pid_t child = fork();
  if (child == 0) _exit(each_task_once(1000, 3) && many_calls() ? 0 : 1);
  int status = 1;
  return waitpid(child, &status, 0) == child && status == 0 && each_task_once(1000, 3);
}
#endif

#if defined(__x86_64__)
bool keeps_subnormal_numbers() {
  const unsigned kept = _mm_getcsr();
  _mm_setcsr(kept | 0x8040);  // flush to zero, denormals are zero
  std::atomic<int> lost{0};
  parallel(64, 2, [&](int64_t) {
    volatile float tiny = 1e-38f;
    if (tiny * 0.01f == 0.0f) lost.fetch_add(1);
  });
  const bool restored = (_mm_getcsr() & 0x8040) == 0x8040;
  _mm_setcsr(kept);
  return lost == 0 && restored;
}
#endif

bool scratch_grows() {
  char* first = static_cast<char*>(scratch(0, 100));
  for (int i = 0; i < 100; ++i) first[i] = char(i);
  char* same = static_cast<char*>(scratch(0, 50));
  char* large = static_cast<char*>(scratch(1, 1 << 20));
  large[(1 << 20) - 1] = 1;
  return same == first && (reinterpret_cast<uintptr_t>(large) & 63) == 0;
}

}  // namespace

// `test_threads emulated` leaves out fork: qemu's user mode cannot start threads in the child of a threaded process.
int main(int argc, char**) {
  const bool is_emulated = argc > 1;
  check(each_task_once(0, 2) && each_task_once(1, 2) && each_task_once(100000, 2), "each task once");
  check(many_calls(), "many calls");
  check(many_callers(), "many callers at once");
  check(nested(), "calls inside tasks");
#if defined(__unix__) || defined(__APPLE__)
  if (!is_emulated) check(after_fork(), "after fork");
#endif
  (void)is_emulated;
#if defined(__x86_64__)
  check(keeps_subnormal_numbers(), "subnormal numbers are kept, and the caller's wish restored");
#endif
  check(scratch_grows(), "scratch memory");
  return failures ? 1 : 0;
}
