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

// `run` is handed what counts a task.
template <class Run>
bool counts_once(int64_t n_tasks, const Run& run) {
  const std::unique_ptr<std::atomic<int>[]> count(new std::atomic<int>[size_t(n_tasks) + 1]());
  run([&](int64_t index) { count[size_t(index)].fetch_add(1); });
  for (int64_t i = 0; i < n_tasks; ++i)
    if (count[size_t(i)] != 1) return false;
  return count[size_t(n_tasks)] == 0;
}

bool each_task_once(int64_t n_tasks, int threads) {
  return counts_once(n_tasks, [&](const auto& body) { parallel(n_tasks, threads, body); });
}

bool each_near_task_once(int64_t n_tasks, int threads) {
  return counts_once(n_tasks, [&](const auto& body) { parallel_near(n_tasks, threads, body); });
}

bool many_near_calls() {
  bool all = true;
  for (int round = 0; round < 3000; ++round) all = all && each_near_task_once(round % 23, 1 + round % 5);
  return all && each_near_task_once(1000, 300) && each_near_task_once(1000, 0);
}

// A thread begins with its own run of tasks; one that is held up may find some of them done.
bool near_tasks_stay() {
  int began_with_own = 0;
  for (int round = 0; round < 200; ++round) {
    int own[8] = {-1, -1, -1, -1, -1, -1, -1, -1}, first_of_caller = -1;
    parallel_near(8, 2, [&](int64_t index) {
      own[index] = thread_number();
      if (own[index] == 0 && first_of_caller < 0) first_of_caller = int(index);  // the caller's alone
    });
    began_with_own += first_of_caller == 0;
    for (const int each : own)
      if (each != 0 && each != 1) return false;
  }
  return thread_number() == 0 && began_with_own > 0;
}

// The tasks of a lane in order, one at a time.
bool lanes_in_order() {
  bool all = true;
  for (int round = 0; round < 500; ++round) {
    const int64_t n_lanes = 1 + round % most_waiting_lanes;
    std::vector<int64_t> last(size_t(n_lanes), -1), sums(size_t(n_lanes), 0);  // no atomics: a lane is one thread's
    std::atomic<bool> is_well{true};
    parallel_in_lanes(300, n_lanes, 1 + round % 4, [&](int64_t index) {
      const size_t lane = size_t(index % n_lanes);
      if (index >= n_lanes && last[lane] != index - n_lanes) is_well = false;
      last[lane] = index;
      sums[lane] += index;
    });
    int64_t sum = 0;
    for (const int64_t each : sums) sum += each;
    all = all && is_well && sum == 300 * 299 / 2;
  }
  return all;
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
  check(many_near_calls(), "each near task once");
  check(near_tasks_stay(), "near tasks stay on their threads");
  check(lanes_in_order(), "the tasks of a lane in order");
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
