#include "threads.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace softclass {
namespace {

// Sets the arithmetic of IEEE 754 for a scope: torch.set_flush_denormal, or any library linked with -ffast-math, changes
// it for the thread that called it.
class StandardArithmetic {
#if defined(__x86_64__) || defined(_M_X64)
 public:
  StandardArithmetic() noexcept : kept_(_mm_getcsr()) { set(0x1f80); }  // all exceptions masked, nothing else
  ~StandardArithmetic() { set(kept_); }

 private:
  void set(unsigned wanted) const noexcept {
    if ((kept_ & ~0x3fu) != 0x1f80) _mm_setcsr(wanted);  // the lowest bits only report exceptions
  }
  unsigned kept_;
#elif defined(__aarch64__)
 public:
  StandardArithmetic() noexcept {
    __asm__ volatile("mrs %0, fpcr" : "=r"(kept_));
    set(0);
  }
  ~StandardArithmetic() { set(kept_); }

 private:
  void set(uint64_t wanted) const noexcept {
    if (kept_ != 0) __asm__ volatile("msr fpcr, %0" : : "r"(wanted));
  }
  uint64_t kept_;
#endif
};

void pause() noexcept {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

constexpr int most_threads = 256;
constexpr auto spin_time = std::chrono::microseconds(100);  // a sleeper wakes after some 50

thread_local int own_number = 0;

// One job at a time. `ticket` holds the number of the job and the next task; a worker that wakes late finds another
// number in it, and its claim fails.
class Pool {
 public:
  void run(int64_t n_tasks, int threads, Task task, void* context) noexcept {
    if (busy_.exchange(true, std::memory_order_acquire)) return run_alone(n_tasks, task, context);
    start_workers(threads - 1);
    const uint64_t job = (ticket_.load(std::memory_order_relaxed) >> index_bits) + 1;
    ticket_.store(job << index_bits | index_mask, std::memory_order_seq_cst);  // closed: no claim while the job changes
    // Release and acquire: whoever sees one of these sees the closed ticket too.
    task_.store(task, std::memory_order_release);
    context_.store(context, std::memory_order_release);
    n_tasks_.store(n_tasks, std::memory_order_release);
    helpers_.store(threads - 1, std::memory_order_release);
    done_.store(0, std::memory_order_release);
    ticket_.store((job + 1) << index_bits, std::memory_order_seq_cst);
    wake(threads - 1);
    const int64_t mine = take_tasks();
    const int64_t finished = done_.fetch_add(mine, std::memory_order_acq_rel) + mine;
    if (finished < n_tasks) wait_for(done_, n_tasks);
    busy_.store(false, std::memory_order_release);
  }

  static void run_alone(int64_t n_tasks, Task task, void* context) noexcept {
    for (int64_t index = 0; index < n_tasks; ++index) task(context, index);
  }

 private:
  static constexpr int index_bits = 32;
  static constexpr uint64_t index_mask = (uint64_t(1) << index_bits) - 1;

  // Takes tasks of the open job until there are none; returns how many.
  int64_t take_tasks() noexcept {
    int64_t taken = 0;
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    for (;;) {
      const Task task = task_.load(std::memory_order_acquire);
      void* const context = context_.load(std::memory_order_acquire);
      const int64_t index = int64_t(ticket & index_mask);
      if (index >= n_tasks_.load(std::memory_order_acquire)) return taken;
      // A claim that succeeds proves that no other job has begun since `ticket` was read, so task and context are its.
      if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel, std::memory_order_acquire))
        continue;
      task(context, index);
      ++taken;
      ++ticket;
    }
  }

  void start_workers(int wanted) noexcept {
    while (n_workers_ < wanted && n_workers_ < most_threads) {
      try {
        std::thread(&Pool::work, this, n_workers_).detach();
      } catch (...) {
        return;  // no more threads to be had: the caller does the work
      }
      ++n_workers_;
    }
  }

  void wake(int helpers) noexcept {
    if (sleeping_.load(std::memory_order_seq_cst) == 0) return;
    // The lock orders this after a worker's last look at the ticket.
    { const std::lock_guard<std::mutex> lock(mutex_); }
    if (helpers == 1 && n_workers_ == 1)
      changed_.notify_one();
    else
      changed_.notify_all();
  }

  void work(int number) noexcept {
    const StandardArithmetic standard;
    own_number = number + 1;
    uint64_t seen = 0;
    for (;;) {
      seen = wait_for_other_than(seen);
      if (number >= helpers_.load(std::memory_order_acquire)) continue;
      const int64_t taken = take_tasks();
      if (taken > 0) done_.fetch_add(taken, std::memory_order_acq_rel);
    }
  }

  uint64_t open_job() const noexcept { return ticket_.load(std::memory_order_seq_cst) >> index_bits; }

