// Our own threads. A call hands out its tasks by a counter; the caller takes tasks like every worker and waits only for
// tasks that have begun, so that a call ends even if no worker wakes.
#pragma once

#include <atomic>
#include <cstdint>

namespace softclass {

// Runs task(context, 0) ... task(context, n_tasks - 1), each once, on at most `threads` threads with the caller among
// them; 0 means thread_count(). Which thread runs a task is not fixed: a task writes only what belongs to it. A call
// from inside a task, or while another call holds the threads, runs on its own thread alone. Every task runs with the
// arithmetic of IEEE 754: round to nearest, subnormal numbers kept, whatever the caller has set.
using Task = void (*)(void* context, int64_t index);
void run_tasks(int64_t n_tasks, int threads, Task task, void* context) noexcept;

// Threads of the process: what set_thread_count said, else SOFTCLASS_NUM_THREADS, else OMP_NUM_THREADS, else the cores
// that this process may use (affinity, quota of its control group).
int thread_count() noexcept;
void set_thread_count(int count) noexcept;

// Memory of this thread, aligned to 64 bytes, at least so large; the next request of the same slot may move it. Null if
// there is none to be had. Slots: 0 and 1 for kernels, 2 for what calls kernels.
constexpr int scratch_slots = 3;
void* scratch(int slot, int64_t bytes) noexcept;
// How often there was none, in all threads so far.
int64_t scratch_failures() noexcept;

// Calls body(index) for each task.
template <class Body>
static inline void parallel(int64_t n_tasks, int threads, const Body& body) noexcept {
  run_tasks(
      n_tasks, threads, [](void* context, int64_t index) { (*static_cast<const Body*>(context))(index); },
      const_cast<Body*>(&body));
}

// 0 on a thread that calls, from 1 on on the workers: the same from call to call.
int thread_number() noexcept;

// Calls body(index) for each task. Of `threads` runs of tasks each thread begins with its own, in order, and helps with
// the others after it: what a task wrote in the last call lies, most of the time, in the cache of the core that has it in
// this one. Memory that another core has just written to comes many times slower.
constexpr int most_near = 64;
template <class Body>
static inline void parallel_near(int64_t n_tasks, int threads, const Body& body) noexcept {
  const int wanted = threads > 0 ? threads : thread_count(), most = wanted < most_near ? wanted : most_near;
  const int n = n_tasks < most ? int(n_tasks) : most;
  struct alignas(64) Run {
    std::atomic<int64_t> next;
    int64_t end;
  } runs[most_near];
  for (int r = 0; r < n; ++r) {
    runs[r].next.store(n_tasks * r / n, std::memory_order_relaxed);
    runs[r].end = n_tasks * (r + 1) / n;
  }
  parallel(n, n, [&](int64_t) {
    for (int k = 0, r = thread_number() % n; k < n; ++k, r = r + 1 < n ? r + 1 : 0)
      for (int64_t i; (i = runs[r].next.fetch_add(1, std::memory_order_relaxed)) < runs[r].end;) body(i);
  });
}

// Waits until `count` is at least `wanted`, which a task that has begun will make it.
void wait_for(const std::atomic<int64_t>& count, int64_t wanted) noexcept;

// Calls body(index) for each task, in order as threads are free, but a task only after that `n_lanes` before it has
// ended: what the tasks of a lane add up has the bits of one order, and no thread waits for another's share of the work.
constexpr int64_t most_waiting_lanes = 64;
template <class Body>
static inline void parallel_in_lanes(int64_t n_tasks, int64_t n_lanes, int threads, const Body& body) noexcept {
  std::atomic<int64_t> ended[most_waiting_lanes] = {};
  parallel(n_tasks, threads, [&](int64_t index) {
    std::atomic<int64_t>& mine = ended[index % n_lanes];
    wait_for(mine, index / n_lanes);
    body(index);
    mine.store(index / n_lanes + 1, std::memory_order_release);
  });
}

}  // namespace softclass