  // Spins, then sleeps, until the open job is another than `seen`.
  uint64_t wait_for_other_than(uint64_t seen) noexcept {
    const auto end = std::chrono::steady_clock::now() + spin_time;
    do {
      for (int spins = 0; spins < 64; ++spins) {
        if (open_job() != seen) return open_job();
        pause();
      }
    } while (std::chrono::steady_clock::now() < end);
    std::unique_lock<std::mutex> lock(mutex_);
    sleeping_.fetch_add(1, std::memory_order_seq_cst);
    changed_.wait(lock, [&] { return open_job() != seen; });
    sleeping_.fetch_sub(1, std::memory_order_seq_cst);
    return open_job();
  }

  std::atomic<bool> busy_{false};
  int n_workers_ = 0;  // belongs to whoever holds `busy_`
  alignas(64) std::atomic<uint64_t> ticket_{index_mask};
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<Task> task_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<int64_t> n_tasks_{0};
  std::atomic<int> helpers_{0};
  std::atomic<int> sleeping_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

// Never destroyed: detached workers may look at it while the process ends. A child of fork has none of its parent's
// threads, whatever state they were in, and starts with a pool of its own.
std::atomic<Pool*> the_pool{nullptr};

Pool* pool() noexcept {
  Pool* found = the_pool.load(std::memory_order_acquire);
  if (found) return found;
  static const int registered = [] {
#if defined(__unix__) || defined(__APPLE__)
    return pthread_atfork(nullptr, nullptr, [] { the_pool.store(nullptr, std::memory_order_release); });
#else
    return 0;
#endif
  }();
  (void)registered;
  Pool* made = new (std::nothrow) Pool;
  if (made && !the_pool.compare_exchange_strong(found, made, std::memory_order_acq_rel)) {
    delete made;  // another thread was first; this one has no workers yet
    return found;
  }
  return made;
}

int number_in(const char* name) noexcept {
  const char* text = std::getenv(name);
  const long number = text ? std::strtol(text, nullptr, 10) : 0;
  return number > 0 && number <= most_threads ? int(number) : 0;
}

int allowed_cores() noexcept {
  int cores = int(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "re")) {
    long long quota = 0, period = 0;
    if (std::fscanf(file, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0) {
      const long long whole = (quota + period - 1) / period;
      if (whole < cores) cores = int(whole);
    }
    std::fclose(file);
  }
#endif
  return cores < 1 ? 1 : (cores > most_threads ? most_threads : cores);
}

int default_thread_count() noexcept {
  if (const int number = number_in("SOFTCLASS_NUM_THREADS")) return number;
  if (const int number = number_in("OMP_NUM_THREADS")) return number;
  return allowed_cores();
}

std::atomic<int> chosen_count{0};

std::atomic<int64_t> failures{0};

struct Scratch {
  void* memory[scratch_slots] = {};
  int64_t bytes[scratch_slots] = {};
  ~Scratch() {
    for (void* each : memory) ::operator delete(each, std::align_val_t(64), std::nothrow);
  }
};

}  // namespace

void run_tasks(int64_t n_tasks, int threads, Task task, void* context) noexcept {
  const StandardArithmetic standard;
  if (threads <= 0) threads = thread_count();
  if (threads > n_tasks) threads = int(n_tasks);
  Pool* const workers = threads > 1 ? pool() : nullptr;
  if (workers)
    workers->run(n_tasks, threads, task, context);
  else
    Pool::run_alone(n_tasks, task, context);
}

int thread_number() noexcept { return own_number; }

void wait_for(const std::atomic<int64_t>& count, int64_t wanted) noexcept {
  for (int spins = 0; count.load(std::memory_order_acquire) < wanted;) {
    if (++spins < 4096)
      pause();
    else
      std::this_thread::yield();
  }
}

int thread_count() noexcept {
  int count = chosen_count.load(std::memory_order_relaxed);
  if (count == 0) {
    count = default_thread_count();
    chosen_count.store(count, std::memory_order_relaxed);
  }
  return count;
}

void set_thread_count(int count) noexcept {
  chosen_count.store(count < 1 ? 0 : (count > most_threads ? most_threads : count), std::memory_order_relaxed);
}

void* scratch(int slot, int64_t bytes) noexcept {
  static thread_local Scratch mine;
  if (mine.bytes[slot] < bytes) {
    ::operator delete(mine.memory[slot], std::align_val_t(64), std::nothrow);
    mine.memory[slot] = ::operator new(size_t(bytes), std::align_val_t(64), std::nothrow);
    mine.bytes[slot] = mine.memory[slot] ? bytes : 0;
    if (!mine.memory[slot]) failures.fetch_add(1, std::memory_order_relaxed);
  }
  return mine.memory[slot];
}

int64_t scratch_failures() noexcept { return failures.load(std::memory_order_relaxed); }

}  // namespace softclass
